//! The scripts and the one way to call them.

use std::sync::Arc;

use airlock_contract::AccountId;
use airlock_store::Connection;
use redis::{ErrorKind, RedisError, Script, ServerErrorKind};

use crate::Settings;
use crate::reply::Reply;

/// Where an account's table has what, counted from 1: the order of `HMGET` in `lua/start.lua`, then
/// what that adds. [`account`](crate::reply::account) reads replies in the same order.
const FIELDS: [&str; 16] = [
    "LIMIT",
    "SPENT",
    "RESERVED",
    "CIRCUIT",
    "TRIAL",
    "PARENT",
    "EXPIRES",
    "BORN",
    "REFUSALS",
    "CREATED",
    "THRESHOLDS",
    "PERIOD",
    "ENDS",
    "NAME",
    "KEY",
    "BEFORE",
];

macro_rules! scripts {
    ($($name:ident: [$($part:literal),*]),* $(,)?) => {
        /// One script an operation, hashed once.
        #[derive(Debug)]
        pub(crate) struct Scripts { $(pub(crate) $name: Script),* }

        impl Scripts {
            pub(crate) fn new(settings: &Settings) -> Self {
                let own = |parts: &[&str]| Script::new(&assembled(settings, parts));
                Self { $($name: own(&[
                    $(include_str!(concat!("lua/", $part, ".lua")),)*
                    include_str!(concat!("lua/", stringify!($name), ".lua")),
                ])),* }
            }
        }
    };
}

// The parts that an operation takes beside those that all take: Lua makes every function anew in
// every call.
scripts!(
    create: [],
    get: [],
    can_spend: [],
    spend: ["ask", "book"],
    reserve: ["ask"],
    extend: ["ask"],
    settle: ["book"],
    void: [],
    top_up: [],
    reset_circuit: [],
    delete: [],
    sweep: [],
);

/// A whole script.
///
/// Lua has no constants, and a local that functions share costs an allocation in every call: so the
/// names of [`FIELDS`] in brackets, and words such as `OPEN`, are written out here.
fn assembled(settings: &Settings, parts: &[&str]) -> String {
    let start = include_str!("lua/start.lua");
    let (period, rarely) = (include_str!("lua/period.lua"), include_str!("lua/rarely.lua"));
    let rarely = format!("rarely = function()\n{period}{rarely}end\n");
    let mut text = [start, &rarely].into_iter().chain(parts.iter().copied()).collect::<String>();
    for (index, field) in (1..).zip(FIELDS) {
        text = text.replace(&format!("[{field}]"), &format!("[{index}]"));
    }
    let Settings { refusals_to_open, retention, history } = settings;
    let words = [
        ("HALF_OPEN", "'2'".to_owned()),
        ("REFUSALS_TO_OPEN", refusals_to_open.to_string()),
        ("OPEN", "'1'".to_owned()),
        ("CLOSED", "'0'".to_owned()),
        ("RETENTION", format!("'{}'", retention.as_millis())),
        ("HISTORY", format!("'{history}'")),
    ];
    words.into_iter().fold(text, |text, (word, value)| text.replace(word, &value))
}

/// Where a family's records are. The braces make it one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    pub(crate) fn family(&self, family: &str) -> String {
        format!("{}:{{{family}}}:", self.prefix)
    }

    pub(crate) fn ledger(&self, account: &AccountId) -> String {
        format!("{}ledger:{account}", self.family(account.family()))
    }

    /// Matches the leases of every family.
    pub(crate) fn any_leases(&self) -> String {
        format!("{}:{{*}}:hold", glob_escaped(&self.prefix))
    }

    /// Matches every account, or those of one family.
    pub(crate) fn any_account(&self, family: Option<&str>) -> String {
        format!("{}:{{{}}}:budget:*", glob_escaped(&self.prefix), family.unwrap_or("*"))
    }

    /// The family and the rest of a key of ours.
    pub(crate) fn parted<'a>(&self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let rest = key.strip_prefix(&*self.prefix)?.strip_prefix(":{")?;
        rest.split_once("}:")
    }
}

fn glob_escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

/// The operation's own record, `KEYS[3]`. No account's name has a `#`, so none runs into another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record<'a> {
    /// None of its own.
    Account,
    Hold(&'a str),
    Spending(&'a str),
    TopUp(&'a str),
}

/// Calls `script` for `account`: the only place that knows the order of KEYS and ARGV.
///
/// Sent by its hash; a server that does not know it (restarted, flushed, failed over) is given the
/// text. A connection found dead is tried once more, since every operation is safe to repeat.
pub(crate) async fn call(
    connection: &Connection,
    keys: &Keys,
    script: &Script,
    account: &AccountId,
    record: Record<'_>,
    args: &[Arg<'_>],
) -> Result<Reply, RedisError> {
    let base = keys.family(account.family());
    let own = format!("{base}budget:{account}");
    let record = match record {
        Record::Account => own.clone(),
        Record::Hold(id) => format!("{base}hold:{account}#{id}"),
        Record::Spending(key) => format!("{base}ledger:{account}#spend:{key}"),
        Record::TopUp(key) => format!("{base}ledger:{account}#topup:{key}"),
    };
    let mut invocation = script.prepare_invoke();
    invocation
        .key(format!("{base}hold"))
        .key(own)
        .key(record)
        .key(keys.ledger(account))
        .arg(account.as_str());
    for arg in args {
        match arg {
            Arg::Text(text) => invocation.arg(*text),
            Arg::Int(number) => invocation.arg(*number),
            Arg::Millis(number) => invocation.arg(*number),
        };
    }
    let mut connection = connection.clone();
    match invocation.invoke_async(&mut connection).await {
        Err(error) if is_worth_repeating(&error) => invocation.invoke_async(&mut connection).await,
        answer => answer,
    }
}

/// One argument of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arg<'a> {
    Text(&'a str),
    Int(i64),
    Millis(u64),
}

/// Whether the connection was at fault and another try is cheap. A time-out is not: the caller has
/// waited once already.
fn is_worth_repeating(error: &RedisError) -> bool {
    let moved = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript));
    moved || error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout())
}
