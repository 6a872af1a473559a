//! The sandbox's way out: what the policy allows, narrowed by what the run asks for.

use airlock_contract::NetworkInput;
use airlock_e2b::Network;
use airlock_policy::{Egress, NetworkPolicy};

/// What the sandbox may reach; none leaves it open, which only a policy that allows every host
/// does. `granted` are hosts that a person approved for this run.
pub(crate) fn network(
    policy: &NetworkPolicy,
    asked: Option<&NetworkInput>,
    granted: &[String],
) -> Option<Network> {
    let open = policy.egress() == Egress::Open;
    let egress = match asked {
        Some(NetworkInput::Word(_)) => Egress::Shut,
        Some(NetworkInput::Allow { allow }) => {
            let within = |host: &&String| open || granted.contains(host) || policy.covers(host);
            Egress::only(allow.iter().filter(within).cloned())
        }
        None if open => Egress::Open,
        None => {
            // A command may spell its host `*`; approving it opens no other.
            let granted = granted.iter().filter(|host| !host.contains('*')).cloned();
            Egress::only(policy.expanded().into_iter().chain(granted))
        }
    };
    match egress {
        Egress::Open => None,
        Egress::Shut => Some(Network::none()),
        Egress::Only(hosts) => Some(Network::only(hosts)),
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
        let network = network(policy, Some(&allow(&[listed.as_str(), "evil.example"])), &[]);
        assert_eq!(network, Some(Network::only([listed])));
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
        let gate = Gate::load(
            "[env.base]\n[env.base.network]\nallow = [\"a.example:443\", \"2001:db8::1\", \
             \"10.0.0.0/8\"]\n",
            None,
        );
        let gate = gate.expect("a policy");
        let hosts = ["10.0.0.0/8", "2001:db8::1", "a.example"];
        assert_eq!(network(gate.network(), None, &[]), Some(Network::only(hosts)));
    }
}
