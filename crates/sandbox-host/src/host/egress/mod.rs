//! What a sandbox may reach: nothing, the machine's network as it is, or, through a proxy of the
//! host, what its rules allow.
//!
//! A sandbox with rules has no network but loopback. Its init opens one listening socket there and
//! hands it to the host, which so accepts connections from inside without anything of the host
//! being inside. The proxy checks each request by host name ([`rules`]), resolves the name itself,
//! checks the addresses ([`addresses`]) and connects to one of those it checked: what a name means
//! the next time it is asked for does not matter.
//!
//! A tunnel to a host that is allowed by name must begin with TLS for an allowed name ([`hello`]).
//!
//! Not enforced, but absent: whatever does not speak HTTP to a proxy has no network at all. Not
//! looked into: what goes through a tunnel after that.

mod addresses;
pub(crate) mod hello;
mod proxy;
pub(crate) mod rules;

use serde_json::Value;

pub(crate) use addresses::is_blocked;
pub(crate) use proxy::{Gate, serve};
use rules::{Invalid, Rules};

use crate::Config;

/// What a sandbox may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Egress {
    Nothing,
    /// Everything that this machine reaches.
    Machine,
    /// What the rules allow, through the proxy.
    Rules(Rules),
}

impl Egress {
    /// What a request means on this host.
    pub(crate) fn wanted(
        config: &Config,
        internet: Option<bool>,
        network: Option<&Value>,
    ) -> Result<Self, Invalid> {
        let open = internet.unwrap_or(config.default_internet);
        let rules = Rules::parse(network, open)?;
        Ok(match rules {
            _ if !config.allow_internet => Self::Nothing,
            rules::Parsed::None if open && config.internet_by_proxy => Self::Rules(Rules::open()),
            rules::Parsed::None if open => Self::Machine,
            rules::Parsed::None | rules::Parsed::Unenforceable => Self::Nothing,
            rules::Parsed::Rules(rules) if rules.allow_nothing() => Self::Nothing,
            rules::Parsed::Rules(rules) => Self::Rules(rules),
        })
    }

    /// The same for a sandbox that has no network but loopback: all of it, as far as a proxy goes.
    pub(crate) fn through_proxy(self) -> Self {
        match self {
            Self::Machine => Self::Rules(Rules::open()),
            other => other,
        }
    }
}
