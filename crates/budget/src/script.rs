//! The scripts and the one way to call them.

use std::sync::Arc;

use airlock_contract::AccountId;
use airlock_store::Connection;
use redis::{ErrorKind, RedisError, Script, ServerErrorKind};

use crate::Settings;
use crate::reply::Reply;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One script an operation, hashed once.
        #[derive(Debug)]
        pub(crate) struct Scripts { $($(#[$doc])* pub(crate) $name: Script),* }

        impl Scripts {
            pub(crate) fn new() -> Self {
                Self { $($name: Script::new(concat!(
                    include_str!("lua/period.lua"),
                    include_str!("lua/common.lua"),
                    include_str!(concat!("lua/", stringify!($name), ".lua")),
                ))),* }
            }
        }
    };
}

scripts!(
    create,
    get,
    can_spend,
    spend,
    reserve,
    extend,
    settle,
    void,
    top_up,
    reset_circuit,
    delete,
    sweep,
);

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
    settings: &Settings,
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
        .arg(base)
        .arg(account.as_str())
        .arg(u64::try_from(settings.retention.as_millis()).unwrap_or(u64::MAX))
        .arg(settings.history);
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
