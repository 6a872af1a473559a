//! The action types a request may name.

use std::fmt;
use std::str::FromStr;

/// What kind of step is asked for. An action type is a named set of effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Run a command or a piece of code.
    ExecuteCode,
    /// Change something that is live: infrastructure, services, published packages.
    Deploy,
    /// Create something that costs money.
    CreateBilling,
    /// Delete files.
    DeleteFiles,
    /// Reach a host.
    NetworkAccess,
}

impl Action {
    /// Every action type, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::ExecuteCode,
        Self::Deploy,
        Self::CreateBilling,
        Self::DeleteFiles,
        Self::NetworkAccess,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExecuteCode => "execute_code",
            Self::Deploy => "deploy",
            Self::CreateBilling => "create_billing",
            Self::DeleteFiles => "delete_files",
            Self::NetworkAccess => "network_access",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An action type that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown action type `{name}`; did you mean `{nearest}`?")]
pub struct UnknownAction {
    /// The name as written, cut to 64 characters.
    pub name: String,
    /// The nearest name that exists.
    pub nearest: &'static str,
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|action| action.as_str() == name).ok_or_else(|| UnknownAction {
            name: name.chars().take(64).collect(),
            nearest: crate::nearest::nearest(name, Self::ALL.iter().map(|action| action.as_str()))
                .unwrap_or("execute_code"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_a_typo_names_the_nearest() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        let wrong = "delete-file".parse::<Action>().unwrap_err();
        assert_eq!(wrong.nearest, "delete_files");
    }
}
