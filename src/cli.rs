//! What the command line takes. `--help` is the reference: each option and variable is described
//! here and nowhere else.
#![expect(
    clippy::doc_markdown,
    clippy::struct_field_names,
    clippy::struct_excessive_bools,
    reason = "the docs are help texts, and the fields are the names of options"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

/// Lets the commands of AI agents through like an airlock: policy, budget, sandbox, redaction.
#[derive(Debug, Parser)]
#[command(name = "airlock", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Print JSON: one document, or JSON Lines where there are many.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start Temporal, Redis, the sandbox host and the worker on this machine.
    Dev(Box<DevArgs>),
    /// Run the worker against existing servers.
    ///
    /// SIGINT or SIGTERM hands running commands over and ends it. SIGHUP, or a change of the
    /// configuration file, reloads the policy; one that cannot be used is logged and the old one
    /// holds.
    Worker(Box<WorkerArgs>),
    /// Run one command through the task queue and show its progress; exits with its code.
    ///
    /// 125: Airlock itself failed. 126: it refused (policy, approval, budget).
    Exec(Box<ExecArgs>),
    /// Say what the policy decides about a command. Needs no server.
    ///
    /// Exit code 0: allowed; 3: denied or an approval is needed.
    Check(CheckArgs),
    /// Try, compare and show the policy. Needs no server.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Remove secrets from standard input, as bytes arrive. Needs no server.
    Redact(RedactArgs),
    /// Read and change budget accounts.
    Budget(Box<BudgetArgs>),
    /// Serve and clean up sandboxes.
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// List and answer what the policy wants a person to see first.
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look at everything that the worker needs and say what to mend.
    Doctor(Box<DoctorArgs>),
    /// Print the JSON Schema of every activity, failure and heartbeat.
    Schema(SchemaArgs),
    /// Becomes another program that ends with this one. Used by `airlock dev`.
    #[command(hide = true)]
    Tether(TetherArgs),
}

/// Where Redis is.
#[derive(Args, Clone, Debug)]
pub(crate) struct RedisArgs {
    /// Redis address as a URL, redis:// or rediss://; instead of the other REDIS_* settings. Several
    /// addresses with commas between are nodes of a Cluster.
    #[arg(global = true, long, env = "REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<SecretString>,
    /// Redis host.
    #[arg(global = true, long, env = "REDIS_HOST", default_value = "localhost")]
    pub(crate) redis_host: String,
    /// Redis port.
    #[arg(global = true, long, env = "REDIS_PORT", default_value_t = 6379)]
    pub(crate) redis_port: u16,
    /// Redis database number.
    #[arg(global = true, long, env = "REDIS_DB", default_value_t = 0)]
    pub(crate) redis_db: i64,
    /// Redis user.
    #[arg(global = true, long, env = "REDIS_USERNAME")]
    pub(crate) redis_username: Option<String>,
    /// Redis password; better given as the variable than on the command line.
    #[arg(global = true, long, env = "REDIS_PASSWORD", hide_env_values = true)]
    pub(crate) redis_password: Option<SecretString>,
    /// First part of every key.
    #[arg(global = true, long, env = "AIRLOCK_REDIS_PREFIX", default_value = "airlock")]
    pub(crate) redis_prefix: String,
}

/// Where sandboxes come from.
#[derive(Args, Clone, Debug)]
pub(crate) struct E2bArgs {
    /// Key for E2B or a compatible sandbox host.
    #[arg(long, env = "E2B_API_KEY", hide_env_values = true)]
    pub(crate) e2b_api_key: Option<SecretString>,
    /// Domain of E2B; the API is at api.DOMAIN.
    #[arg(long, env = "E2B_DOMAIN", default_value = "e2b.app")]
    pub(crate) e2b_domain: String,
    /// Address of the API, instead of the one on the domain.
    #[arg(long, env = "E2B_API_URL")]
    pub(crate) e2b_api_url: Option<String>,
    /// Address that serves every sandbox, instead of one on the domain for each.
    #[arg(long, env = "E2B_SANDBOX_URL")]
    pub(crate) e2b_sandbox_url: Option<String>,
}

/// Where Temporal is. Profiles in temporal.toml and the other TEMPORAL_* variables hold too.
#[derive(Args, Clone, Debug)]
pub(crate) struct TemporalArgs {
    /// Temporal frontend as host:port. TEMPORAL_ADDRESS or the profile decide if it is absent.
    #[arg(long, env = "TEMPORAL_ADDRESS")]
    pub(crate) temporal_address: Option<String>,
    /// Temporal namespace.
    #[arg(long, env = "TEMPORAL_NAMESPACE")]
    pub(crate) temporal_namespace: Option<String>,
    /// Task queue of the activities and workflows.
    #[arg(long, env = "AIRLOCK_TASK_QUEUE", default_value = airlock_contract::names::TASK_QUEUE)]
    pub(crate) task_queue: String,
}

/// Policy, prices and patterns.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML): policy, prices, redaction patterns, limits.
    #[arg(long, env = "AIRLOCK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Environment of the policy: the [env.NAME] that applies.
    #[arg(long, env = "AIRLOCK_ENV")]
    pub(crate) env: Option<String>,
    /// Secret that the messages to [budget.alerts] webhook are signed with, 16 to 512 bytes.
    #[arg(long, env = "AIRLOCK_WEBHOOK_SECRET", hide_env_values = true, hide_short_help = true)]
    pub(crate) webhook_secret: Option<SecretString>,
}

/// A running stack, for commands that need its addresses.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FromArgs {
    /// Take all addresses from the ready file of `airlock dev`.
    #[arg(global = true, long, value_name = "READY_FILE")]
    pub(crate) from: Option<PathBuf>,
}

/// The HTTP door.
#[derive(Args, Clone, Debug)]
pub(crate) struct HttpArgs {
    /// Address of the HTTP API. Another than loopback needs AIRLOCK_HTTP_TOKEN. "off" for none.
    #[arg(long, env = "AIRLOCK_HTTP_LISTEN", default_value = "127.0.0.1:8000")]
    pub(crate) http_listen: String,
    /// Bearer token that HTTP clients must send.
    #[arg(long, env = "AIRLOCK_HTTP_TOKEN", hide_env_values = true)]
    pub(crate) http_token: Option<SecretString>,
}

/// What every command that reads or changes state needs.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

/// `airlock worker`.
#[derive(Args, Debug)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) temporal: TemporalArgs,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) e2b: E2bArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    /// Activities at the same time, at most.
    #[arg(long, env = "AIRLOCK_MAX_CONCURRENT_ACTIVITIES", default_value_t = 100)]
    pub(crate) max_concurrent_activities: usize,
    /// Seconds that running activities get to hand over after SIGTERM.
    #[arg(long, env = "AIRLOCK_GRACE_SECONDS", default_value_t = 10)]
    pub(crate) grace_seconds: u64,
    /// Serve the admin activities (deleteBudget, ...) on this second queue.
    #[arg(long, env = "AIRLOCK_ADMIN_TASK_QUEUE")]
    pub(crate) admin_task_queue: Option<String>,
    /// Write audit records to this JSON Lines file too.
    #[arg(long, env = "AIRLOCK_AUDIT_FILE")]
    pub(crate) audit_file: Option<PathBuf>,
    /// How log lines look.
    #[arg(long, env = "AIRLOCK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// `airlock dev`.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Run a tour of allowed, denied, over budget, secret and batch, then stop.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Leave out Temporal's web UI.
    #[arg(long)]
    pub(crate) headless: bool,
    /// Start everything but the worker.
    #[arg(long)]
    pub(crate) no_worker: bool,
    /// "default": the usual ports (7233, 8233, 6379, 3000, 8000), failing if one is taken; "auto":
    /// free ones; or a list such as temporal=7233,ui=8233,redis=6379,sandbox=3000,http=8000.
    #[arg(long, default_value = "default")]
    pub(crate) ports: String,
    /// Write the addresses as JSON to this file once everything answers.
    #[arg(long, value_name = "PATH")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Where data is kept between starts.
    #[arg(long, default_value = ".dev/data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Forget the data of earlier starts first.
    #[arg(long)]
    pub(crate) reset: bool,
    /// Let sandboxes without network rules reach the internet, by the host's proxy. Off: they have no
    /// network. Rules hold either way.
    #[arg(long)]
    pub(crate) internet: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `airlock exec`.
#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    /// Budget account.
    #[arg(long, default_value = "exec")]
    pub(crate) run_id: String,
    /// Milliseconds for the command.
    #[arg(long, default_value_t = 60_000)]
    pub(crate) timeout_ms: u64,
    /// Working directory in the sandbox.
    #[arg(long)]
    pub(crate) cwd: Option<String>,
    /// Sandbox template.
    #[arg(long)]
    pub(crate) template: Option<String>,
    /// A granted approval.
    #[arg(long)]
    pub(crate) approval_id: Option<String>,
    /// Decide, price and plan; run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Variables of the command, NAME=VALUE.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// No progress line.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) temporal: TemporalArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    /// The command; one argument is a shell line, several are a program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) cmd: Vec<String>,
}

/// `airlock check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Read one JSON object a line with `command` (or `actionType` and `context`) from standard
    /// input and write the same object with `decision` added, in order.
    #[arg(long, conflicts_with_all = ["cmd", "explain"])]
    pub(crate) jsonl: bool,
    /// Show every effect with its place in the command, and every rule that spoke.
    #[arg(long)]
    pub(crate) explain: bool,
    /// What kind of action it is.
    #[arg(long, default_value = "execute_code")]
    pub(crate) action_type: String,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The command; one argument is a shell line, several are a program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) cmd: Vec<String>,
}

/// `airlock policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Try the examples of the policy's rules, and labelled cases.
    ///
    /// A case file is JSON Lines: {"command": "...", "expect": "deny"} or {"actionType": "...",
    /// "context": {...}, "expect": "allow"}, with "category" if wanted; TOML with `case` tables
    /// of the same keys if its name ends in .toml. "expect" is allow, require_approval or deny.
    /// Exit code 1: an example or a case came out differently.
    Test(PolicyTestArgs),
    /// Compare two policies: settings, rules, and what they decide differently.
    ///
    /// OLD and NEW are configuration files, FILE:ENV, environments of --config, or "built-in".
    Diff(PolicyDiffArgs),
    /// Show the effective policy: every rule with where it comes from, the digest, the network
    /// rules of the sandbox that it compiles to, and what those cannot hold.
    Show(PolicyShowArgs),
}

/// `airlock policy test`.
#[derive(Args, Debug)]
pub(crate) struct PolicyTestArgs {
    /// Files of labelled cases; "-" is standard input.
    pub(crate) files: Vec<PathBuf>,
    /// Cases that may come out differently before the exit code says so.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) max_misses: usize,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `airlock policy diff`.
#[derive(Args, Debug)]
pub(crate) struct PolicyDiffArgs {
    /// What held before.
    pub(crate) old: String,
    /// What is to hold.
    pub(crate) new: String,
    /// Decide about the cases of this file under both, as `policy test` reads them; "-" is standard
    /// input. Without it, about the examples of both policies' rules.
    #[arg(long = "cases", value_name = "FILE")]
    pub(crate) cases: Vec<PathBuf>,
    /// Exit with 1 if anything differs.
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `airlock policy show`.
#[derive(Args, Debug)]
pub(crate) struct PolicyShowArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `airlock redact`.
#[derive(Args, Debug)]
pub(crate) struct RedactArgs {
    /// Known values to remove: JSON {"NAME": "value"} or NAME=value lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets_from: Option<PathBuf>,
    /// Write what was removed (kinds and counts) as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// `airlock budget`.
#[derive(Debug, Args)]
pub(crate) struct BudgetArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) command: BudgetCommand,
}

/// What to do with budget accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// Make an account. The same again is the same account; another limit is a conflict.
    Create(BudgetCreateArgs),
    /// Show an account.
    Get(BudgetAccountArgs),
    /// Say whether an amount would be granted now; exit code 3 if not.
    CanSpend(BudgetCanSpendArgs),
    /// Spend directly.
    Spend(BudgetSpendArgs),
    /// Hold an amount for work of your own. The same hold again is the same hold.
    Reserve(BudgetHoldArgs),
    /// Raise a hold to an amount and push its lease.
    Extend(BudgetHoldArgs),
    /// Book what a hold came to and return the rest.
    Settle(BudgetSettleArgs),
    /// Return a hold whole.
    Void(BudgetVoidArgs),
    /// Remove an account.
    Delete(BudgetAccountArgs),
    /// Raise an account's limit. An open circuit may try again if there is room then.
    TopUp(BudgetTopUpArgs),
    /// Let an open circuit try one spending.
    ResetCircuit(BudgetAccountArgs),
    /// List the accounts by name.
    List(BudgetListArgs),
    /// Show what happened on an account, the newest first.
    Ledger(BudgetLedgerArgs),
}

/// Names an account.
#[derive(Args, Debug)]
pub(crate) struct BudgetAccountArgs {
    /// The account's name.
    pub(crate) run_id: String,
}

/// Names a hold.
#[derive(Args, Debug)]
pub(crate) struct BudgetVoidArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// Your name of the hold.
    pub(crate) hold_id: String,
}

/// `airlock budget create`.
#[derive(Args, Debug)]
pub(crate) struct BudgetCreateArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// Most that may be spent, in dollars.
    pub(crate) limit: String,
    /// Seconds until it expires.
    #[arg(long)]
    pub(crate) ttl_seconds: Option<u64>,
    /// Percents of the limit at which to alert, with commas. Default 50,80,100.
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',')]
    pub(crate) alert_thresholds: Option<Vec<u64>>,
    /// Account that pays too; the same name up to the first "/".
    #[arg(long)]
    pub(crate) parent: Option<String>,
    /// Give the limit anew each "day" or each "month", in UTC.
    #[arg(long)]
    pub(crate) period: Option<String>,
}

/// `airlock budget can-spend`.
#[derive(Args, Debug)]
pub(crate) struct BudgetCanSpendArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// How much, in dollars.
    pub(crate) amount: String,
}

/// `airlock budget spend`.
#[derive(Args, Debug)]
pub(crate) struct BudgetSpendArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// How much, in dollars.
    pub(crate) amount: String,
    /// The same key again is the same spending, booked once.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
    /// What for.
    #[arg(long)]
    pub(crate) description: Option<String>,
}

/// `airlock budget reserve` and `extend`.
#[derive(Args, Debug)]
pub(crate) struct BudgetHoldArgs {
    #[command(flatten)]
    pub(crate) hold: BudgetVoidArgs,
    /// How much is held in all, in dollars.
    pub(crate) amount: String,
    /// Seconds until it is returned by itself. Default 900.
    #[arg(long)]
    pub(crate) lease_seconds: Option<u64>,
}

/// `airlock budget settle`.
#[derive(Args, Debug)]
pub(crate) struct BudgetSettleArgs {
    #[command(flatten)]
    pub(crate) hold: BudgetVoidArgs,
    /// What it came to, in dollars.
    pub(crate) amount: String,
    /// What for.
    #[arg(long)]
    pub(crate) description: Option<String>,
}

/// `airlock budget top-up`.
#[derive(Args, Debug)]
pub(crate) struct BudgetTopUpArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// What the limit is raised by, in dollars.
    pub(crate) amount: String,
    /// The same key again is the same top-up, counted once.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
}

/// `airlock budget list`.
#[derive(Args, Debug)]
pub(crate) struct BudgetListArgs {
    /// Only accounts of this family: the name up to the first "/".
    #[arg(long)]
    pub(crate) family: Option<String>,
    /// Most accounts to show, up to 1000.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
}

/// `airlock budget ledger`.
#[derive(Args, Debug)]
pub(crate) struct BudgetLedgerArgs {
    #[command(flatten)]
    pub(crate) account: BudgetAccountArgs,
    /// Most entries to show, up to 1000.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u64,
}

/// `airlock sandbox`.
#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Serve E2B's control plane and envd on one address of this machine.
    Host(Box<airlock_sandbox_host::HostArgs>),
    /// List the running sandboxes.
    List(SandboxClientArgs),
    /// Kill one sandbox.
    Kill(SandboxKillArgs),
    /// End the sandboxes whose lease ran out and whose activity is closed, and return their holds.
    ///
    /// Workers do the same every half minute. What is open, or cannot be asked about, is left.
    Reap(Box<SandboxReapArgs>),
}

/// `airlock sandbox reap`.
#[derive(Args, Debug)]
pub(crate) struct SandboxReapArgs {
    /// Only say what would be ended.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) temporal: TemporalArgs,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) e2b: E2bArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

/// `airlock sandbox list`.
#[derive(Args, Debug)]
pub(crate) struct SandboxClientArgs {
    #[command(flatten)]
    pub(crate) e2b: E2bArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

/// `airlock sandbox kill`.
#[derive(Args, Debug)]
pub(crate) struct SandboxKillArgs {
    /// The sandbox's id.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) client: SandboxClientArgs,
}

/// `airlock doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) temporal: TemporalArgs,
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) e2b: E2bArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) from: FromArgs,
}

/// `airlock schema`.
#[derive(Args, Debug)]
pub(crate) struct SchemaArgs {
    /// Only this activity.
    pub(crate) activity: Option<String>,
}

/// `airlock approvals`.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// What waits for an answer, the one that expires first on top.
    List(ApprovalsListArgs),
    /// One approval: what would be done, and who answered.
    Show(ApprovalArgs),
    /// Let it be done, once.
    Approve(ApprovalAnswerArgs),
    /// Refuse it for good.
    Reject(ApprovalAnswerArgs),
}

/// `airlock approvals list`.
#[derive(Args, Debug)]
pub(crate) struct ApprovalsListArgs {
    /// Most that are shown, 1 to 1000.
    #[arg(long, short = 'n', default_value_t = 100)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `airlock approvals show`.
#[derive(Args, Debug)]
pub(crate) struct ApprovalArgs {
    /// The approval's id.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `airlock approvals approve|reject`.
#[derive(Args, Debug)]
pub(crate) struct ApprovalAnswerArgs {
    /// Why; kept in the audit log.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Who answers; kept in the audit log.
    #[arg(long, env = "USER")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) approval: ApprovalArgs,
}

/// `airlock audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records, the oldest of them first.
    Tail(AuditTailArgs),
    /// Say whether every chain is whole and unchanged.
    ///
    /// Exit code 1: records are missing, changed or out of order.
    Verify(AuditVerifyArgs),
    /// Write every record as it stands, a line each.
    Export(AuditSourceArgs),
}

/// Where the records are.
#[derive(Args, Debug)]
pub(crate) struct AuditSourceArgs {
    /// A JSON Lines file of AIRLOCK_AUDIT_FILE or of `audit export`, instead of Redis.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `airlock audit tail`.
#[derive(Args, Debug)]
pub(crate) struct AuditTailArgs {
    /// Most that are shown, 1 to 1000.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) limit: u64,
    /// Only of this budget account.
    #[arg(long)]
    pub(crate) run_id: Option<String>,
    /// Only of this execution.
    #[arg(long)]
    pub(crate) execution_id: Option<String>,
    /// Only of this kind, such as policy.decided, or of kinds that begin with it and a dot.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) source: AuditSourceArgs,
}

/// `airlock audit verify`.
#[derive(Args, Debug)]
pub(crate) struct AuditVerifyArgs {
    /// A record that must be there, as a result's receipt names it: WRITER:SEQUENCE:HASH. Repeat it.
    #[arg(long, value_name = "WRITER:SEQUENCE:HASH")]
    pub(crate) receipt: Vec<String>,
    #[command(flatten)]
    pub(crate) source: AuditSourceArgs,
}

/// `airlock tether`.
#[derive(Args, Debug)]
pub(crate) struct TetherArgs {
    /// Process that must live; this one is killed when it dies.
    #[arg(long)]
    pub(crate) parent: i32,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) cmd: Vec<String>,
}
