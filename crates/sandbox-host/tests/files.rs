//! Files in and out of a sandbox, spoken to in raw HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::io::Write as _;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use support::rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out_in_whole_and_in_part() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let data: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let (status, written) = sandbox.write("deep/er/data.bin", data.clone()).await;
    assert_eq!(status, 200);
    let want = json!([{"path": "/home/user/deep/er/data.bin", "name": "data.bin", "type": "file"}]);
    assert_eq!(written, want);
    assert!(sandbox.read("deep/er/data.bin").await == (reqwest::StatusCode::OK, data.clone()));
    let owner = sandbox.sh("stat -c '%U %G %a' deep/er deep/er/data.bin").await;
    assert_eq!(owner.stdout, "user user 755\nuser user 644\n");
    for (range, status, want) in [
        ("bytes=250-259", 206, &data[250..260]),
        ("bytes=3999990-", 206, &data[3_999_990..]),
        ("bytes=-3", 206, &data[3_999_997..]),
    ] {
        let query = [("path", "deep/er/data.bin")];
        let request = sandbox.request("GET", "/files").query(&query).header("Range", range);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{range}");
        assert!(reply.headers()["content-range"].to_str().unwrap().ends_with("/4000000"));
        assert_eq!(reply.bytes().await.unwrap(), want, "{range}");
    }
    let query = [("path", "deep/er/data.bin")];
    let past = sandbox.request("GET", "/files").query(&query).header("Range", "bytes=4000000-");
    assert_eq!(past.send().await.unwrap().status(), 416);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_come_as_parts_and_compressed() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let part = |text: &'static str, name: &'static str| Part::text(text).file_name(name);
    let form = Form::new().part("file", part("1", "one")).part("file", part("2", "/tmp/x/two"));
    let reply = sandbox.request("POST", "/files").multipart(form).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.json::<Value>().await.unwrap()[1]["path"], "/tmp/x/two");
    assert_eq!(sandbox.read("one").await.1, b"1");
    assert_eq!(sandbox.read("/tmp/x/two").await.1, b"2");
    let form = Form::new().part("file", part("1", "same")).part("file", part("2", "./same"));
    let reply = sandbox.request("POST", "/files").multipart(form).send().await.unwrap();
    assert_eq!(reply.status(), 400);
    let plain = vec![b'a'; 3_000_000];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).unwrap();
    let packed = encoder.finish().unwrap();
    let post = |body: Vec<u8>| {
        let request = sandbox.request("POST", "/files").query(&[("path", "packed")]);
        let request = request.header("Content-Type", "application/octet-stream");
        request.header("Content-Encoding", "gzip").body(body).send()
    };
    assert_eq!(post(packed.clone()).await.unwrap().status(), 200);
    assert!(sandbox.read("packed").await.1 == plain);
    assert_eq!(post(b"not gzip at all".to_vec()).await.unwrap().status(), 400);
    assert_eq!(post(packed[..100].to_vec()).await.unwrap().status(), 400);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_file_requests_are_told_apart() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    assert_eq!(sandbox.read("none").await.0, 404);
    assert_eq!(sandbox.read("/home").await.0, 400);
    assert_eq!(sandbox.read("~other/x").await.0, 400);
    assert_eq!(sandbox.read("/dev/zero").await.0, 400);
    assert_eq!(sandbox.write("/home", "x").await.0, 400);
    sandbox.sh("mkfifo fifo").await;
    assert_eq!(sandbox.read("fifo").await.0, 400);
    let reply = sandbox.request("POST", "/files").query(&[("path", "x")]).body("x").send().await;
    assert_eq!(reply.unwrap().status(), 400, "no content type");
    let mut stranger = sandbox.clone();
    stranger.token = "wrong".into();
    assert_eq!(stranger.read("x").await.0, 401);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_link_needs_no_token_and_finds_its_sandbox() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let _other = rig.create(json!({})).await;
    sandbox.write("hello.txt", "hello").await;
    let sign = |expiry: i64| {
        let text = format!("hello.txt:read:user:{}:{expiry}", sandbox.token);
        let digest = sha2::Sha256::digest(text);
        format!("v1_{}", base64::prelude::BASE64_STANDARD_NO_PAD.encode(digest))
    };
    let now = jiff::Timestamp::now().as_second();
    for (expiry, signature, status, body) in [
        (now + 60, sign(now + 60), 200, "hello"),
        (now - 5, sign(now - 5), 401, "signature is already expired"),
    ] {
        let expiry = expiry.to_string();
        let query = [
            ("path", "hello.txt"),
            ("username", "user"),
            ("signature", &signature),
            ("signature_expiration", &expiry),
        ];
        let reply =
            rig.client.get(format!("{}/files", rig.url)).query(&query).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
        assert!(reply.text().await.unwrap().contains(body));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_made_listed_moved_and_removed() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let call = |method: &'static str, body: Value| {
        let sandbox = sandbox.clone();
        async move {
            let path = format!("/filesystem.Filesystem/{method}");
            let (status, body) = sandbox.unary("user", &path, body).await;
            (status.as_u16(), body)
        }
    };
    let (status, made) = call("MakeDir", json!({"path": "a/b"})).await;
    assert_eq!((status, made["entry"]["permissions"].as_str()), (200, Some("drwxr-xr-x")));
    assert_eq!(call("MakeDir", json!({"path": "a/b"})).await.1["code"], "already_exists");
    sandbox.write("a/f", "text").await;
    assert_eq!(call("MakeDir", json!({"path": "a/f"})).await.1["code"], "invalid_argument");
    sandbox.sh("ln -s b a/link; ln -s loop a/loop; ln -s nowhere a/dangling").await;
    let (_, list) = call("ListDir", json!({"path": "a"})).await;
    let entries: Vec<_> = list["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("type"), text("symlinkTarget"))
        })
        .collect();
    let entry = |name: &str, kind: &str, target: &str| {
        (name.to_owned(), kind.to_owned(), target.to_owned())
    };
    assert_eq!(
        entries,
        [
            entry("b", "FILE_TYPE_DIRECTORY", ""),
            entry("dangling", "", "/home/user/a/dangling"),
            entry("f", "FILE_TYPE_FILE", ""),
            entry("link", "FILE_TYPE_DIRECTORY", "/home/user/a/b"),
            entry("loop", "", "/home/user/a/loop"),
        ]
    );
    assert_eq!(call("ListDir", json!({"path": "a/f"})).await.1["code"], "invalid_argument");
    assert_eq!(call("ListDir", json!({"path": "none"})).await.1["code"], "not_found");
    assert_eq!(call("ListDir", json!({"path": "a/loop"})).await.1["code"], "failed_precondition");
    let (status, moved) = call("Move", json!({"source": "a/f", "destination": "new/g"})).await;
    assert_eq!((status, moved["entry"]["path"].as_str()), (200, Some("/home/user/new/g")));
    assert_eq!(moved["entry"]["size"], "4");
    assert_eq!(
        call("Move", json!({"source": "a/f", "destination": "h"})).await.1["code"],
        "not_found"
    );
    assert_eq!(call("Stat", json!({"path": "a/f"})).await.1["code"], "not_found");
    assert_eq!(call("Remove", json!({"path": "a"})).await, (200, json!({})));
    assert_eq!(call("Remove", json!({"path": "a"})).await, (200, json!({})));
    assert_eq!(call("Remove", json!({"path": "/usr/bin/env"})).await.0, 403);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_streamed_and_kept_for_those_who_ask() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    sandbox.sh("mkdir -p dir/sub").await;
    let body = json!({"path": "dir", "recursive": true, "includeEntry": true});
    let mut stream = sandbox.open("user", "/filesystem.Filesystem/WatchDir", body, None).await;
    assert_eq!(stream.next().await.unwrap().1, json!({"start": {}}));
    let call = |method: &'static str, body: Value| {
        let sandbox = sandbox.clone();
        async move {
            let path = format!("/filesystem.Filesystem/{method}");
            sandbox.unary("user", &path, body).await.1
        }
    };
    let id = call("CreateWatcher", json!({"path": "dir"})).await["watcherId"].clone();
    sandbox
        .sh("echo x > dir/sub/file; mkdir dir/new; mv dir/sub/file dir/moved; rm dir/moved")
        .await;
    let mut seen = Vec::new();
    while seen.last() != Some(&("moved".to_owned(), "EVENT_TYPE_REMOVE".to_owned())) {
        let (flags, message) = stream.next().await.unwrap();
        assert_eq!(flags, 0, "{message}");
        let event = &message["filesystem"];
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        if text("name") == "new" {
            assert_eq!(event["entry"]["type"], "FILE_TYPE_DIRECTORY");
        }
        seen.push((text("name"), text("type")));
    }
    for (name, kind) in [
        ("sub/file", "CREATE"),
        ("sub/file", "WRITE"),
        ("new", "CREATE"),
        ("sub/file", "RENAME"),
        ("moved", "CREATE"),
    ] {
        let event = (name.to_owned(), format!("EVENT_TYPE_{kind}"));
        assert!(seen.contains(&event), "{event:?} in {seen:?}");
    }
    let asked = call("GetWatcherEvents", json!({"watcherId": id})).await;
    let names: Vec<_> =
        asked["events"].as_array().unwrap().iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["new", "moved", "moved"]);
    assert_eq!(call("GetWatcherEvents", json!({"watcherId": id})).await, json!({}));
    assert_eq!(call("RemoveWatcher", json!({"watcherId": id})).await, json!({}));
    assert_eq!(call("RemoveWatcher", json!({"watcherId": id})).await["code"], "not_found");
    let none = call("CreateWatcher", json!({"path": "none"})).await;
    assert_eq!(none["code"], "not_found");
    let file = call("CreateWatcher", json!({"path": ".bashrc"})).await;
    assert_eq!(file["code"], "invalid_argument");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_files_is_kept_shown_and_replaced() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let upload = |metadata: &[(&str, &str)]| {
        let mut request = sandbox
            .request("POST", "/files")
            .query(&[("path", "tagged"), ("username", "user")])
            .header("Content-Type", "application/octet-stream");
        for (key, value) in metadata {
            request = request.header(format!("X-Metadata-{key}"), *value);
        }
        request.body("data").send()
    };
    let stat = |path: &'static str| {
        let sandbox = &sandbox;
        async move {
            let body = json!({"path": path});
            sandbox.unary("user", "/filesystem.Filesystem/Stat", body).await.1["entry"]["metadata"]
                .clone()
        }
    };
    let reply: Value =
        upload(&[("Author", "me"), ("run", "7")]).await.unwrap().json().await.unwrap();
    assert_eq!(reply[0]["metadata"], json!({"author": "me", "run": "7"}));
    assert_eq!(stat("tagged").await, json!({"author": "me", "run": "7"}));
    let body = json!({"source": "tagged", "destination": "moved"});
    let (_, moved) = sandbox.unary("user", "/filesystem.Filesystem/Move", body).await;
    assert_eq!(moved["entry"]["metadata"]["run"], "7");
    let (_, list) =
        sandbox.unary("user", "/filesystem.Filesystem/ListDir", json!({"path": "~"})).await;
    let listed = list["entries"].as_array().unwrap().iter().find(|entry| entry["name"] == "moved");
    assert_eq!(listed.unwrap()["metadata"]["author"], "me");

    upload(&[("a", "1"), ("b", "2")]).await.unwrap();
    upload(&[("a", "3")]).await.unwrap();
    assert_eq!(stat("tagged").await, json!({"a": "3"}));
    let plain: Value = upload(&[]).await.unwrap().json().await.unwrap();
    assert_eq!((&plain[0]["metadata"], stat("tagged").await), (&Value::Null, Value::Null));
    // What a command puts there itself is shown; what is not metadata is not.
    let program = "import os; os.setxattr('tagged', b'user.e2b.own', b'x'); os.setxattr('tagged', b'user.other', b'y'); \
                   os.setxattr('tagged', b'user.e2b.odd', b'\\xff')";
    assert_eq!(sandbox.sh(&format!("python3 -c \"{program}\"")).await.exit, Some(0));
    assert_eq!(stat("tagged").await, json!({"own": "x"}));
    let reply = upload(&[("k", &"v".repeat(5000))]).await.unwrap();
    assert_eq!(reply.status(), 400);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_gets_its_answer_although_it_was_not_read() {
    let rig = rig().await;
    for path in ["/files?path=x&signature=v1_wrong", "/v2/sandboxes"] {
        for _ in 0..5 {
            let body = vec![0; 8 << 20];
            let request = rig.client.post(format!("{}{path}", rig.url)).body(body);
            let reply = request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
            assert_eq!(reply.status(), 401);
        }
    }
    let mut stranger = rig.create(json!({})).await;
    stranger.token = "wrong".into();
    for path in ["/process.Process/Start", "/files?path=x", "/no/such/call"] {
        for _ in 0..10 {
            let pieces = (0..16).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 64 << 10]));
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
            let reply = stranger.request("POST", path).body(body).send().await.unwrap();
            assert_eq!(reply.status(), 401, "{path}");
        }
    }
    let gone = rig.client.post(format!("{}/files?path=x", rig.url));
    let gone = gone.header("E2b-Sandbox-Id", "igone").header("E2b-Sandbox-Port", "49983");
    assert_eq!(gone.body(vec![0; 8 << 20]).send().await.unwrap().status(), 502);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_file_is_not_sent_again() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    sandbox.sh("echo -n 0123456789 >f; touch -d @1000000000 f").await;
    let date = "Sun, 09 Sep 2001 01:46:40 GMT";
    let get = |headers: &[(&'static str, &'static str)]| {
        let mut request = sandbox.request("GET", "/files?path=f&username=user");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move {
            let reply = request.send().await.unwrap();
            assert_eq!(reply.headers()["last-modified"], date);
            (reply.status().as_u16(), reply.bytes().await.unwrap().len())
        }
    };
    let earlier = "Sun, 09 Sep 2001 01:46:39 GMT";
    assert_eq!(get(&[("If-Modified-Since", date)]).await, (304, 0));
    assert_eq!(get(&[("If-Modified-Since", earlier)]).await, (200, 10));
    assert_eq!(get(&[("If-Modified-Since", "soon")]).await, (200, 10));
    assert_eq!(get(&[("Range", "bytes=0-3"), ("If-Range", date)]).await, (206, 4));
    assert_eq!(get(&[("Range", "bytes=0-3"), ("If-Range", earlier)]).await, (200, 10));
    rig.end().await;
}
