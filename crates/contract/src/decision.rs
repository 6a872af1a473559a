//! What the policy says about one action.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reader::Reader;
use crate::{AccountId, Problems};

/// The effect kinds: a closed table, version 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum EffectKind {
    /// Deletes files or directories. Target: the path.
    #[serde(rename = "fs.delete")]
    FsDelete,
    /// Writes, moves or changes the mode of files. Target: the path.
    #[serde(rename = "fs.write")]
    FsWrite,
    /// Writes to a block or other device. Target: the device.
    #[serde(rename = "device.write")]
    DeviceWrite,
    /// Runs code that comes from elsewhere. Target: the source.
    #[serde(rename = "exec.remote")]
    ExecRemote,
    /// Runs code that cannot be read from the command. Target: what runs it.
    #[serde(rename = "exec.opaque")]
    ExecOpaque,
    /// A database statement that changes or drops. Target: the statement's kind and object.
    #[serde(rename = "db.statement")]
    DbStatement,
    /// Changes something in a cloud, cluster or infrastructure tool. Target: verb and resource.
    #[serde(rename = "cloud.mutate")]
    CloudMutate,
    /// Talks to a host. Target: host, with the port if it is known.
    #[serde(rename = "net.egress")]
    NetEgress,
    /// Reads credentials. Target: the path or variable.
    #[serde(rename = "credential.read")]
    CredentialRead,
    /// Gains privilege or weakens isolation. Target: the means.
    #[serde(rename = "privilege")]
    Privilege,
    /// Stops or floods processes. Target: which.
    #[serde(rename = "process")]
    Process,
    /// Changes the system itself: shutdown, firewall, services. Target: what.
    #[serde(rename = "system")]
    System,
    /// Deploys. Target: what.
    #[serde(rename = "deploy")]
    Deploy,
    /// Publishes a package or an image. Target: what.
    #[serde(rename = "publish")]
    Publish,
    /// Creates something that costs money. Target: what.
    #[serde(rename = "billing")]
    Billing,
    /// Rewrites or discards version-controlled work. Target: what.
    #[serde(rename = "vcs.mutate")]
    VcsMutate,
}

/// How sure the target of an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The target is exactly this.
    Exact,
    /// The target begins with this; the rest is not known before the command runs.
    Prefix,
    /// The target is not known.
    Unknown,
}

/// One thing that the action would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// What kind.
    pub kind: EffectKind,
    /// On what.
    pub target: String,
    /// Where in the command: start and end in UTF-8 bytes.
    pub span: [usize; 2],
    /// How sure the target is.
    pub certainty: Certainty,
}

/// The decision itself, from loosest to strictest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PolicyOutcome {
    /// Run it.
    Allow,
    /// A person must approve it first.
    RequireApproval,
    /// Never run it.
    Deny,
}

/// How grave the worst effect is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words say it")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// Whether a decision binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It binds.
    Enforce,
    /// It is recorded and blocks nothing.
    Shadow,
}

/// What the policy decided and why. Byte-stable: no timing in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDecision {
    /// Whether the action may go on now: allowed, or the policy is in shadow mode.
    pub allowed: bool,
    /// What the rules say.
    pub outcome: PolicyOutcome,
    /// Whether an approval would let it through.
    pub requires_approval: bool,
    /// The action type that was judged.
    pub action_type: String,
    /// One sentence that a person or a model can act on.
    pub reason: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Every rule that spoke.
    pub rule_ids: Vec<String>,
    /// What the action would do.
    pub effects: Vec<Effect>,
    /// How grave it is.
    pub severity: Severity,
    /// What the gate could not see, such as scripts on disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// What of the hosts it reaches the sandbox's network rules cannot hold, such as a port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unenforced: Vec<String>,
    /// Digest of the policy that decided.
    pub policy_digest: String,
    /// Whether it binds.
    pub mode: Mode,
}

/// Input of `checkPolicy` and `enforcePolicy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckPolicyInput {
    /// What kind of action: `execute_code`, `deploy`, `create_billing`, `delete_files`,
    /// `network_access`. Names are checked by the policy, which knows them.
    pub action_type: String,
    /// The facts: `command`, `code`, `cwd`, `paths`, `hosts`, `service`, `amount`.
    #[serde(default)]
    pub context: PolicyContext,
    /// The budget account the decision is recorded for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<AccountId>,
}

/// The facts of an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyContext {
    /// Shell command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Program instead of a command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<crate::CodeInput>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Paths of `delete_files`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// `host` or `host:port` of `network_access`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Service of `create_billing` or `deploy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Amount in dollars of `create_billing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<crate::Usd>,
}

impl CheckPolicyInput {
    /// Reads the input; every problem at once.
    pub fn parse(value: &Value) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::new(value, "", &mut problems);
        reader.require("actionType");
        let action_type = reader.string("actionType", 64).unwrap_or_default();
        let run_id = reader.account("runId");
        let context = match reader.value("context") {
            Some(value) => PolicyContext::read(value, "context", reader.problems()),
            None => PolicyContext::default(),
        };
        reader.finish();
        problems.or(Self { action_type, context, run_id })
    }
}

impl PolicyContext {
    fn read(value: &Value, path: &str, problems: &mut Problems) -> Self {
        let mut reader = Reader::new(value, path, problems);
        let command = reader.string("command", crate::ExecuteInput::MAX_COMMAND_BYTES);
        let code_at = reader.at("code");
        let code = reader
            .value("code")
            .and_then(|value| crate::CodeInput::read(value, &code_at, reader.problems()));
        let cwd = reader.string("cwd", 4096);
        let item = |value: &Value, at: &str, problems: &mut Problems| {
            crate::reader::text(value, at, 4096, problems)
        };
        let paths = reader.list("paths", 1000, item).unwrap_or_default();
        let hosts = reader.list("hosts", 1000, item).unwrap_or_default();
        let service = reader.string("service", 256);
        let amount = reader.usd("amount");
        reader.finish();
        Self { command, code, cwd, paths, hosts, service, amount }
    }
}
