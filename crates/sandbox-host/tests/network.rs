//! What sandboxes reach under network rules: by host name through the host's proxy, or not at all.
//! The servers of these tests are on loopback, so the hosts here let rules allow private addresses
//! unless a test says otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test says what it found by failing"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};
use support::{Rig, Sandbox, rig, rig_with};

/// A web server on loopback that answers every request with its first line and its host.
fn server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut bytes = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut bytes) {
                        Ok(count @ 1..) => head.extend_from_slice(&bytes[..count]),
                        Ok(0) | Err(_) => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let mut lines: Vec<&str> = head.lines().collect();
                lines.retain(|line| {
                    line.starts_with("get ")
                        || line.starts_with("host:")
                        || line.starts_with("proxy")
                });
                let body = lines.join("|");
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
                let _client_gone = write!(stream, "{head}{}\r\n\r\n{body}", body.len());
            });
        }
    });
    port
}

async fn private_rig() -> Rig {
    rig_with(|config| config.allow_private_addresses = true).await
}

fn only(hosts: &[&str], port: u16) -> Value {
    json!({"network": {"allowOut": hosts, "denyOut": ["0.0.0.0/0"], "httpsPorts": [port]}})
}

/// The body and the status of a GET; curl's own failure if there is no answer.
async fn get(sandbox: &Sandbox, options: &str, url: &str) -> String {
    let command =
        format!("curl -sS -m 20 -w ' %{{http_code}}' {options} '{url}' 2>&1 || echo failed");
    sandbox.sh(&command).await.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_name_is_reached_and_another_is_not() {
    let rig = private_rig().await;
    let port = server();
    let sandbox = rig.create(only(&["localhost"], port)).await;
    // `localhost` itself is not proxied by default; an option asks for it.
    let proxied = "--noproxy ''";
    let want = format!("get /a?b=1 http/1.1|host: localhost:{port} 200");
    assert_eq!(get(&sandbox, proxied, &format!("http://localhost:{port}/a?b=1")).await, want);
    let tunnel = format!("{proxied} --proxytunnel");
    // Plain HTTP goes by whole addresses: in a tunnel each request could name another host.
    let plain = get(&sandbox, &tunnel, &format!("http://LOCALHOST.:{port}/a?b=1")).await;
    assert!(plain.ends_with("failed\n") && !plain.contains("get /a"), "{plain}");

    let denied = get(&sandbox, proxied, "http://example.invalid/").await;
    assert!(denied.contains("not allowed by this sandbox's network rules"), "{denied}");
    assert!(denied.ends_with(" 403"), "{denied}");
    let denied = get(&sandbox, &tunnel, "https://example.invalid/").await;
    assert!(denied.contains("403") && denied.ends_with("failed\n"), "{denied}");
    // By address, by another port, by a forged host: still no.
    for (options, url) in [
        (proxied, format!("http://127.0.0.1:{port}/")),
        (proxied, "http://localhost:1/".to_owned()),
        ("--noproxy '' -H 'Host: localhost'", "http://example.invalid/".to_owned()),
    ] {
        let denied = get(&sandbox, options, &url).await;
        assert!(denied.ends_with(" 403"), "{url}: {denied}");
    }
    // The name that was checked is the name that is sent.
    let forged = "--noproxy '' -H 'Host: other.example' -H 'Proxy-Authorization: Basic eDp5'";
    assert_eq!(
        get(&sandbox, forged, &format!("http://localhost:{port}/")).await,
        format!("get / http/1.1|host: localhost:{port} 200")
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_find_the_proxy_by_themselves() {
    let rig = private_rig().await;
    let port = server();
    let sandbox = rig.create(only(&["localhost"], port)).await;
    let program = format!(
        "import os, urllib.request; os.environ.pop('no_proxy'); os.environ.pop('NO_PROXY')\n\
         print(urllib.request.urlopen('http://localhost:{port}/py').read().decode())"
    );
    let output = sandbox.sh(&format!("python3 -c \"{program}\"")).await;
    assert_eq!(
        output.stdout,
        format!("get /py http/1.1|host: localhost:{port}\n"),
        "{}",
        output.stderr
    );
    let output = sandbox.sh("env | grep -ci _proxy=").await;
    assert_eq!(output.stdout, "9\n");
    // The caller's own environment counts more.
    let own = rig
        .create(json!({"envVars": {"HTTPS_PROXY": "mine"}, "network": {"allowOut": ["1.1.1.1"]}}));
    assert_eq!(own.await.sh("echo $HTTPS_PROXY").await.stdout, "mine\n");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_by_the_proxy() {
    let rig = private_rig().await;
    let port = server();
    let sandbox = rig.create(only(&["localhost"], port)).await;
    for (probe, want) in [
        (format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"), ""),
        ("exec 3<>/dev/tcp/1.1.1.1/443 && echo reached".to_owned(), ""),
        ("exec 3<>/dev/udp/1.1.1.1/53 && echo x >&3 && echo reached".to_owned(), ""),
        ("cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '".to_owned(), "lo\n"),
        ("getent hosts example.com && echo resolved".to_owned(), ""),
    ] {
        assert_eq!(sandbox.run("root", &probe).await.stdout, want, "{probe}");
    }
    // Nor is the proxy for those outside.
    let reply = rig
        .client
        .get(format!("{}/", rig.url))
        .header("E2b-Sandbox-Id", &sandbox.id)
        .header("E2b-Sandbox-Port", "49984");
    let reply = reply.send().await.unwrap();
    assert_eq!(reply.status(), 502);
    assert!(reply.text().await.unwrap().contains("port is not open"));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_never_reached_and_private_addresses_only_by_the_operators_leave() {
    let strict = rig().await;
    let port = server();
    let all = json!({"allow_internet_access": true,
        "network": {"allowOut": ["localhost", "127.0.0.0/8", "169.254.169.254", "::1"],
            "denyOut": ["0.0.0.0/0"], "httpsPorts": [port]}});
    let sandbox = strict.create(all.clone()).await;
    let proxied = "-g --noproxy ''";
    for url in [
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let denied = get(&sandbox, proxied, &url).await;
        assert!(denied.contains("private address") && denied.ends_with(" 403"), "{url}: {denied}");
    }
    // An address in disguise is looked up like a name, and then is what it is.
    let open = json!({"allow_internet_access": true, "network": {"denyOut": ["9.9.9.9"]}});
    let sandbox = strict.create(open).await;
    for url in [
        format!("http://2130706433:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
    ] {
        // Sent as it is: curl would make an ordinary address of it.
        let host = url.strip_prefix("http://").unwrap();
        let request =
            format!("GET {url} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n");
        let probe =
            format!("exec 3<>/dev/tcp/127.0.0.1/49984; printf '{request}' >&3; head -1 <&3");
        let answer = sandbox.sh(&probe).await.stdout;
        assert!(
            answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 502"),
            "{url}: {answer}"
        );
    }
    strict.end().await;

    let lenient = private_rig().await;
    let sandbox = lenient.create(all).await;
    let denied = get(&sandbox, proxied, "http://169.254.169.254/latest/meta-data/").await;
    assert!(denied.ends_with(" 403"), "{denied}");
    let reached = get(&sandbox, proxied, &format!("http://127.0.0.1:{port}/")).await;
    assert!(reached.ends_with(" 200"), "{reached}");
    lenient.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_can_be_changed_and_are_shown() {
    let rig = private_rig().await;
    let port = server();
    let sandbox = rig.create(json!({})).await;
    let url = format!("http://localhost:{port}/");
    let reach = || async { get(&sandbox, "--noproxy ''", &url).await };
    assert_eq!(sandbox.sh("env | grep -ci _proxy=").await.stdout, "0\n");
    let path = format!("/sandboxes/{}/network", sandbox.id);
    let rules = only(&["localhost"], port)["network"].clone();
    assert_eq!(rig.status("PUT", &path, rules.clone()).await, 204);
    assert!(reach().await.ends_with(" 200"));
    let detail = rig.api("GET", &format!("/sandboxes/{}", sandbox.id)).send().await.unwrap();
    let detail: Value = detail.json().await.unwrap();
    assert_eq!((&detail["network"], &detail["allowInternetAccess"]), (&rules, &Value::Null));
    assert_eq!(rig.status("PUT", &path, json!({"denyOut": ["example.com"]})).await, 400);
    assert!(reach().await.ends_with(" 200"), "a refused change changed something");
    assert_eq!(rig.status("PUT", &path, json!({"allow_internet_access": true})).await, 204);
    assert!(reach().await.ends_with(" 200"));
    assert_eq!(rig.status("PUT", &path, json!({})).await, 204);
    assert!(reach().await.ends_with("failed\n"));
    // What has the machine's network keeps it, so a restriction is refused, not pretended.
    let shared = rig.create(json!({"allow_internet_access": true})).await;
    let path = format!("/sandboxes/{}/network", shared.id);
    assert_eq!(rig.status("PUT", &path, json!({"denyOut": ["0.0.0.0/0"]})).await, 409);
    assert_eq!(rig.status("PUT", "/sandboxes/inone/network", json!({})).await, 404);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_internet_gives_none_by_rules_either_and_wrong_rules_are_refused() {
    let rig = rig_with(|config| {
        config.allow_internet = false;
        config.allow_private_addresses = true;
    })
    .await;
    let port = server();
    let sandbox = rig.create(only(&["localhost"], port)).await;
    let url = format!("http://localhost:{port}/");
    let answer = get(&sandbox, "-x http://127.0.0.1:49984 --noproxy ''", &url).await;
    assert!(answer.ends_with(" 403"));
    for (network, field) in [
        (json!({"allowOut": ["example.com"]}), "allowOut"),
        (json!({"denyOut": ["example.com"]}), "denyOut"),
        (json!("x"), "network"),
    ] {
        let body = json!({"templateID": "base", "network": network});
        let reply = rig.api("POST", "/v2/sandboxes").json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 400);
        let text = reply.text().await.unwrap();
        assert!(text.contains(field), "{text}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn internet_access_can_mean_the_proxy_for_all() {
    let rig = rig_with(|config| config.internet_by_proxy = true).await;
    let port = server();
    let sandbox = rig.create(json!({"allow_internet_access": true})).await;
    let probe = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    assert_eq!(sandbox.sh(&probe).await.stdout, "");
    for url in [format!("http://127.0.0.1:{port}/"), "http://169.254.169.254/".to_owned()] {
        let denied = get(&sandbox, "--noproxy ''", &url).await;
        assert!(denied.contains("private address") && denied.ends_with(" 403"), "{url}: {denied}");
    }
    let path = format!("/sandboxes/{}/network", sandbox.id);
    assert_eq!(rig.status("PUT", &path, json!({"denyOut": ["0.0.0.0/0"]})).await, 204);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_end_with_their_sandbox() {
    let rig = private_rig().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = rig.create(only(&["localhost"], port)).await;
    let connect = format!("CONNECT localhost:{port} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n");
    let command = format!(
        "exec 3<>/dev/tcp/127.0.0.1/49984; printf '{connect}' >&3; read -r line <&3; echo $line; read -r empty <&3; python3 -c \"{HELLO}\" localhost >&3; sleep 60"
    );
    let stream = sandbox.start("user", &command).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut hello = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut peer, &mut hello).await.unwrap();
    assert_eq!(hello[0], 22, "not the record of a handshake: {hello:?}");
    assert_eq!(rig.status("DELETE", &format!("/sandboxes/{}", sandbox.id), json!({})).await, 204);
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut rest);
    let end = tokio::time::timeout(std::time::Duration::from_secs(20), end).await;
    let _cut_or_closed = end.expect("the tunnel is still open");
    assert_eq!(stream.collect().await.error.as_deref(), Some("cut"));
    rig.end().await;
}

/// Writes the first message of a TLS client that asks for the host of the first argument.
const HELLO: &str = "import ssl, sys; \
    out = ssl.MemoryBIO(); \
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=sys.argv[1]); \
    \n\
try: tls.do_handshake() \n\
except ssl.SSLWantReadError: pass\n\
sys.stdout.buffer.write(out.read())";

/// Otherwise an allowed name would open every other name behind the same address.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_for_tls_to_an_allowed_name_alone() {
    let rig = private_rig().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = rig.create(only(&["localhost", "*.example.com"], port)).await;
    assert_eq!(sandbox.write("hello.py", HELLO).await.0, 200);
    let accepting = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let _cut = tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut bytes).await;
            seen.push(bytes.first().copied());
            if seen.len() == 5 {
                return seen;
            }
        }
    });
    for (first, passes) in [
        ("python3 hello.py localhost", true),
        ("python3 hello.py a.example.com", true),
        ("python3 hello.py evil.example", false),
        ("printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'", false),
        ("printf 'SSH-2.0-x\\r\\n'", false),
    ] {
        let connect = format!("CONNECT localhost:{port} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n");
        let command = format!(
            "exec 3<>/dev/tcp/127.0.0.1/49984; printf '{connect}' >&3; read -r line <&3; echo $line; \
             read -r empty <&3; {first} >&3; exec 3>&-; exec 3<&-; sleep 0.2"
        );
        let output = sandbox.sh(&command).await;
        assert!(output.stdout.contains("200"), "{first}, to pass: {passes}: {output:?}");
    }
    let limit = std::time::Duration::from_secs(30);
    let seen = tokio::time::timeout(limit, accepting).await.expect("five connections").unwrap();
    // The first byte of a handshake's record where it passed; nothing at all where not.
    assert_eq!(seen, [Some(22), Some(22), None, None, None]);
    rig.end().await;
}
