//! `/files`: downloads, uploads, links, and putting files together.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::pair::{Pair, Side};

pub(crate) async fn compare(pair: &mut Pair) {
    pair.prepare(
        "seq 1 100 >f.txt; : >empty; mkdir dir; ln -s f.txt link; ln -s nowhere dangling; \
         cp f.txt 'odd \"name\" ü;x.json'; cp f.txt plain; printf '<html>' >page.html; printf '\\x89PNG\\r\\n\\x1a\\n' >p; \
         touch -d @1700000000 f.txt empty plain",
    )
    .await;
    downloads(pair).await;
    conditions(pair).await;
    links(pair).await;
    raw_uploads(pair).await;
    forms(pair).await;
    compose(pair).await;
}

async fn downloads(pair: &mut Pair) {
    for name in [
        "f.txt",
        "empty",
        "dir",
        "link",
        "dangling",
        "none",
        "f.txt/under",
        "plain",
        "page.html",
        "p",
        "odd \"name\" ü;x.json",
        "./dir/../f.txt",
    ] {
        pair.same(&format!("download {name}"), async |s| s.file("GET", name)).await;
    }
    for range in [
        "bytes=0-9",
        "bytes=90-",
        "bytes=-5",
        "bytes=-9999",
        "bytes=291-400",
        "bytes=292-",
        "bytes=9999-",
        "bytes=-0",
        "bytes=5-1",
        "bytes=0-1,3-4",
        "bytes=0-1, 290-",
        "lines=0-1",
        "bytes=",
        "bytes=a-b",
        "bytes= 0-9",
        "bytes=0-9,",
        "bytes=--1",
        "0-9",
    ] {
        pair.same(&format!("range {range:?}"), async |s| {
            s.file("GET", "f.txt").header("range", range)
        })
        .await;
    }
    for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
        pair.same(&format!("range {range:?} of an empty file"), async |s| {
            s.file("GET", "empty").header("range", range)
        })
        .await;
    }
    for encoding in [
        "gzip",
        "identity",
        "*",
        "br",
        "identity;q=0",
        "gzip;q=0",
        "gzip;q=0.5, identity;q=1",
        "identity;q=0, gzip",
        "*;q=0",
        "deflate, gzip;q=1.0",
        ";;",
    ] {
        pair.same(&format!("accepting {encoding:?}"), async |s| {
            s.file("GET", "f.txt").header("accept-encoding", encoding)
        })
        .await;
    }
    pair.same("accepting gzip and a range", async |s| {
        s.file("GET", "f.txt").header("accept-encoding", "gzip").header("range", "bytes=0-9")
    })
    .await;
    pair.same("refusing identity for a range", async |s| {
        s.file("GET", "f.txt")
            .header("accept-encoding", "identity;q=0")
            .header("range", "bytes=0-9")
    })
    .await;
    for method in ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        pair.same(&format!("files by {method}"), async |s| s.file(method, "f.txt")).await;
    }
    for (name, query) in [
        ("no path", "username=user"),
        ("nothing", ""),
        ("an empty path", "path=&username=user"),
        ("a home", "path=~&username=user"),
        ("a file of a home", "path=~/.profile&username=user"),
        ("another's home", "path=~root/x&username=user"),
        ("a NUL", "path=/a%00b&username=user"),
        ("a relative path", "path=none/x&username=user"),
        ("an unknown user", "path=/etc/passwd&username=nobody-here"),
        ("an empty user", "path=/nothing&username="),
        ("no user", "path=/nothing"),
        ("root", "path=/nothing&username=root"),
        ("the path twice", "path=/nothing&path=/other&username=user"),
        ("bytes that are no text", "path=/%ff&username=user"),
    ] {
        pair.same(&format!("download with {name}"), async |s| {
            s.request("GET", &format!("/files?{query}"))
        })
        .await;
    }
}

async fn conditions(pair: &mut Pair) {
    let (before, same, after) = (
        "Tue, 14 Nov 2023 22:13:19 GMT",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        "Tue, 14 Nov 2023 22:13:21 GMT",
    );
    for (header, values) in [
        ("if-modified-since", vec![before, same, after, "soon"]),
        ("if-unmodified-since", vec![before, same, after, "soon"]),
        ("if-none-match", vec!["*", "\"x\"", "W/\"x\"", "x"]),
        ("if-match", vec!["*", "\"x\""]),
    ] {
        for value in values {
            pair.same(&format!("{header}: {value}"), async |s| {
                s.file("GET", "f.txt").header(header, value)
            })
            .await;
        }
    }
    for value in [before, same, after, "\"x\"", "soon"] {
        pair.same(&format!("if-range: {value}"), async |s| {
            s.file("GET", "f.txt").header("if-range", value).header("range", "bytes=0-9")
        })
        .await;
    }
    pair.same("if-none-match above if-modified-since", async |s| {
        s.file("GET", "f.txt").header("if-none-match", "\"x\"").header("if-modified-since", after)
    })
    .await;
    pair.same("if-unmodified-since and a range", async |s| {
        s.file("GET", "f.txt").header("if-unmodified-since", before).header("range", "bytes=0-9")
    })
    .await;
    pair.same("if-modified-since of a missing file", async |s| {
        s.file("GET", "none").header("if-modified-since", after)
    })
    .await;
}

fn sign(path: &str, operation: &str, user: &str, token: &str, expiry: Option<i64>) -> String {
    use base64::Engine as _;
    let expiry = expiry.map(|expiry| format!(":{expiry}")).unwrap_or_default();
    let digest = Sha256::digest(format!("{path}:{operation}:{user}:{token}{expiry}"));
    format!("v1_{}", base64::prelude::BASE64_STANDARD_NO_PAD.encode(digest))
}

async fn links(pair: &mut Pair) {
    let link =
        |s: &Side, method: &str, operation: &str, user: &str, expiry: Option<i64>, token: &str| {
            let path = s.path("f.txt");
            let mut query = vec![
                ("path", path.clone()),
                ("signature", sign(&path, operation, user, token, expiry)),
            ];
            if !user.is_empty() {
                query.push(("username", user.to_owned()));
            }
            if let Some(expiry) = expiry {
                query.push(("signature_expiration", expiry.to_string()));
            }
            s.bare(method, "/files").query(&query)
        };
    pair.same("a signed link", async |s| link(s, "GET", "read", "user", None, s.token())).await;
    pair.same("a signed link without a user", async |s| {
        link(s, "GET", "read", "", None, s.token())
    })
    .await;
    pair.same("a link that lasts", async |s| {
        link(s, "GET", "read", "user", Some(9_999_999_999), s.token())
    })
    .await;
    pair.same("a link that is over", async |s| link(s, "GET", "read", "user", Some(1), s.token()))
        .await;
    pair.same("a link for writing, read", async |s| {
        link(s, "GET", "write", "user", None, s.token())
    })
    .await;
    pair.same("a link by another token", async |s| link(s, "GET", "read", "user", None, "other"))
        .await;
    pair.same("a link for reading, written", async |s| {
        link(s, "POST", "read", "user", None, s.token())
            .header("content-type", "application/octet-stream")
            .body("x")
    })
    .await;
    pair.same("no signature", async |s| {
        s.bare("GET", "/files").query(&[("path", s.path("f.txt"))])
    })
    .await;
    pair.same("a wrong token beside a right signature", async |s| {
        link(s, "GET", "read", "user", None, s.token()).header("x-access-token", "wrong")
    })
    .await;
    pair.same("an expiry that is no number", async |s| {
        s.bare("GET", "/files").query(&[
            ("path", s.path("f.txt")),
            ("signature", "v1_x".into()),
            ("signature_expiration", "soon".into()),
        ])
    })
    .await;
}

/// What is in a file.
async fn contents(s: &Side, name: &str) -> Value {
    let answer = s.file("GET", name).send().await.unwrap();
    s.answer(answer).await["body"].clone()
}

async fn raw_uploads(pair: &mut Pair) {
    let raw = |s: &Side, name: &str, body: &'static [u8]| {
        s.file("POST", name).header("content-type", "application/octet-stream").body(body)
    };
    for (name, body) in [
        ("up", &b"first"[..]),
        ("up", b"2"),
        ("deep/er/up", b"x"),
        ("nothing", b""),
        ("dir", b"x"),
        ("f.txt/under", b"x"),
        ("link", b"through"),
        ("dangling", b"made"),
    ] {
        pair.same(&format!("upload {name} of {} bytes", body.len()), async |s| raw(s, name, body))
            .await;
    }
    for name in ["up", "f.txt", "nowhere"] {
        pair.alike(&format!("what {name} is after uploads"), async |s| contents(s, name).await)
            .await;
    }
    pair.same("what an upload made", async |s| {
        s.call("/filesystem.Filesystem/ListDir", &json!({"path": s.path("deep"), "depth": 3}))
    })
    .await;
    for (name, kind) in [
        ("no type", ""),
        ("text", "text/plain"),
        ("JSON", "application/json"),
        ("a type with parameters", "application/octet-stream; x=y"),
        ("a type in capitals", "APPLICATION/Octet-Stream"),
        ("a type that begins like it", "application/octet-streams"),
    ] {
        pair.same(&format!("upload with {name}"), async |s| {
            let request = s.file("POST", "typed").body("x");
            if kind.is_empty() { request } else { request.header("content-type", kind) }
        })
        .await;
    }
    pair.same("upload without a path", async |s| {
        s.request("POST", "/files?username=user")
            .header("content-type", "application/octet-stream")
            .body("x")
    })
    .await;
    pair.same("upload with an unknown user", async |s| {
        s.request("POST", "/files?path=/tmp/x&username=nobody-here")
            .header("content-type", "application/octet-stream")
            .body("x")
    })
    .await;
    for (name, encoding, body) in [
        ("gzip", "gzip", gzip(b"packed")),
        ("gzip twice over", "gzip", [gzip(b"one"), gzip(b"two")].concat()),
        ("gzip that is none", "gzip", b"plain text".to_vec()),
        ("gzip that is cut", "gzip", gzip(&[7; 500])[..20].to_vec()),
        ("no bytes of gzip", "gzip", vec![]),
        ("gzip in capitals", "GZIP", gzip(b"packed")),
        ("brotli", "br", b"x".to_vec()),
        ("identity", "identity", b"x".to_vec()),
    ] {
        pair.same(&format!("upload of {name}"), async |s| {
            s.file("POST", "packed")
                .header("content-type", "application/octet-stream")
                .header("content-encoding", encoding)
                .body(body.clone())
        })
        .await;
        pair.alike(&format!("what came of {name}"), async |s| contents(s, "packed").await).await;
    }
    metadata(pair).await;
}

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

async fn metadata(pair: &mut Pair) {
    for (name, header, value) in [
        ("a label", "X-Metadata-Author", "a b"),
        ("an empty label", "X-Metadata-Empty", ""),
        ("a label without a name", "X-Metadata-", "x"),
        ("a label with a tab", "X-Metadata-Tab", "a\tb"),
        ("a label of another name", "X-Meta-Author", "x"),
    ] {
        pair.same(&format!("upload with {name}"), async |s| {
            s.file("POST", "labelled")
                .header("content-type", "application/octet-stream")
                .header(header, value)
                .body("x")
        })
        .await;
        pair.same(&format!("stat after {name}"), async |s| {
            s.call("/filesystem.Filesystem/Stat", &json!({"path": s.path("labelled")}))
        })
        .await;
    }
    let long = format!("X-Metadata-{}", "k".repeat(247));
    pair.same("upload with a label that is too long", async |s| {
        s.file("POST", "labelled")
            .header("content-type", "application/octet-stream")
            .header(&long, "x")
            .body("x")
    })
    .await;
    let large = "v".repeat(5000);
    pair.same("upload with a label that is too large", async |s| {
        s.file("POST", "labelled")
            .header("content-type", "application/octet-stream")
            .header("x-metadata-a", &large)
            .body("x")
    })
    .await;
}

async fn forms(pair: &mut Pair) {
    let part = |text: &'static str, name: &str| Part::text(text).file_name(name.to_owned());
    let to = |s: &Side, path: Option<&str>| {
        let mut query = vec![("username", "user".to_owned())];
        query.extend(path.map(|path| ("path", s.path(path))));
        s.request("POST", "/files").query(&query)
    };
    pair.same("a form with a path", async |s| {
        to(s, Some("form1")).multipart(Form::new().part("file", part("one", "ignored")))
    })
    .await;
    pair.same("a form without a path", async |s| {
        to(s, None).multipart(
            Form::new()
                .part("file", part("one", &s.path("form2")))
                .part("file", part("two", &s.path("sub/form3"))),
        )
    })
    .await;
    pair.same("a form with relative names", async |s| {
        let dir = s.dir.strip_prefix("/home/user/").unwrap();
        to(s, None).multipart(Form::new().part("file", part("one", &format!("{dir}/form4"))))
    })
    .await;
    pair.same("a form with a name twice", async |s| {
        to(s, None).multipart(
            Form::new()
                .part("file", part("one", &s.path("form5")))
                .part("file", part("two", &s.path("form5"))),
        )
    })
    .await;
    pair.same("a form with two parts for one path", async |s| {
        to(s, Some("form6"))
            .multipart(Form::new().part("file", part("one", "a")).part("file", part("two", "b")))
    })
    .await;
    pair.same("a form with another field", async |s| {
        to(s, Some("form7"))
            .multipart(Form::new().text("other", "x").part("file", part("one", "a")))
    })
    .await;
    pair.same("a form with other fields alone", async |s| {
        to(s, Some("form8")).multipart(Form::new().text("other", "x"))
    })
    .await;
    pair.same("a form with a part without a name", async |s| {
        to(s, None).multipart(Form::new().part("file", Part::text("one")))
    })
    .await;
    pair.same("a form for a directory", async |s| {
        to(s, Some("dir")).multipart(Form::new().part("file", part("one", "a")))
    })
    .await;
    for (name, kind, body) in [
        ("without a boundary", "multipart/form-data", "x"),
        ("that is none", "multipart/form-data; boundary=b", "x"),
        ("that is empty", "multipart/form-data; boundary=b", ""),
        (
            "that is cut",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/tmp/cut\"\r\n\r\nhal",
        ),
        ("with no parts", "multipart/form-data; boundary=b", "--b--\r\n"),
        (
            "of another kind",
            "multipart/mixed; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/tmp/mixed\"\r\n\r\nx\r\n--b--\r\n",
        ),
    ] {
        pair.same(&format!("a form {name}"), async |s| {
            to(s, None).header("content-type", kind).body(body)
        })
        .await;
    }
    pair.alike("what the forms wrote", async |s| {
        let mut all = Vec::new();
        for name in ["form1", "form2", "sub/form3", "form4", "form5", "form6", "form7"] {
            all.push(contents(s, name).await);
        }
        json!(all)
    })
    .await;
}

async fn compose(pair: &mut Pair) {
    pair.prepare("printf one >c1; printf two >c2; printf three >c3; mkdir cdir; printf old >there")
        .await;
    let compose = |s: &Side, body: &Value| {
        s.request("POST", "/files/compose")
            .header("content-type", "application/json")
            .body(body.to_string())
    };
    for (name, sources, destination) in [
        ("of nothing", vec![], "x"),
        ("to nowhere", vec!["c1"], ""),
        ("of what is missing", vec!["c1", "none"], "x"),
        ("of a directory", vec!["c1", "cdir"], "x"),
        ("of its own target", vec!["c1", "there"], "there"),
        ("to a directory", vec!["c1"], "cdir"),
        ("of two", vec!["c2", "c1"], "new/composed"),
        ("over what was there", vec!["c3"], "there"),
        ("again", vec!["c3"], "there"),
    ] {
        pair.same(&format!("compose {name}"), async |s| {
            let sources: Vec<_> = sources.iter().map(|name| s.path(name)).collect();
            let to = if destination.is_empty() { String::new() } else { s.path(destination) };
            compose(s, &json!({"source_paths": sources, "destination": to, "username": "user"}))
        })
        .await;
    }
    for (name, body) in [
        ("with nothing", json!({})),
        ("with a list", json!([])),
        (
            "with an unknown user",
            json!({"source_paths": ["/etc/passwd"], "destination": "/tmp/x", "username": "nobody-here"}),
        ),
        (
            "with another's home",
            json!({"source_paths": ["~root/x"], "destination": "/tmp/x", "username": "user"}),
        ),
    ] {
        pair.same(&format!("compose {name}"), async |s| compose(s, &body)).await;
    }
    pair.same("compose without a token", async |s| {
        s.bare("POST", "/files/compose").json(&json!({}))
    })
    .await;
    pair.same("compose by GET", async |s| s.request("GET", "/files/compose")).await;
    pair.alike("what was composed", async |s| {
        json!([contents(s, "new/composed").await, contents(s, "there").await])
    })
    .await;
    pair.same("what composing left", async |s| {
        s.call("/filesystem.Filesystem/ListDir", &json!({"path": s.path("new"), "depth": 3}))
    })
    .await;
}
