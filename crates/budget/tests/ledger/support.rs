//! What every test of the ledger starts with.

use std::time::Duration;

use airlock_budget::{HoldKey, Ledger, NewBudget, Settings};
use airlock_contract::{AccountId, Usd};
use airlock_testing::{RedisServer, redis_servers};

pub(crate) const LEASE: Duration = Duration::from_mins(1);

/// One test on one server.
pub(crate) struct Store {
    pub(crate) server: RedisServer,
    pub(crate) ledger: Ledger,
}

/// Runs `test` on every server found, each fresh.
pub(crate) async fn on_every_server(test: impl AsyncFn(&Store)) {
    for binary in redis_servers() {
        println!("on {}", binary.display());
        let server = RedisServer::start(&binary);
        let ledger = Ledger::new(server.connect().await, "airlock");
        test(&Store { server, ledger }).await;
    }
}

impl Store {
    /// The same store on a connection of its own, with other settings.
    pub(crate) async fn with(&self, settings: Settings) -> Ledger {
        Ledger::with_settings(self.server.connect().await, "airlock", settings)
    }

    /// Makes an account without alerts.
    pub(crate) async fn account(&self, name: &str, limit: &str) -> AccountId {
        let new = NewBudget { alert_thresholds: vec![], ..NewBudget::new(id(name), usd(limit)) };
        self.ledger.create(&new).await.unwrap().run_id
    }

    /// Makes an account under another.
    pub(crate) async fn child(&self, name: &str, limit: &str, parent: &str) -> AccountId {
        let new = NewBudget { parent: Some(id(parent)), ..NewBudget::new(id(name), usd(limit)) };
        self.ledger.create(&new).await.unwrap().run_id
    }

    /// `spent`, `reserved` and `remaining`, as text.
    pub(crate) async fn sums(&self, account: &AccountId) -> [String; 3] {
        let status = self.ledger.get(account).await.unwrap();
        [status.spent, status.reserved, status.remaining].map(|amount| amount.to_string())
    }

    /// One command on a connection of its own.
    pub(crate) async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.server.connect().await;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut connection).await.unwrap()
    }
}

pub(crate) fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

pub(crate) fn id(name: &str) -> AccountId {
    name.parse().unwrap()
}

pub(crate) fn hold(account: &AccountId, id: &str) -> HoldKey {
    HoldKey::new(account.clone(), id)
}

/// Asserts that a result is the named refusal.
#[macro_export]
macro_rules! refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {{
        let result = $result;
        assert!(matches!(&result, Err($pattern) $(if $guard)?), "{result:?}");
    }};
}
