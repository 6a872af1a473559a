//! Bytes that no client sends: the daemon answers them, keeps its memory, and goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use rand::rngs::StdRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use serde_json::json;
use support::{Sandbox, rig};

/// The same bytes in every run.
fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// Parts of what the daemon reads, with random bytes between them.
fn mixture(random: &mut StdRng, words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.random_range(0..12) {
        if random.random_bool(0.7) {
            bytes.extend_from_slice(words[random.random_range(0..words.len())]);
        } else {
            let mut noise = vec![0; random.random_range(0..40)];
            random.fill_bytes(&mut noise);
            bytes.extend(noise);
        }
    }
    bytes
}

async fn is_well(sandbox: &Sandbox) {
    assert_eq!(sandbox.health().await, 204);
    assert_eq!(sandbox.sh("echo well").await.stdout, "well\n");
    let status = sandbox.run("root", "grep VmHWM /proc/1/status | tr -cd 0-9").await.stdout;
    let kilobytes: u64 = status.parse().unwrap();
    assert!(kilobytes < 64 << 10, "the daemon took {kilobytes} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_and_messages_of_any_bytes_are_answered() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let mut random = random();
    let start = br#"{"process":{"cmd":"/bin/true"}}"#;
    let words: [&[u8]; 12] = [
        &[0, 0, 0, 0, 31],
        start,
        &[0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 2],
        b"{}",
        &[1, 0, 0, 0, 4],
        &[0, 0xff, 0xff, 0xff, 0xff],
        &[0, 0x7f, 0xff, 0xff, 0xff],
        br#"{"process":{"pid":1}}"#,
        &[0x1f, 0x8b, 8, 0],
        b"[[[[[[[[[[[[[[[[",
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ];
    for _ in 0..300 {
        let method = [
            "process.Process/Start",
            "process.Process/Connect",
            "process.Process/StreamInput",
            "filesystem.Filesystem/WatchDir",
            "filesystem.Filesystem/Stat",
            "process.Process/List",
        ];
        let method = method[random.random_range(0..method.len())];
        let kinds = [
            "application/connect+json",
            "application/connect+proto",
            "application/json",
            "application/proto",
        ];
        let kind = kinds[random.random_range(0..kinds.len())];
        let body = mixture(&mut random, &words);
        let mut request = sandbox.request("POST", &format!("/{method}"));
        request = request.header("Content-Type", kind).header("Connect-Timeout-Ms", "300");
        if random.random_bool(0.2) {
            request = request.header("Connect-Content-Encoding", "gzip");
        }
        let reply = request.body(body).send().await.unwrap();
        assert_ne!(reply.status(), 502, "{method} {kind}");
        let _cut_mostly = reply.bytes().await;
    }
    is_well(&sandbox).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_ranges_and_queries_of_any_bytes_are_answered() {
    let rig = rig().await;
    let sandbox = rig.create(json!({})).await;
    let mut random = random();
    let words: [&[u8]; 11] = [
        b"--B\r\n",
        b"--B--\r\n",
        b"\r\n",
        b"Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"file\"; filename=\"../../../etc/passwd\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"file\"\r\n\r\n",
        b"Content-Disposition: form-data; name=\"file\"; filename=\"a\0b\"\r\n\r\n",
        b"Content-Type: text/plain\r\n",
        b"data",
        b"--",
        b"--B",
    ];
    for _ in 0..300 {
        let request = sandbox.request("POST", "/files?username=user");
        let request = request.header("Content-Type", "multipart/form-data; boundary=B");
        let reply = request.body(mixture(&mut random, &words)).send().await.unwrap();
        assert!([200, 400, 403, 500].contains(&reply.status().as_u16()), "{}", reply.status());
        reply.bytes().await.unwrap();
    }
    assert_eq!(sandbox.sh("head -c 5 /etc/passwd").await.stdout, "root:");
    sandbox.write("r", vec![b'x'; 1000]).await;
    for _ in 0..200 {
        let parts: [&[u8]; 9] =
            [b"bytes=", b"-", b"0", b"999", b"1000", b",", b"18446744073709551616", b" ", b"=x"];
        let mut range = mixture(&mut random, &parts);
        range.retain(|byte| (b' '..=b'~').contains(byte));
        let request = sandbox.request("GET", "/files?path=r&username=user");
        let reply =
            request.header("Range", reqwest::header::HeaderValue::from_bytes(&range).unwrap());
        let reply = reply.send().await.unwrap();
        let status = reply.status().as_u16();
        let length = reply.bytes().await.unwrap().len();
        assert!(
            matches!((status, length), (200, 1000) | (206, 1..=1000) | (416, _)),
            "{status} {length}"
        );
    }
    for _ in 0..200 {
        let words: [&[u8]; 10] = [
            b"%",
            b"%25",
            b"%00",
            b"&",
            b"=",
            b"metadata",
            b"path",
            b"nextToken",
            b"limit=5",
            b"~",
        ];
        let mut query = mixture(&mut random, &words);
        query.retain(|byte| (b'!'..=b'~').contains(byte) && *byte != b'#');
        let query = String::from_utf8(query).unwrap();
        let listed = rig.api("GET", &format!("/v2/sandboxes?{query}")).send().await.unwrap();
        assert!([200, 400].contains(&listed.status().as_u16()), "{query}: {}", listed.status());
        let read = sandbox.request("GET", &format!("/files?{query}")).send().await.unwrap();
        assert!(
            [200, 400, 401, 403, 404].contains(&read.status().as_u16()),
            "{query}: {}",
            read.status()
        );
    }
    is_well(&sandbox).await;
    rig.end().await;
}
