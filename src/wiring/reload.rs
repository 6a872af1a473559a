//! A new policy without a restart: on SIGHUP, and when the configuration file has changed.
//!
//! The whole file is read and checked first, so a decision sees the old policy or the new one and
//! nothing between; if it cannot be used, the old one holds and the log says line, key and
//! remedy. A changed file is taken once it has kept still for a look, because half of a file may
//! be a valid, looser policy. Everything but the policy holds from the next start.

use std::path::Path;
use std::time::{Duration, SystemTime};

use airlock_engine::{Engine, metrics};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::ConfigArgs;
use crate::config;
use crate::drain::recv;

/// Between two looks at the file.
const EVERY: Duration = Duration::from_secs(1);

/// What a file looks like from outside; a file that is swapped by a link differs as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Look {
    /// `None` while there is no such file.
    fn at(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

/// What made us look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Signal,
    Change,
}

/// Reloads until `stop`. `args` say which file and environment the process was started with.
pub(crate) async fn run(engine: Engine, args: ConfigArgs, stop: CancellationToken) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let path = args.config.clone();
    let look = || path.as_deref().and_then(Look::at);
    // What was loaded at start may be older than what the file holds by now.
    let (mut taken, mut last) = (None, look());
    let mut stale = false;
    loop {
        let cause = tokio::select! {
            () = stop.cancelled() => return,
            () = recv(hangup.as_mut()) => Cause::Signal,
            () = sleep(EVERY) => Cause::Change,
        };
        let seen = look();
        let (still, new) = (seen == last, seen.is_some() && seen != taken);
        last = seen;
        if cause == Cause::Signal || (still && new) {
            taken = seen;
            stale = !take(&engine, &args, cause == Cause::Signal || stale);
        }
    }
}

/// Puts the file's policy in force, or says why not; whether it can be used. With `tell`, a policy
/// that is in force already is worth a word.
fn take(engine: &Engine, args: &ConfigArgs, tell: bool) -> bool {
    let old = engine.policy();
    let gate = match config::gate(args) {
        Ok(gate) => gate,
        Err(error) => {
            metrics::policy_reload(false);
            tracing::error!(
                problem = error.message,
                policy = old.digest(),
                "the policy is not reloaded: the old one holds until the file is mended"
            );
            return false;
        }
    };
    if gate.digest() == old.digest() {
        if tell {
            metrics::policy_reload(true);
            tracing::info!(policy = old.digest(), "the policy is the one in force");
        }
        return true;
    }
    for warning in gate.warnings() {
        tracing::warn!(%warning, "the policy says something in vain");
    }
    tracing::info!(
        policy = gate.digest(),
        before = old.digest(),
        environment = gate.env(),
        "the policy is reloaded; other settings hold from the next start"
    );
    engine.reload_policy(gate);
    metrics::policy_reload(true);
    true
}
