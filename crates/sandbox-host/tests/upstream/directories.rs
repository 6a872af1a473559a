//! Directories: describing, listing, making, moving, removing.

use serde_json::{Value, json};

use crate::pair::{Pair, Side};

async fn call(pair: &mut Pair, name: &str, method: &str, body: impl Fn(&Side) -> Value) {
    let method = format!("/filesystem.Filesystem/{method}");
    pair.same(name, async |s| s.call(&method, &body(s))).await;
}

pub(crate) async fn compare(pair: &mut Pair) {
    pair.prepare(
        "mkdir -p tree/a/b tree/z; echo one >tree/f; echo two >tree/a/g; echo >tree/a/b/h; \
         ln -s f tree/link; ln -s a tree/dirlink; ln -s nowhere tree/dangling; \
         ln -s loop tree/loop; ln -s /etc/hostname tree/abs; mkfifo tree/fifo; \
         chmod 4750 tree/f; chmod 1777 tree/z; touch -d @1700000000 tree/f",
    )
    .await;
    for name in [
        "tree",
        "tree/f",
        "tree/link",
        "tree/dirlink",
        "tree/dangling",
        "tree/loop",
        "tree/abs",
        "tree/fifo",
        "tree/z",
        "tree/none",
        "tree/f/under",
        "tree/./a/../f",
        "tree//a//",
    ] {
        call(pair, &format!("stat {name}"), "Stat", |s| json!({"path": s.path(name)})).await;
    }
    for path in [
        "/",
        "/dev/null",
        "/tmp",
        "/etc/passwd",
        "/root",
        "",
        "~",
        "~/",
        "~other",
        "relative",
        "..",
        "/a\0b",
    ] {
        call(pair, &format!("stat {path:?}"), "Stat", |_| json!({"path": path})).await;
    }
    let long = "a".repeat(300);
    call(pair, "stat a name that is too long", "Stat", |s| json!({"path": s.path(&long)})).await;
    listing(pair).await;
    changing(pair).await;
    watchers(pair).await;
}

async fn listing(pair: &mut Pair) {
    for (name, depth) in [
        ("tree", 0),
        ("tree", 1),
        ("tree", 2),
        ("tree", 9),
        ("tree/a/b", 1),
        ("tree/dirlink", 2),
        ("tree/f", 1),
        ("tree/link", 1),
        ("tree/none", 1),
        ("tree/loop", 1),
        ("tree/dangling", 1),
        ("tree/", 1),
        ("tree/a/..", 1),
    ] {
        call(
            pair,
            &format!("list {name} to depth {depth}"),
            "ListDir",
            |s| json!({"path": s.path(name), "depth": depth}),
        )
        .await;
    }
    call(pair, "list without a depth", "ListDir", |s| json!({"path": s.path("tree/a")})).await;
    call(
        pair,
        "list with a negative depth",
        "ListDir",
        |s| json!({"path": s.path("tree/a"), "depth": -1}),
    )
    .await;
}

async fn changing(pair: &mut Pair) {
    for name in [
        "new",
        "new",
        "new/a/b/c",
        "tree/f",
        "tree/f/under",
        "tree/dirlink",
        "tree/dangling",
        "tree/link",
    ] {
        call(pair, &format!("make {name}"), "MakeDir", |s| json!({"path": s.path(name)})).await;
    }
    call(pair, "make nothing", "MakeDir", |_| json!({})).await;
    pair.prepare("echo m >m1; echo n >m2; mkdir d1 d2 d3; echo x >d3/x; ln -s m2 l1").await;
    for (from, to) in [
        ("m1", "m3"),
        ("none", "m4"),
        ("m3", "far/away/m5"),
        ("far/away/m5", "m2"),
        ("d1", "d2"),
        ("d2", "d3"),
        ("m2", "d3"),
        ("d3", "d3/inside"),
        ("d3", "m2"),
        ("l1", "l2"),
        ("m2", "m2"),
        ("m2", ""),
        ("", "m9"),
    ] {
        call(
            pair,
            &format!("move {from:?} to {to:?}"),
            "Move",
            |s| json!({"source": s.path(from), "destination": s.path(to)}),
        )
        .await;
    }
    for name in ["m2", "m2", "d3", "l2", "tree/dirlink", "tree/fifo", "never/there", "tree/f/under"]
    {
        call(pair, &format!("remove {name}"), "Remove", |s| json!({"path": s.path(name)})).await;
    }
    call(pair, "what is left", "ListDir", |s| json!({"path": s.dir, "depth": 5})).await;
}

async fn watchers(pair: &mut Pair) {
    for name in ["tree", "tree/f", "none"] {
        call(
            pair,
            &format!("a watcher of {name}"),
            "CreateWatcher",
            |s| json!({"path": s.path(name)}),
        )
        .await;
    }
    call(pair, "events of no watcher", "GetWatcherEvents", |_| json!({"watcherId": "none"})).await;
    call(pair, "removing no watcher", "RemoveWatcher", |_| json!({"watcherId": "none"})).await;
    call(
        pair,
        "network mounts allowed",
        "CreateWatcher",
        |s| json!({"path": s.path("tree"), "allowNetworkMounts": true}),
    )
    .await;
    pair.alike("a watcher's events and its end", async |s| {
        let made = s.call(
            "/filesystem.Filesystem/CreateWatcher",
            &json!({"path": s.path("tree"), "recursive": true}),
        );
        let made: Value = made.send().await.unwrap().json().await.unwrap();
        let id = json!({"watcherId": made["watcherId"]});
        s.file("POST", "tree/a/seen")
            .header("content-type", "application/octet-stream")
            .body("x")
            .send()
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let mut answers = Vec::new();
        for method in [
            "GetWatcherEvents",
            "GetWatcherEvents",
            "RemoveWatcher",
            "RemoveWatcher",
            "GetWatcherEvents",
        ] {
            let answer =
                s.call(&format!("/filesystem.Filesystem/{method}"), &id).send().await.unwrap();
            let mut answer = s.answer(answer).await;
            answer["body"] = json!(
                answer["body"].to_string().replace(made["watcherId"].as_str().unwrap(), "ID")
            );
            answers.push(answer);
        }
        json!(answers)
    })
    .await;
}
