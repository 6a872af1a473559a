//! Which hosts may be reached, and what of that a sandbox's own rules can hold.
//!
//! One list serves twice: the gate judges addresses in commands by it, and it compiles to the
//! [`Egress`] rules of the sandbox, the second wall. Rules of a sandbox take hosts and ranges
//! without ports, and filter names for HTTP on port 80 and TLS on port 443 alone (E2B,
//! "Internet access"); what they cannot hold is a [`Gap`].

use std::fmt;

use crate::decision::Outcome;
use crate::effect::{Effect, EffectKind};
use crate::hosts::{self, HostPattern};

/// The ports on which a sandbox filters by name.
const NAME_PORTS: [u16; 2] = [80, 443];

/// Which hosts may be reached.
#[derive(Clone, Debug)]
pub struct NetworkPolicy {
    entries: Vec<String>,
    patterns: Vec<HostPattern>,
    /// What happens to a host that no entry names.
    pub otherwise: Outcome,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { entries: Vec::new(), patterns: Vec::new(), otherwise: Outcome::RequireApproval }
    }
}

impl NetworkPolicy {
    /// A list without entries.
    pub(crate) fn new(otherwise: Outcome) -> Self {
        Self { otherwise, ..Self::default() }
    }

    pub(crate) fn add(&mut self, entry: String, patterns: Vec<HostPattern>) {
        self.entries.push(entry);
        self.patterns.extend(patterns);
    }

    /// Adds what of `entry` the other list covers; whether there was any.
    pub(crate) fn add_covered(&mut self, entry: &str, by: &Self) -> bool {
        let mut any = false;
        for single in hosts::spelled_out(entry) {
            if let (true, Ok(patterns)) = (by.covers(&single), HostPattern::parse_entry(&single)) {
                self.add(single, patterns);
                any = true;
            }
        }
        any
    }

    /// The entries as written: hosts, `*.host`, ranges, `group:NAME`.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    /// The entries with every group spelled out as its hosts, for enforcement elsewhere.
    #[must_use]
    pub fn expanded(&self) -> Vec<String> {
        self.entries.iter().flat_map(|entry| hosts::spelled_out(entry)).collect()
    }

    /// Whether a host, `host` or `host:port`, may be reached: listed, or this machine itself.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        self.allows_at(host, None)
    }

    /// The same where a port is implied, such as 443 by `https://`.
    #[must_use]
    pub fn allows_at(&self, host: &str, implied: Option<u16>) -> bool {
        let name = hosts::split_port(host).map_or_else(|| host.to_owned(), |(name, _)| name);
        hosts::is_local(&name)
            || self.patterns.iter().any(|pattern| pattern.matches_at(host, implied))
    }

    /// Whether everything that an entry names is on this list.
    #[must_use]
    pub fn covers(&self, entry: &str) -> bool {
        HostPattern::parse_entry(entry).is_ok_and(|patterns| {
            patterns.iter().all(|inner| self.patterns.iter().any(|own| own.covers(inner)))
        })
    }

    /// What happens to a host.
    #[must_use]
    pub fn outcome(&self, host: &str) -> Outcome {
        if self.allows(host) { Outcome::Allow } else { self.otherwise }
    }

    /// The sandbox's rules for this list.
    #[must_use]
    pub fn egress(&self) -> Egress {
        match self.otherwise {
            Outcome::Allow => Egress::Open,
            Outcome::RequireApproval | Outcome::Deny => Egress::only(self.expanded()),
        }
    }

    /// What the sandbox's rules cannot hold of this list.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        if self.egress() == Egress::Open {
            return vec![Gap::Open];
        }
        let mut gaps: Vec<Gap> = self.patterns.iter().filter_map(Gap::of_port).collect();
        if self.patterns.iter().any(HostPattern::is_by_name) {
            gaps.push(Gap::Names);
        }
        gaps
    }

    /// What the sandbox's rules cannot hold of the hosts that these effects reach.
    pub(crate) fn gaps_of(&self, effects: &[Effect]) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        let reached =
            effects.iter().filter(|e| e.kind == EffectKind::NetEgress && e.class != "listen");
        for effect in reached {
            if self.egress() == Egress::Open {
                return vec![Gap::Open];
            }
            let speaks = |p: &&HostPattern| p.matches_at(&effect.target, effect.port);
            for pattern in self.patterns.iter().filter(speaks) {
                let port = hosts::split_port(&effect.target).and_then(|(_, port)| port);
                let shut = pattern.is_by_name()
                    && port.or(effect.port).is_some_and(|port| !NAME_PORTS.contains(&port));
                let gap = if shut {
                    Some(Gap::Shut { host: pattern.host(), port: port.or(effect.port) })
                } else {
                    Gap::of_port(pattern)
                };
                gaps.extend(gap.filter(|gap| !gaps.contains(gap)));
            }
        }
        gaps
    }
}

/// The rules of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Egress {
    /// Every host: the sandbox has no rules.
    Open,
    /// No host.
    Shut,
    /// These hosts, `*.host`, addresses and ranges, sorted, without ports.
    Only(Vec<String>),
}

impl Egress {
    /// Rules that let these entries through: a host, `*.host`, an address or a range, each with a
    /// port if wanted. What is none of these is left out; `*` opens all.
    #[must_use]
    pub fn only(entries: impl IntoIterator<Item = String>) -> Self {
        let patterns: Vec<HostPattern> = entries
            .into_iter()
            .filter_map(|entry| HostPattern::parse_entry(&entry).ok())
            .flatten()
            .collect();
        if patterns.iter().any(HostPattern::is_any) {
            return Self::Open;
        }
        let mut hosts: Vec<String> = patterns.iter().map(HostPattern::host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.is_empty() { Self::Shut } else { Self::Only(hosts) }
    }
}

/// Something that the sandbox's rules cannot hold, or hold otherwise than the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Every host is allowed, so the sandbox has no rules.
    Open,
    /// An entry with a port opens its host on others too.
    Port {
        /// The host.
        host: String,
        /// The port the policy allows.
        port: u16,
        /// Whether the host is a name, let through on ports 80 and 443.
        by_name: bool,
    },
    /// A name on a port where the sandbox lets no name through.
    Shut {
        /// The host.
        host: String,
        /// The port.
        port: Option<u16>,
    },
    /// Names are looked up at a server outside, and believed as the client says them.
    Names,
}

impl Gap {
    fn of_port(pattern: &HostPattern) -> Option<Self> {
        let (host, by_name) = (pattern.host(), pattern.is_by_name());
        match pattern.port() {
            Some(port) if by_name && !NAME_PORTS.contains(&port) => {
                Some(Self::Shut { host, port: Some(port) })
            }
            Some(port) => Some(Self::Port { host, port, by_name }),
            None => None,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str(
                "every host is allowed, so the sandbox has no network rules; only addresses \
                 written in the command are judged",
            ),
            Self::Port { host, port, by_name: true } => write!(
                f,
                "{host} is allowed on port {port}, but sandbox rules take no ports: the sandbox \
                 lets it through on 80 (HTTP) and 443 (TLS)"
            ),
            Self::Port { host, port, by_name: false } => write!(
                f,
                "{host} is allowed on port {port}, but sandbox rules take no ports: the sandbox \
                 lets it through on all of them"
            ),
            Self::Shut { host, port } => {
                let port = port.map_or_else(String::new, |port| format!(" on port {port}"));
                write!(
                    f,
                    "{host} is allowed{port}, but the sandbox lets names through on 80 (HTTP) \
                     and 443 (TLS) alone: list its address range to reach it there"
                )
            }
            Self::Names => f.write_str(
                "names are held by the Host header on port 80 and by the TLS server name on port \
                 443, as the client states them; look-ups still leave the sandbox, to 8.8.8.8",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gate;
    use crate::request::Request;

    fn policy(entries: &[&str]) -> NetworkPolicy {
        let mut out = NetworkPolicy::default();
        for entry in entries {
            out.add((*entry).to_owned(), HostPattern::parse_entry(entry).unwrap());
        }
        out
    }

    #[test]
    fn a_list_compiles_to_hosts_without_ports_and_says_what_is_lost() {
        let list = policy(&["*.example.com", "db.example:5432", "10.0.0.0/8", "192.0.2.1:443"]);
        let hosts = ["*.example.com", "10.0.0.0/8", "192.0.2.1", "db.example"];
        assert_eq!(list.egress(), Egress::Only(hosts.map(str::to_owned).to_vec()));
        let gaps = list.gaps();
        assert_eq!(gaps.len(), 3, "{gaps:?}");
        assert_eq!(gaps[0], Gap::Shut { host: "db.example".into(), port: Some(5432) });
        assert_eq!(gaps[1], Gap::Port { host: "192.0.2.1".into(), port: 443, by_name: false });
        assert_eq!(gaps[2], Gap::Names);
        assert_eq!(policy(&[]).egress(), Egress::Shut);
        assert_eq!(policy(&["*"]).gaps(), [Gap::Open]);
        assert!(policy(&["10.0.0.0/8"]).gaps().is_empty());
    }

    #[test]
    fn a_decision_lists_the_gaps_of_what_it_reaches() {
        let gate = Gate::load(
            "[env.base]\n[env.base.network]\nallow = [\"api.example:8443\", \"203.0.113.7:443\", \
             \"group:git-hosts\"]\n",
            None,
        )
        .unwrap();
        for (command, says) in [
            ("curl https://api.example:8443/", "api.example is allowed on port 8443"),
            ("curl https://203.0.113.7/", "lets it through on all of them"),
            ("git clone git@github.com:a/b", "github.com is allowed on port 22"),
            ("git clone https://github.com/a/b", ""),
            ("ls", ""),
        ] {
            let decision = gate.decide(&Request::command(command));
            let said = decision.unenforced.join("; ");
            assert!(
                said.contains(says) && (says.is_empty() == said.is_empty()),
                "{command}: {said}"
            );
        }
    }
}
