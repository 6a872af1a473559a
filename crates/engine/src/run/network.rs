//! The sandbox's way out: what the policy allows, narrowed by what the run asks for.

use airlock_contract::NetworkInput;
use airlock_e2b::Network;
use airlock_policy::{NetworkPolicy, Outcome};

/// What the sandbox may reach; none leaves it open, which only a policy that allows every host
/// does. `granted` are hosts that a person approved for this run.
pub(crate) fn network(
    policy: &NetworkPolicy,
    asked: Option<&NetworkInput>,
    granted: &[String],
) -> Option<Network> {
    let open = policy.otherwise == Outcome::Allow;
    match asked {
        Some(NetworkInput::Word(_)) => Some(Network::none()),
        Some(NetworkInput::Allow { allow }) => {
            let listed = policy.expanded();
            let within = |host: &&String| {
                open || granted.contains(host)
                    || listed.contains(host)
                    || !host.contains('*') && policy.allows(host)
            };
            Some(only(allow.iter().filter(within).cloned()))
        }
        None if open => None,
        None => {
            let listed = policy.expanded();
            if listed.iter().any(|entry| entry == "*") {
                return None;
            }
            Some(only(listed.into_iter().chain(granted.iter().cloned())))
        }
    }
}

/// Providers take hosts and ranges without ports: an entry with a port opens its host.
fn only(hosts: impl Iterator<Item = String>) -> Network {
    let mut hosts: Vec<String> = hosts.map(|host| without_port(&host).to_owned()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if hosts.is_empty() { Network::none() } else { Network::only(hosts) }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':')
                && !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use airlock_policy::Gate;

    fn allow(hosts: &[&str]) -> NetworkInput {
        NetworkInput::Allow { allow: hosts.iter().map(|&host| host.to_owned()).collect() }
    }

    #[test]
    fn a_run_narrows_the_policys_list_and_never_widens_it() {
        let gate = Gate::builtin();
        let policy = gate.network();
        let listed = policy.expanded().into_iter().find(|h| !h.contains('*')).expect("a host");
        let network = network(policy, Some(&allow(&[&listed, "evil.example"])), &[]);
        assert_eq!(network, Some(Network::only([without_port(&listed)])));
    }

    #[test]
    fn none_and_a_list_of_nothing_shut_it() {
        let gate = Gate::builtin();
        let word = NetworkInput::Word("none".to_owned());
        assert_eq!(network(gate.network(), Some(&word), &[]), Some(Network::none()));
        let evil = allow(&["evil.example:443"]);
        assert_eq!(network(gate.network(), Some(&evil), &[]), Some(Network::none()));
    }

    #[test]
    fn ports_are_left_off_and_addresses_are_whole() {
        assert_eq!(without_port("a.example:443"), "a.example");
        assert_eq!(without_port("2001:db8::1"), "2001:db8::1");
        assert_eq!(without_port("10.0.0.0/8"), "10.0.0.0/8");
    }
}
