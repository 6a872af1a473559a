//! Hosts: how commands write them, and patterns that allow them.

mod pattern;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use pattern::HostPattern;
pub(crate) use pattern::spelled_out;

/// Host and port of `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
pub(crate) fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        return Some((host.to_owned(), port));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text.to_owned(), None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => Some((host.to_owned(), Some(port))),
            Err(_) => Some((host.to_owned(), None)),
        },
        Some(_) => None,
        None if text.is_empty() => None,
        None => Some((text.to_owned(), None)),
    }
}

/// The address a host is, in any of the spellings the C library reads: dotted, decimal,
/// hexadecimal, octal, shortened, IPv6, IPv4 mapped into IPv6.
pub(crate) fn address(host: &str) -> Option<IpAddr> {
    if let Ok(v6) = host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        return Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4));
    }
    let parts: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    if parts.is_empty() || parts.len() > 4 {
        return None;
    }
    let mut numbers = Vec::with_capacity(4);
    for part in &parts {
        numbers.push(number(part)?);
    }
    let last = numbers.pop()?;
    let mut value = 0u64;
    for (at, part) in numbers.iter().enumerate() {
        if *part > 255 {
            return None;
        }
        value |= part << (24 - 8 * at);
    }
    if last >= 1u64 << (8 * (4 - numbers.len())) {
        return None;
    }
    u32::try_from(value | last).ok().map(|bits| IpAddr::V4(Ipv4Addr::from(bits)))
}

fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    if lower.len() > 1 && lower.starts_with('0') {
        return u64::from_str_radix(&lower, 8).ok();
    }
    if lower.is_empty() || !lower.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    lower.parse().ok()
}

/// Whether the host is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    match address(host) {
        Some(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        None => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost"
                || host.ends_with(".localhost")
                || host == "host.docker.internal"
                || host == "ip6-localhost"
        }
    }
}

/// Whether the host hands out the machine's own cloud credentials.
pub(crate) fn is_metadata(host: &str) -> bool {
    match address(host) {
        Some(IpAddr::V4(ip)) => {
            ip == Ipv4Addr::new(169, 254, 169, 254)
                || ip == Ipv4Addr::new(169, 254, 170, 2)
                || ip == Ipv4Addr::new(100, 100, 100, 200)
                || ip == Ipv4Addr::new(169, 254, 169, 253)
                || ip == Ipv4Addr::new(192, 0, 0, 192)
        }
        Some(IpAddr::V6(ip)) => ip.segments().starts_with(&[0xfd00, 0xec2]),
        None => {
            let host = host.to_ascii_lowercase();
            let host = host.trim_end_matches('.');
            matches!(
                host,
                "metadata.google.internal"
                    | "metadata"
                    | "instance-data"
                    | "metadata.azure.internal"
            ) || host.contains("169.254.169.254")
                || host.contains("169-254-169-254")
        }
    }
}

/// Whether the site's purpose is to take in what somebody sends, or to catch requests.
pub(crate) fn is_drop_site(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    lines(include_str!("drop_sites.txt")).any(|site| {
        host.strip_suffix(site).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// The lines of a table, without comments.
fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The `host` or `host:port` of a URL, of `user@host:path`, or of a bare host.
pub(crate) fn of_url(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        return None;
    }
    let (name, port) = split_port(host)?;
    Some(match port {
        Some(port) if name.contains(':') => format!("[{name}]:{port}"),
        Some(port) => format!("{name}:{port}"),
        None => name,
    })
}

/// The port that an address implies by its scheme, or by being `user@host:path`.
pub(crate) fn implied_port(address: &str) -> Option<u16> {
    let Some((scheme, rest)) = address.split_once("://") else {
        let (before, _) = address.split_once(':')?;
        return (before.contains('@') && !before.contains('/')).then_some(22);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if split_port(authority).is_some_and(|(_, port)| port.is_some()) {
        return None;
    }
    match scheme.to_ascii_lowercase().rsplit('+').next()? {
        "https" | "wss" => Some(443),
        "http" | "ws" => Some(80),
        "ssh" | "sftp" => Some(22),
        "ftp" => Some(21),
        "git" => Some(9418),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_spelling() {
        let meta = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
        for text in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "::ffff:a9fe:a9fe",
        ] {
            assert_eq!(address(text), Some(meta), "{text}");
            assert!(is_metadata(text), "{text}");
        }
        assert!(is_local("127.1") && is_local("0x7f000001") && is_local("localhost"));
        assert_eq!(address("example.com"), None);
        assert_eq!(address("1.2.3.4.5"), None);
    }

    #[test]
    fn hosts_are_found_in_urls() {
        for (url, host) in [
            ("https://user:pw@a.example:8443/x?y", "a.example:8443"),
            ("git@github.com:o/r.git", "github.com"),
            ("http://[::1]:80/", "[::1]:80"),
            ("bad.example/i.sh", "bad.example"),
        ] {
            assert_eq!(of_url(url).as_deref(), Some(host), "{url}");
        }
    }
}
