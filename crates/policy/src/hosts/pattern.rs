//! Patterns over hosts, and the groups they can be written as.

use std::sync::LazyLock;

use ipnet::IpNet;

use super::{address, lines, split_port};
use crate::nearest::nearest;

type Group = (&'static str, Vec<&'static str>);

static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let mut groups: Vec<Group> = Vec::new();
    for line in lines(include_str!("groups.txt")) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => groups.push((name, Vec::new())),
            None => groups.iter_mut().rev().take(1).for_each(|(_, hosts)| hosts.push(line)),
        }
    }
    groups
});

/// One entry of an allowlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    kind: Kind,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Name(String),
    /// Any name below this one.
    Below(String),
    Net(IpNet),
}

impl HostPattern {
    /// Reads one entry: `host`, `*.host`, an address, a CIDR range, each with `:port` if wanted,
    /// `*`, or `group:NAME`.
    pub(crate) fn parse_entry(entry: &str) -> Result<Vec<Self>, String> {
        if let Some(name) = entry.strip_prefix("group:") {
            let Some((_, hosts)) = GROUPS.iter().find(|(group, _)| *group == name) else {
                let known = nearest(name, GROUPS.iter().map(|(group, _)| *group)).unwrap_or("");
                return Err(format!("no group `{name}`; did you mean `{known}`?"));
            };
            return hosts.iter().map(|host| Self::parse(host)).collect();
        }
        Self::parse(entry).map(|pattern| vec![pattern])
    }

    fn parse(entry: &str) -> Result<Self, String> {
        if let Ok(net) = entry.parse::<IpNet>() {
            return Ok(Self { kind: Kind::Net(net), port: None });
        }
        let Some((host, port)) = split_port(entry) else {
            return Err(format!("`{entry}` is not a host, a range or a group"));
        };
        if let Some(ip) = address(&host) {
            return Ok(Self { kind: Kind::Net(IpNet::from(ip)), port });
        }
        let kind = match host.strip_prefix("*.") {
            _ if host == "*" => Kind::Any,
            Some(rest) if is_name(rest) => Kind::Below(rest.to_ascii_lowercase()),
            None if is_name(&host) => Kind::Name(host.to_ascii_lowercase()),
            _ => return Err(format!("`{entry}` is not a host, a range or a group")),
        };
        Ok(Self { kind, port })
    }

    /// Whether the host, `host` or `host:port`, is one of these.
    #[must_use]
    pub fn matches(&self, target: &str) -> bool {
        self.matches_at(target, None)
    }

    /// The same where a port is implied, such as 443 by `https://`.
    #[must_use]
    pub fn matches_at(&self, target: &str, implied: Option<u16>) -> bool {
        let Some((host, port)) = split_port(target) else { return false };
        let port = port.or(implied);
        if self.port.is_some() && self.port != port {
            return false;
        }
        match (&self.kind, address(&host)) {
            (Kind::Any, _) => true,
            (Kind::Net(net), Some(ip)) => net.contains(&ip),
            (Kind::Name(name), None) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
            (Kind::Below(name), None) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                is_below(&host, name)
            }
            _ => false,
        }
    }

    /// Whether everything that the other pattern matches is matched by this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self.port.is_some() && self.port != other.port {
            return false;
        }
        match (&self.kind, &other.kind) {
            (Kind::Any, _) => true,
            (Kind::Net(net), Kind::Net(inner)) => net.contains(inner),
            (Kind::Name(name), Kind::Name(inner)) => name == inner,
            (Kind::Below(name), Kind::Name(inner)) => is_below(inner, name),
            (Kind::Below(name), Kind::Below(inner)) => inner == name || is_below(inner, name),
            _ => false,
        }
    }

    /// The port it is bound to.
    pub(crate) const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it names every host.
    pub(crate) const fn is_any(&self) -> bool {
        matches!(self.kind, Kind::Any)
    }

    /// Whether it is by name, not by address.
    pub(crate) const fn is_by_name(&self) -> bool {
        matches!(self.kind, Kind::Name(_) | Kind::Below(_))
    }

    /// The host without the port, as rules of a sandbox take it.
    pub(crate) fn host(&self) -> String {
        match &self.kind {
            Kind::Any => "*".to_owned(),
            Kind::Name(name) => name.clone(),
            Kind::Below(name) => format!("*.{name}"),
            Kind::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
            Kind::Net(net) => net.to_string(),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.host();
        match self.port {
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// The entries that an entry stands for.
pub(crate) fn spelled_out(entry: &str) -> Vec<String> {
    let group = entry
        .strip_prefix("group:")
        .and_then(|name| GROUPS.iter().find(|(group, _)| *group == name));
    match group {
        Some((_, hosts)) => hosts.iter().map(|host| (*host).to_owned()).collect(),
        None => vec![entry.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_ranges_and_ports() {
        for (entry, host, expected) in [
            ("example.com", "EXAMPLE.com", true),
            ("example.com", "a.example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("10.0.0.0/8", "10.1.2.3:443", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("example.com:443", "example.com:443", true),
            ("example.com:443", "example.com:80", false),
            ("group:git-hosts", "github.com", true),
        ] {
            let patterns = HostPattern::parse_entry(entry).unwrap();
            assert_eq!(patterns.iter().any(|p| p.matches(host)), expected, "{entry} {host}");
        }
        assert!(HostPattern::parse_entry("group:git-host").unwrap_err().contains("git-hosts"));
        assert!(HostPattern::parse_entry("a b").is_err());
    }

    #[test]
    fn a_pattern_covers_what_is_inside_it() {
        for (outer, inner, expected) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "*.a.example.com", true),
            ("*.a.example.com", "*.example.com", false),
            ("example.com", "example.com:443", true),
            ("example.com:443", "example.com", false),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("*", "10.0.0.0/8", true),
        ] {
            let parse = |entry| HostPattern::parse(entry).unwrap();
            assert_eq!(parse(outer).covers(&parse(inner)), expected, "{outer} {inner}");
        }
    }
}
