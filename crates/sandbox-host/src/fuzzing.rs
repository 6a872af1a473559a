//! What the fuzz targets reach of this crate. No part of its interface: it changes without notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::boot::BootSpec;
use crate::envd::files::{Part, Range, Upload, parse_range};
use crate::envd::users::{self, User};
use crate::envd::{self, Daemon, signature, xattr};
use crate::faults::Faults;
use crate::generated::process::StartRequest;
use crate::host::{control, edge, egress, listing};

/// The methods that start nothing and reach no file.
pub const METHODS: [&str; 7] =
    ["List", "Connect", "Update", "StreamInput", "SendInput", "SendSignal", "CloseStdin"];

fn user(home: &str) -> User {
    User { name: "user".into(), uid: 1000, gid: 1000, home: home.into(), groups: Vec::new() }
}

/// The pairs of a metadata filter.
pub fn metadata(text: &str) -> BTreeMap<String, String> {
    listing::parse_metadata(text)
}

/// Reads the whole query of a list; `None` if it is no query.
pub fn list_query(query: &str) -> Option<Result<(), String>> {
    let query = serde_json::to_value(query_pairs(query)?).ok()?;
    let query: listing::Query = serde_json::from_value(query).ok()?;
    Some(query.page(Vec::new(), true).map(|_page| ()))
}

fn query_pairs(query: &str) -> Option<BTreeMap<String, String>> {
    let uri = format!("/?{query}").parse::<http::Uri>().ok()?;
    axum::extract::Query::try_from_uri(&uri).ok().map(|query| query.0)
}

/// Reads a `Range` header: the first byte and the one after the last, if it is one range.
pub fn range(value: &[u8], length: u64) -> Option<(u64, u64)> {
    match parse_range(value, length) {
        Range::Part(from, to) => Some((from, to)),
        Range::Outside | Range::Ignored | Range::Invalid => None,
    }
}

/// Reads a value as each header of a download, an upload and a signed link.
pub fn file_headers(value: &[u8]) {
    let text = String::from_utf8_lossy(value);
    let _refused_mostly = signature::check(&text, "v1_", Some(1), 1);
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let mut headers = HeaderMap::new();
    for name in ["x-metadata-key", "if-modified-since", "if-range", "if-none-match", "if-match"] {
        headers.insert(HeaderName::from_static(name), value.clone());
    }
    if let Ok(name) = HeaderName::from_bytes(format!("x-metadata-{text}").as_bytes()) {
        headers.insert(name, value.clone());
    }
    if let Ok(metadata) = xattr::from_headers(&headers) {
        assert!(metadata.values().all(|value| value.is_ascii()));
    }
    headers.insert(header::ACCEPT_ENCODING, value);
    let _decided = envd::files::choose(&headers, false);
    let _decided = envd::files::decide(&headers, jiff::Timestamp::UNIX_EPOCH);
}

/// The absolute path that a user means.
pub fn path(path: &str, home: &str) -> Result<String, String> {
    envd::path::resolve(path, &user(home))
}

/// Which sandbox and port a host name means.
pub fn target(host: &str, label: &str) -> Option<(String, u16)> {
    let hosts = [host.to_owned(), format!("1-{label}.x")];
    let (port, id) = hosts.iter().find_map(|host| edge::host_form(host))?;
    Some((id.split('-').next().unwrap_or_default().to_owned(), port))
}

/// Reads an account file.
pub fn users(text: &str) {
    if let Some(user) = users::parse_user(text, "user") {
        assert!(users::groups_of(text, &user).len() <= 64);
    }
}

/// Reads the body of a creation.
pub fn create_body(body: &[u8]) {
    if let Ok(body) = control::parse::<control::CreateBody>(body) {
        let _refused_mostly = body.check();
    }
}

/// Adds fault rules and applies them to a request.
pub fn fault_body(body: &[u8]) {
    let Ok(faults) = serde_json::from_slice(body) else { return };
    if let Ok(faults) = Faults::new(faults) {
        let (method, text) = (http::Method::POST, String::from_utf8_lossy(body));
        let asked = crate::faults::Asked { method: &method, path: &text, sandbox: Some("i1") };
        let _none_mostly = faults.strike(&asked, Some(body));
    }
}

/// Reads network rules, and tells which of a few hosts they let through.
pub fn network_body(body: &[u8]) -> Option<Vec<&'static str>> {
    let network = serde_json::from_slice(body).ok()?;
    let hosts = ["169.254.169.254", "127.0.0.1", "93.184.216.34", "example.com"];
    let egress::rules::Parsed::Rules(rules) =
        egress::rules::Rules::parse(Some(&network), true).ok()?
    else {
        return None;
    };
    let allowed = |host: &str| match host.parse() {
        Ok(address) => rules.by_address(address) && !egress::is_blocked(address, true),
        Err(_) => rules.by_name(host, 443) == egress::rules::ByName::Allowed,
    };
    Some(hosts.into_iter().filter(|host| allowed(host)).collect())
}

/// The host that the first bytes of a tunnel ask for.
pub fn client_hello(bytes: &[u8]) -> Option<String> {
    match egress::hello::server_name(bytes) {
        egress::hello::Hello::Name(name) => Some(name),
        egress::hello::Hello::More | egress::hello::Hello::Nameless => None,
    }
}

/// Reads an upload: each file's path and length.
pub async fn upload(
    request: Request,
    path: Option<&str>,
) -> Result<Vec<(String, u64)>, StatusCode> {
    let user = user("/home/user");
    let refused = |answer: Box<Response>| answer.status();
    let mut upload = Upload::read(request, path, &user).await.map_err(refused)?;
    let mut files = Vec::new();
    while let Some(part) = upload.next().await.map_err(refused)? {
        let Part::File(path, mut contents) = part else { continue };
        let mut length = 0;
        while let Some(Ok(chunk)) = contents.next().await {
            length += chunk.len() as u64;
        }
        files.push((path, length));
    }
    Ok(files)
}

/// The remote procedure calls of a daemon without processes. To be asked for [`METHODS`] alone:
/// the others would act on this machine.
pub fn calls() -> std::io::Result<Router> {
    let daemon = Arc::new(Daemon::new(&BootSpec::default())?);
    Ok(Router::new().fallback_service(envd::calls(&daemon)))
}

/// Reads the one request that is never carried out here.
pub fn start_request(body: &[u8]) {
    let _refused_mostly = <StartRequest as buffa::Message>::decode_from_slice(body);
    let _refused_mostly = serde_json::from_slice::<StartRequest>(body);
}
