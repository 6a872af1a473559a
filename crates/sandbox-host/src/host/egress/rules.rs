//! Network rules: what a request said, and what they make of a host name or an address.
//!
//! Allowed beats denied; what is neither is as the sandbox's internet access says. A name that is
//! not allowed by name is looked up only where everything is allowed unless denied: otherwise the
//! question itself could carry data out.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

/// Most entries of one list.
const MAX_ENTRIES: usize = 1000;

/// Longest host name.
const MAX_NAME: usize = 253;

/// Ports on which names are allowed unless `httpsPorts` adds some.
const PORTS: [u16; 2] = [80, 443];

/// What these do not restrict: they are about traffic to the sandbox.
const INBOUND: [&str; 2] = ["allowPublicTraffic", "maskRequestHost"];

/// A rule that means nothing; the text names field and remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// Rules that can be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    names: Vec<Name>,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    ports: Vec<u16>,
    /// Whether what no rule speaks of is allowed.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Exact(String),
    /// Every name below this one; it begins with a dot.
    Below(String),
}

/// What a request said about the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Nothing that restricts.
    None,
    /// Something that this host cannot do.
    Unenforceable,
    Rules(Rules),
}

/// What is to be done about a host that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByName {
    /// Any of its addresses will do.
    Allowed,
    /// Its addresses decide.
    ByAddress,
    Denied,
}

impl Rules {
    pub(crate) fn parse(network: Option<&Value>, open: bool) -> Result<Parsed, Invalid> {
        let network = match network {
            None | Some(Value::Null) => return Ok(Parsed::None),
            Some(Value::Object(network)) => network,
            Some(_) => return Err(Invalid("network: use an object".to_owned())),
        };
        let allow = entries(network, "allowOut")?;
        let deny = entries(network, "denyOut")?;
        let ports = ports(network)?;
        let known = ["allowOut", "denyOut", "httpsPorts"];
        let others = network.iter().filter(|(key, value)| {
            !is_empty(value) && !known.contains(&key.as_str()) && !INBOUND.contains(&key.as_str())
        });
        let none = allow.is_empty() && deny.is_empty();
        let unenforceable = others.count() > 0;
        let mut rules =
            Self { names: Vec::new(), allow: Vec::new(), deny: Vec::new(), ports, open };
        for entry in deny {
            let block = block(entry).ok_or_else(|| {
                Invalid(format!(
                    "denyOut: '{entry}' is no address or CIDR block; domains cannot be denied"
                ))
            })?;
            rules.deny.push(block);
        }
        let denies_all = rules.denies_all();
        for entry in allow {
            match block(entry) {
                Some(block) => rules.allow.push(block),
                None => rules.names.push(name(entry)?),
            }
        }
        if !rules.names.is_empty() && !denies_all {
            let message = "allowOut: a domain needs '0.0.0.0/0' (all traffic) in denyOut";
            return Err(Invalid(message.to_owned()));
        }

        Ok(match (unenforceable, none) {
            (true, _) => Parsed::Unenforceable,
            (false, true) => Parsed::None,
            (false, false) => Parsed::Rules(rules),
        })
    }

    /// Everything, on any port.
    pub(crate) fn open() -> Self {
        let ports = PORTS.to_vec();
        Self { names: Vec::new(), allow: Vec::new(), deny: Vec::new(), ports, open: true }
    }

    fn denies_all(&self) -> bool {
        self.deny.iter().any(|block| block.prefix_len() == 0)
    }

    pub(crate) fn allow_nothing(&self) -> bool {
        self.names.is_empty() && self.allow.is_empty() && !self.is_open()
    }

    fn is_open(&self) -> bool {
        self.open && !self.denies_all()
    }

    /// Decides by name, before anything is looked up. `host` is lower case, without a final dot.
    pub(crate) fn by_name(&self, host: &str, port: u16) -> ByName {
        let named = self.names.iter().any(|name| match name {
            Name::Exact(name) => name == host,
            Name::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        });
        if named && self.ports.contains(&port) {
            ByName::Allowed
        } else if self.is_open() {
            ByName::ByAddress
        } else {
            ByName::Denied
        }
    }

    /// Decides about an address.
    pub(crate) fn by_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let within = |blocks: &[IpNet]| blocks.iter().any(|block| block.contains(&address));
        within(&self.allow) || (self.is_open() && !within(&self.deny))
    }
}

/// Whether a value says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn entries<'a>(network: &'a Map<String, Value>, key: &str) -> Result<Vec<&'a str>, Invalid> {
    let invalid = || Invalid(format!("{key}: use a list of at most {MAX_ENTRIES} texts"));
    match network.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_ENTRIES => {
            list.iter().map(|entry| entry.as_str().ok_or_else(invalid)).collect()
        }
        Some(_) => Err(invalid()),
    }
}

fn ports(network: &Map<String, Value>) -> Result<Vec<u16>, Invalid> {
    let invalid = || Invalid("httpsPorts: use a list of at most 100 ports".to_owned());
    let mut ports = PORTS.to_vec();
    match network.get("httpsPorts") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) if list.len() <= 100 => {
            for port in list {
                let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
                ports.push(port.filter(|port| *port > 0).ok_or_else(invalid)?);
            }
        }
        Some(_) => return Err(invalid()),
    }
    Ok(ports)
}

fn block(entry: &str) -> Option<IpNet> {
    entry.parse::<IpNet>().ok().or_else(|| Some(entry.parse::<IpAddr>().ok()?.into()))
}

fn name(entry: &str) -> Result<Name, Invalid> {
    let invalid = || Invalid(format!("allowOut: '{entry}' is no address, CIDR block or domain"));
    let (below, host) = match entry.strip_prefix("*.") {
        Some(host) => (true, host),
        None => (false, entry),
    };
    let host = normal(host).filter(|host| host.parse::<IpAddr>().is_err()).ok_or_else(invalid)?;
    Ok(if below { Name::Below(format!(".{host}")) } else { Name::Exact(host) })
}

/// A host as rules compare it: lower case, without a final dot; `None` if it is none.
pub(crate) fn normal(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| address.to_string());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    (host.len() <= MAX_NAME && host.split('.').all(label)).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rules(network: &Value, open: bool) -> Rules {
        match Rules::parse(Some(network), open).unwrap() {
            Parsed::Rules(rules) => rules,
            other => panic!("{network}: {other:?}"),
        }
    }

    #[test]
    fn only_rules_that_restrict_outgoing_traffic_count_as_rules() {
        for (network, want) in [
            (json!(null), Parsed::None),
            (json!({}), Parsed::None),
            (json!({"allowPublicTraffic": true, "denyOut": [], "rules": {}}), Parsed::None),
            (json!({"rules": {"a": []}}), Parsed::Unenforceable),
            (
                json!({"egressProxy": {"address": "x"}, "denyOut": ["1.1.1.1"]}),
                Parsed::Unenforceable,
            ),
            (json!({"somethingNew": "x"}), Parsed::Unenforceable),
        ] {
            assert_eq!(Rules::parse(Some(&network), true), Ok(want), "{network}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for (network, field) in [
            (json!("odd"), "network"),
            (json!({"denyOut": ["example.com"]}), "denyOut"),
            (json!({"denyOut": "0.0.0.0/0"}), "denyOut"),
            (json!({"allowOut": ["example.com"]}), "allowOut"),
            (json!({"allowOut": ["a b"], "denyOut": ["0.0.0.0/0"]}), "allowOut"),
            (json!({"allowOut": ["*"], "denyOut": ["0.0.0.0/0"]}), "allowOut"),
            (json!({"allowOut": [1], "denyOut": ["0.0.0.0/0"]}), "allowOut"),
            (json!({"httpsPorts": [0]}), "httpsPorts"),
        ] {
            let Err(Invalid(message)) = Rules::parse(Some(&network), true) else {
                panic!("{network} was accepted");
            };
            assert!(message.starts_with(field), "{network}: {message}");
        }
    }

    #[test]
    fn names_are_allowed_whole_or_by_star_and_on_web_ports() {
        let list = rules(
            &json!({"allowOut": ["PyPI.org", "*.example.com"], "denyOut": ["0.0.0.0/0"], "httpsPorts": [8443]}),
            true,
        );
        for (host, port, want) in [
            ("pypi.org", 443, ByName::Allowed),
            ("pypi.org", 80, ByName::Allowed),
            ("pypi.org", 8443, ByName::Allowed),
            ("pypi.org", 22, ByName::Denied),
            ("evil-pypi.org", 443, ByName::Denied),
            ("pypi.org.evil.com", 443, ByName::Denied),
            ("a.pypi.org", 443, ByName::Denied),
            ("a.b.example.com", 443, ByName::Allowed),
            ("example.com", 443, ByName::Denied),
            (".example.com", 443, ByName::Denied),
            ("notexample.com", 443, ByName::Denied),
        ] {
            assert_eq!(list.by_name(host, port), want, "{host}:{port}");
        }
    }

    #[test]
    fn allowed_blocks_beat_denied_ones_and_the_rest_is_as_the_internet_access() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let some = rules(&json!({"denyOut": ["8.8.0.0/16"], "allowOut": ["8.8.8.8"]}), true);
        assert!(some.by_address(at("8.8.8.8")) && some.by_address(at("1.1.1.1")));
        assert!(!some.by_address(at("8.8.4.4")) && !some.by_address(at("::ffff:8.8.4.4")));
        assert_eq!(some.by_name("example.com", 22), ByName::ByAddress);
        let closed = rules(&json!({"allowOut": ["8.8.8.8"]}), false);
        assert!(closed.by_address(at("8.8.8.8")) && !closed.by_address(at("1.1.1.1")));
        assert_eq!(closed.by_name("example.com", 443), ByName::Denied);
        let all = rules(&json!({"denyOut": ["0.0.0.0/0"]}), true);
        assert!(all.allow_nothing() && !all.by_address(at("2606:4700::1111")));
    }

    #[test]
    fn hosts_are_compared_in_one_form() {
        for (host, want) in [
            ("Example.COM.", Some("example.com")),
            ("[::1]", Some("::1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("a b", None),
            ("b\u{fc}cher.de", None),
            ("a/b", None),
            ("[x]", None),
        ] {
            assert_eq!(normal(host).as_deref(), want, "{host}");
        }
        assert_eq!(normal(&"a.".repeat(200)), None);
    }

    proptest! {
        #[test]
        fn a_normal_host_stays_as_it_is(host in prop_oneof![any::<String>(), "[a-zA-Z0-9.:\\[\\]_-]{0,40}"]) {
            if let Some(normal_host) = normal(&host) {
                prop_assert!(!normal_host.is_empty() && normal_host.len() <= MAX_NAME);
                if !normal_host.contains(':') {
                    prop_assert_eq!(normal(&normal_host), Some(normal_host));
                }
            }
        }

        #[test]
        fn a_name_is_allowed_only_by_itself_or_by_a_star_above_it(host in "[a-c]{1,3}(\\.[a-c]{1,3}){0,3}") {
            let list = json!({"allowOut": ["a.b", "*.b.c"], "denyOut": ["0.0.0.0/0"]});
            let allowed = rules(&list, true).by_name(&host, 443) == ByName::Allowed;
            prop_assert_eq!(allowed, host == "a.b" || host.ends_with(".b.c"));
        }
    }
}
