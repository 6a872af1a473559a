//! Files over plain HTTP: ranges, caps, uploads and their errors.

use std::time::Duration;

use airlock_e2b::{Client, Error, FileOperation};
use axum::body::Body;
use axum::response::Response;

use crate::support::{Asked, SANDBOX, Server, chunks, cut, hang, reply};

const CONTENT: &[u8] = b"0123456789";

/// A server with one file of ten bytes that serves ranges as envd does.
fn ranged(_: usize, asked: &Asked) -> Response {
    let Some(range) = asked.header("range") else { return reply(200, CONTENT) };
    let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    if start >= CONTENT.len() {
        return reply(416, r#"{"code":416,"message":"invalid range"}"#);
    }
    let end = end.min(CONTENT.len() - 1);
    let mut response = reply(206, &CONTENT[start..=end]);
    let value = format!("bytes {start}-{end}/{}", CONTENT.len());
    response.headers_mut().insert("content-range", value.parse().unwrap());
    response
}

#[tokio::test]
async fn a_file_is_read_whole_or_in_ranges() {
    let mut server = Server::start(ranged).await;
    let sandbox = server.sandbox();
    for (range, expected) in [
        (None, CONTENT),
        (Some(2..5), &CONTENT[2..5]),
        (Some(8..100), &CONTENT[8..]),
        (Some(10..20), b"".as_slice()),
        (Some(3..3), b"".as_slice()),
    ] {
        let read = sandbox.read_file(Some("root"), "/tmp/a b&c", range.clone(), 10).await.unwrap();
        assert_eq!(read, expected, "{range:?}");
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[0].target, "/files?path=%2Ftmp%2Fa+b%26c&username=root");
    assert_eq!(asked[0].header("x-access-token"), Some("token"));
    assert_eq!(asked[0].header("accept-encoding"), Some("identity"));
    assert_eq!(asked[1].header("range"), Some("bytes=2-4"));
}

#[tokio::test]
async fn a_server_without_ranges_gives_the_same_bytes() {
    let server =
        Server::start(|_, _| reply(200, chunks(CONTENT.chunks(3).map(<[u8]>::to_vec).collect())))
            .await;
    let sandbox = server.sandbox();
    for (range, expected) in
        [(2..5, &CONTENT[2..5]), (4..100, &CONTENT[4..]), (10..12, b"".as_slice())]
    {
        let read = sandbox.read_file(None, "f", Some(range.clone()), 10).await.unwrap();
        assert_eq!(read, expected, "{range:?}");
    }
}

#[tokio::test]
async fn another_range_than_asked_for_is_refused() {
    let server = Server::start(|_, _| {
        let mut response = reply(206, "abc");
        response.headers_mut().insert("content-range", "bytes 0-2/10".parse().unwrap());
        response
    })
    .await;
    let error = server.sandbox().read_file(None, "f", Some(2..5), 10).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_over_the_cap_is_an_error_however_it_comes() {
    let server = Server::start(|n, _| match n {
        0 => reply(200, CONTENT),
        _ => reply(200, chunks(vec![vec![0; 5]; 1000])),
    })
    .await;
    for _ in 0..2 {
        let error = server.sandbox().read_file(None, "f", None, 9).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 9, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_download_that_is_cut_or_stalls_gives_nothing() {
    let server = Server::start(|n, _| match n {
        0 => reply(200, cut(vec![b"abc".to_vec()])),
        1 => Response::builder()
            .header("content-length", "5")
            .body(cut(vec![b"abc".to_vec()]))
            .unwrap(),
        _ => reply(200, hang(vec![b"abc".to_vec()])),
    })
    .await;
    let mut config = server.config();
    config.timeouts.request = Duration::from_secs(1);
    let sandbox = Client::new(config).unwrap().attach("i1", "t".to_owned().into(), None);
    for _ in 0..2 {
        let error = sandbox.read_file(None, "f", None, 100).await.unwrap_err();
        assert!(matches!(error, Error::Cut { .. }), "{error:?}");
    }
    let error = sandbox.read_file(None, "f", None, 100).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn each_refusal_of_a_file_has_its_own_meaning() {
    type Check = fn(&Error) -> bool;
    let cases: [(u16, Check); 6] = [
        (400, |e| matches!(e, Error::InvalidArgument { .. })),
        (401, |e| matches!(e, Error::Auth { .. })),
        (404, |e| matches!(e, Error::NotFound { .. })),
        (429, |e| matches!(e, Error::RateLimited { .. })),
        (500, |e| matches!(e, Error::Unavailable { .. })),
        (507, |e| matches!(e, Error::InvalidArgument { .. })),
    ];
    for (status, is_right) in cases {
        let body = format!(r#"{{"code":{status},"message":"path '/s3cret' does not exist"}}"#);
        let server = Server::start(move |_, _| reply(status, body.clone())).await;
        let read = server.sandbox().read_file(None, "f", None, 1).await.unwrap_err();
        let write = server.sandbox().write_file(None, "f", "x".into()).await.unwrap_err();
        for error in [read, write] {
            assert!(is_right(&error), "{status}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
    }
}

#[tokio::test]
async fn a_file_is_sent_raw_and_to_an_old_envd_as_a_form() {
    let mut server = Server::start(|_, asked| match asked.target.as_str() {
        "/v2/sandboxes" => reply(201, SANDBOX.replace("0.6.13", "0.5.6")),
        _ => reply(200, "[]"),
    })
    .await;
    server.sandbox().write_file(None, "/a\"b", "text".into()).await.unwrap();
    let spec = airlock_e2b::CreateSandbox::new("base", Duration::from_mins(1));
    let old = server.client().create(&spec).await.unwrap();
    old.write_file(None, "/a\"b", "text".into()).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].target, "/files?path=%2Fa%22b");
    assert_eq!(asked[0].header("content-type"), Some("application/octet-stream"));
    assert_eq!(&asked[0].body[..], b"text");
    assert_eq!(asked[2].target, "/files?path=%2Fa%22b");
    let kind = asked[2].header("content-type").unwrap();
    assert!(kind.starts_with("multipart/form-data"), "{kind}");
    let body = String::from_utf8_lossy(&asked[2].body);
    assert!(body.contains(r#"name="file"; filename="file""#) && body.contains("text"), "{body}");
}

#[tokio::test]
async fn many_files_go_in_one_form_and_odd_names_by_themselves() {
    let mut server = Server::start(|_, _| reply(200, "[]")).await;
    let files = [("/a/b.txt", "1"), ("rel/c", "2"), ("/odd \"name\r\n", "3")];
    let files = files.map(|(path, data)| (path.to_owned(), data.into()));
    server.sandbox().write_files(Some("user"), files).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].target, "/files?path=%2Fodd+%22name%0D%0A&username=user");
    assert_eq!(asked[1].target, "/files?username=user");
    let body = String::from_utf8_lossy(&asked[1].body);
    assert!(
        body.contains(r#"filename="/a/b.txt""#) && body.contains(r#"filename="rel/c""#),
        "{body}"
    );
}

#[tokio::test]
async fn a_signed_link_says_what_it_allows_and_no_token() {
    let server = Server::start(|_, _| reply(200, Body::empty())).await;
    let expiry = jiff::Timestamp::from_second(2_000_000_000).unwrap();
    let url = server
        .sandbox()
        .signed_url(FileOperation::Read, "a b", Some("user"), Some(expiry))
        .unwrap();
    let query = url.query().unwrap();
    assert!(query.starts_with("path=a+b&username=user&signature=v1_"), "{query}");
    assert!(query.ends_with("&signature_expiration=2000000000"), "{query}");
    assert!(!query.contains("token"));
    let unsecured = server.client().attach("i1", String::new().into(), None);
    unsecured.signed_url(FileOperation::Write, "a", None, None).unwrap_err();
}
