//! The engine: its parts, and what all of its use cases share.

use std::sync::Arc;

use airlock_approval::Approvals;
use airlock_audit::Log;
use airlock_budget::{Ledger, PriceCard};
use airlock_contract::Failure;
use airlock_e2b::Client;
use airlock_policy::Gate;
use airlock_redaction::Redactor;
use airlock_runs::{Admission, Breaker, Runs};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::failure;
use crate::run::PROVIDER;
use crate::secrets::SecretSource;

/// What an engine is made of.
pub struct Parts {
    /// The policy of the deployment's environment.
    pub gate: Gate,
    /// What is masked in output, and in every text that leaves.
    pub redactor: Redactor,
    /// Budget accounts.
    pub ledger: Ledger,
    /// Run records.
    pub runs: Runs,
    /// The audit log.
    pub audit: Arc<Log>,
    /// Approval requests.
    pub approvals: Approvals,
    /// The sandbox provider.
    pub e2b: Client,
    /// Prices of sandbox time.
    pub prices: PriceCard,
    /// Values for `secretEnv`.
    pub secrets: Arc<dyn SecretSource>,
    /// Settings.
    pub config: Config,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Each use case once. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
}

/// What runs share.
pub(crate) struct Core {
    gate: RwLock<Arc<Gate>>,
    redactor: RwLock<Redactor>,
    pub(crate) ledger: Ledger,
    pub(crate) runs: Runs,
    pub(crate) audit: Arc<Log>,
    pub(crate) approvals: Approvals,
    pub(crate) e2b: Client,
    pub(crate) prices: PriceCard,
    pub(crate) secrets: Arc<dyn SecretSource>,
    pub(crate) config: Config,
    /// How many sandboxes the fleet may have, and how fast.
    pub(crate) admission: Admission,
    /// Whether the sandbox provider is up, as the fleet knows it.
    pub(crate) breaker: Breaker,
    /// Clean-ups that must run to their end.
    pub(crate) tasks: TaskTracker,
    /// The process ends: what waits for a slow server tries once more, and no longer.
    pub(crate) draining: CancellationToken,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Core {
    /// The policy as it is now; a reload does not change it for whoever holds it.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.read().clone()
    }

    pub(crate) fn redactor(&self) -> Redactor {
        self.redactor.read().clone()
    }
}

impl Engine {
    /// An engine of these parts.
    pub fn new(parts: Parts) -> Self {
        let core = Core {
            admission: parts.runs.admission(),
            breaker: parts.runs.breaker(PROVIDER, parts.config.breaker),
            gate: RwLock::new(Arc::new(parts.gate)),
            redactor: RwLock::new(parts.redactor),
            ledger: parts.ledger,
            runs: parts.runs,
            audit: parts.audit,
            approvals: parts.approvals,
            e2b: parts.e2b,
            prices: parts.prices,
            secrets: parts.secrets,
            config: parts.config,
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
        };
        Self { core: Arc::new(core) }
    }

    /// Puts another policy in force for every decision from now on.
    pub fn reload_policy(&self, gate: Gate) {
        *self.core.gate.write() = Arc::new(gate);
    }

    /// Puts another redactor in force for every run from now on.
    pub fn reload_redactor(&self, redactor: Redactor) {
        *self.core.redactor.write() = redactor;
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Gate> {
        self.core.gate()
    }

    /// The ledger, for doors that administer accounts.
    pub fn ledger(&self) -> &Ledger {
        &self.core.ledger
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// Whether the stores answer and the audit log can be written.
    ///
    /// # Errors
    /// The failure that a run would meet.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.core.ledger.ping().await.map_err(failure::budget)?;
        // Asks rather than remembers: a log that failed once may be back.
        self.core.audit.ready().await.map_err(|error| failure::audit(&error))
    }

    /// Waits for clean-ups that outlived whoever asked for them. Call before the process ends,
    /// once no run is started any more.
    pub async fn drain(&self) {
        self.core.tasks.close();
        self.core.draining.cancel();
        self.core.tasks.wait().await;
    }
}
