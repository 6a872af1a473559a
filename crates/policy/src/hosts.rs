//! Hosts: how commands write them, and patterns that allow them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::nearest::nearest;

/// Hosts that belong together, for `group:NAME` entries.
const GROUPS: &[(&str, &[&str])] = &[
    (
        "package-registries",
        &[
            "registry.npmjs.org",
            "*.npmjs.org",
            "registry.npmjs.com",
            "*.npmjs.com",
            "registry.yarnpkg.com",
            "*.yarnpkg.com",
            "pypi.org",
            "*.pypi.org",
            "files.pythonhosted.org",
            "*.pythonhosted.org",
            "crates.io",
            "*.crates.io",
            "proxy.golang.org",
            "sum.golang.org",
            "go.dev",
            "golang.org",
            "*.golang.org",
            "rubygems.org",
            "*.rubygems.org",
            "repo.maven.apache.org",
            "repo1.maven.org",
            "plugins.gradle.org",
            "services.gradle.org",
            "downloads.gradle.org",
            "packagist.org",
            "*.packagist.org",
            "api.nuget.org",
            "*.nuget.org",
            "hex.pm",
            "*.hex.pm",
            "deb.debian.org",
            "security.debian.org",
            "*.debian.org",
            "archive.ubuntu.com",
            "*.ubuntu.com",
            "dl-cdn.alpinelinux.org",
            "*.alpinelinux.org",
            "mirrors.kernel.org",
            "conda.anaconda.org",
            "*.anaconda.org",
            "*.anaconda.com",
            "repo.anaconda.com",
            "cran.r-project.org",
            "*.r-project.org",
            "download.pytorch.org",
            "registry-1.docker.io",
            "*.docker.io",
            "docker.io",
            "ghcr.io",
            "quay.io",
            "gcr.io",
            "*.gcr.io",
            "*.pkg.dev",
            "mcr.microsoft.com",
            "public.ecr.aws",
            "registry.k8s.io",
            "nodejs.org",
            "*.nodejs.org",
            "static.rust-lang.org",
            "*.rust-lang.org",
            "docs.rs",
            "deno.land",
            "jsr.io",
            "npm.jsr.io",
            "unpkg.com",
            "cdn.jsdelivr.net",
            "cpan.org",
            "*.cpan.org",
            "*.metacpan.org",
            "pub.dev",
            "formulae.brew.sh",
            "astral.sh",
            "*.fedoraproject.org",
            "registry.terraform.io",
            "releases.hashicorp.com",
            "repo.yarnpkg.com",
            "dl.google.com",
            "*.archlinux.org",
        ],
    ),
    (
        "git-hosts",
        &[
            "github.com",
            "*.github.com",
            "*.githubusercontent.com",
            "*.github.io",
            "gitlab.com",
            "*.gitlab.com",
            "bitbucket.org",
            "*.bitbucket.org",
            "codeberg.org",
            "git.sr.ht",
            "dev.azure.com",
            "ssh.dev.azure.com",
            "git.kernel.org",
            "salsa.debian.org",
        ],
    ),
];

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
        let Some((host, port)) = split_port(target) else { return false };
        if self.port.is_some() && self.port != port {
            return false;
        }
        match (&self.kind, address(&host)) {
            (Kind::Any, _) => true,
            (Kind::Net(net), Some(ip)) => net.contains(&ip),
            (Kind::Name(name), None) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
            (Kind::Below(name), None) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            _ => false,
        }
    }
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

/// Sites whose purpose is to take in what somebody sends, or to catch requests.
pub(crate) fn is_drop_site(host: &str) -> bool {
    const SITES: &[&str] = &[
        "transfer.sh",
        "webhook.site",
        "requestbin.com",
        "requestbin.net",
        "pipedream.net",
        "pastebin.com",
        "paste.ee",
        "hastebin.com",
        "termbin.com",
        "ix.io",
        "0x0.st",
        "sprunge.us",
        "file.io",
        "temp.sh",
        "bashupload.com",
        "ngrok.io",
        "ngrok.app",
        "ngrok-free.app",
        "burpcollaborator.net",
        "oastify.com",
        "interact.sh",
        "oast.fun",
        "oast.pro",
        "oast.live",
        "oast.me",
        "oast.site",
        "oast.online",
        "dnslog.cn",
        "beeceptor.com",
        "hookbin.com",
        "requestcatcher.com",
        "gofile.io",
        "anonfiles.com",
        "catbox.moe",
        "dpaste.com",
        "dpaste.org",
        "controlc.com",
        "rentry.co",
        "ghostbin.com",
        "privatebin.net",
        "wetransfer.com",
        "discord.com",
        "discordapp.com",
        "api.telegram.org",
        "t.me",
        "serveo.net",
        "localhost.run",
        "trycloudflare.com",
        "loca.lt",
        "canarytokens.com",
        "pastes.io",
        "clbin.com",
        "bpa.st",
        "uguu.se",
        "x0.at",
        "oshi.at",
        "filebin.net",
        "store1.gofile.io",
        "envs.sh",
    ];
    let host = host.to_ascii_lowercase();
    SITES.iter().any(|site| {
        host.strip_suffix(site).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
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
