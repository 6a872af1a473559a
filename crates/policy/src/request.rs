//! What the gate is asked about.

use std::collections::BTreeMap;

use crate::action::Action;

static NO_ENV: BTreeMap<String, String> = BTreeMap::new();

/// A step that wants to happen. Everything in it is hostile.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The action type.
    pub action: Action,
    /// A shell command line.
    pub command: Option<&'a str>,
    /// Source code in place of a command.
    pub code: Option<Code<'a>>,
    /// The working directory; the workspace of the run. `/workspace/project` if not given.
    pub cwd: Option<&'a str>,
    /// The environment of the command, as far as it is known.
    pub env: &'a BTreeMap<String, String>,
    /// What the command reads from its standard input.
    pub stdin: Option<&'a str>,
    /// Paths that the action is about (`delete_files`).
    pub paths: &'a [String],
    /// Hosts that the action is about (`network_access`), `host` or `host:port`.
    pub hosts: &'a [String],
    /// The service that is deployed or billed.
    pub service: Option<&'a str>,
    /// The amount that is billed, for the reason only.
    pub amount: Option<&'a str>,
    /// Packages that are installed first.
    pub packages: &'a [Package<'a>],
}

impl<'a> Request<'a> {
    /// A request that names nothing but its action type.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            action,
            command: None,
            code: None,
            cwd: None,
            env: &NO_ENV,
            stdin: None,
            paths: &[],
            hosts: &[],
            service: None,
            amount: None,
            packages: &[],
        }
    }

    /// A shell command line to execute.
    #[must_use]
    pub fn command(command: &'a str) -> Self {
        Self { command: Some(command), ..Self::new(Action::ExecuteCode) }
    }

    /// A piece of source code to execute.
    #[must_use]
    pub fn code(language: &'a str, source: &'a str) -> Self {
        Self { code: Some(Code { language, source }), ..Self::new(Action::ExecuteCode) }
    }
}

/// Source code and the language it is in.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// `python`, `javascript`, `typescript`, `bash`, `r`, `ruby`, `go`...
    pub language: &'a str,
    /// The source text.
    pub source: &'a str,
}

/// A package to install.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// `pip`, `npm`, `apt` or `cargo`.
    pub manager: &'a str,
    /// The name, with a version if it has one.
    pub name: &'a str,
}
