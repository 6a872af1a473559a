//! The circuit breaker.

use airlock_budget::{Error, Ledger, Settings};
use airlock_contract::{AccountId, Circuit};

use crate::refused;
use crate::support::{LEASE, Store, hold, on_every_server, usd};

async fn circuit(ledger: &Ledger, account: &AccountId) -> Circuit {
    ledger.get(account).await.unwrap().circuit
}

/// An account whose circuit is open because a settlement came to more than the limit.
async fn overspent(store: &Store) -> AccountId {
    let account = store.account("run-1", "1").await;
    let key = hold(&account, "over");
    store.ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
    let settled = store.ledger.settle(&key, usd("1.5"), "").await.unwrap();
    assert!(settled.status.exceeded);
    assert_eq!(settled.status.circuit, Circuit::Open);
    account
}

#[tokio::test]
async fn a_settlement_over_the_limit_opens_the_circuit_until_a_top_up_has_room() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let account = overspent(store).await;
        refused!(ledger.spend(&account, usd("0"), None, None).await, Error::CircuitOpen { .. });
        assert!(!ledger.can_spend(&account, usd("0")).await.unwrap().can_spend);
        ledger.top_up(&account, usd("0.5"), Some("too little")).await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::Open);
        ledger.top_up(&account, usd("1"), Some("enough")).await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::HalfOpen);

        // One is let through, and closes the circuit by staying within its means.
        let trial = hold(&account, "trial");
        ledger.reserve(&trial, usd("0.5"), LEASE).await.unwrap();
        refused!(
            ledger.reserve(&hold(&account, "other"), usd("0.1"), LEASE).await,
            Error::CircuitOpen { .. }
        );
        refused!(ledger.spend(&account, usd("0.1"), None, None).await, Error::CircuitOpen { .. });
        ledger.reserve(&trial, usd("0.5"), LEASE).await.unwrap();
        ledger.extend(&trial, usd("0.6"), LEASE).await.unwrap();
        ledger.settle(&trial, usd("0.5"), "").await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::Closed);
        ledger.spend(&account, usd("0.1"), None, None).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_trial_that_is_voided_leaves_room_for_another_and_one_that_overspends_opens_again() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let account = overspent(store).await;
        ledger.top_up(&account, usd("1"), Some("more")).await.unwrap();
        let (first, second) = (hold(&account, "1"), hold(&account, "2"));
        ledger.reserve(&first, usd("0.1"), LEASE).await.unwrap();
        ledger.void(&first).await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::HalfOpen);
        ledger.reserve(&second, usd("0.1"), LEASE).await.unwrap();
        ledger.settle(&second, usd("2"), "").await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::Open);

        ledger.reset_circuit(&account).await.unwrap();
        assert_eq!(circuit(ledger, &account).await, Circuit::HalfOpen);
        refused!(ledger.spend(&account, usd("1"), None, None).await, Error::Exceeded { .. });
        assert_eq!(circuit(ledger, &account).await, Circuit::Open);
    })
    .await;
}

#[tokio::test]
async fn a_spending_is_a_trial_too() {
    on_every_server(async |store| {
        let account = overspent(store).await;
        store.ledger.top_up(&account, usd("1"), Some("more")).await.unwrap();
        let status = store.ledger.spend(&account, usd("0.1"), None, None).await.unwrap();
        assert_eq!(status.circuit, Circuit::Closed);
    })
    .await;
}

#[tokio::test]
async fn refusals_in_a_row_open_the_circuit_but_not_those_that_a_returned_hold_could_cure() {
    on_every_server(async |store| {
        let ledger = store.with(Settings { refusals_to_open: 3, ..Settings::default() }).await;
        let account = store.account("run-1", "1").await;
        ledger.reserve(&hold(&account, "long"), usd("0.9"), LEASE).await.unwrap();
        for _ in 0..10 {
            refused!(ledger.spend(&account, usd("0.2"), None, None).await, Error::Exceeded { .. });
        }
        for round in 0..2 {
            for _ in 0..2 {
                refused!(
                    ledger.spend(&account, usd("2"), None, None).await,
                    Error::Exceeded { .. }
                );
            }
            assert_eq!(circuit(&ledger, &account).await, Circuit::Closed, "{round}");
            ledger.spend(&account, usd("0.01"), None, None).await.unwrap();
        }
        for _ in 0..3 {
            refused!(ledger.spend(&account, usd("2"), None, None).await, Error::Exceeded { .. });
        }
        refused!(ledger.spend(&account, usd("0.01"), None, None).await, Error::CircuitOpen { .. });
        // What is held already is settled all the same.
        ledger.settle(&hold(&account, "long"), usd("0.1"), "").await.unwrap();
        assert_eq!(circuit(&ledger, &account).await, Circuit::Open);
    })
    .await;
}

#[tokio::test]
async fn an_open_circuit_answers_without_writing() {
    on_every_server(async |store| {
        let account = overspent(store).await;
        let mut admin = store.server.connect().await;
        let mut dirty = async || -> String {
            let info: String =
                redis::cmd("INFO").arg("persistence").query_async(&mut admin).await.unwrap();
            info.lines().find(|line| line.starts_with("rdb_changes")).unwrap().to_owned()
        };
        let before = dirty().await;
        for n in 0..50 {
            let key = hold(&account, &n.to_string());
            refused!(
                store.ledger.reserve(&key, usd("0.1"), LEASE).await,
                Error::CircuitOpen { .. }
            );
        }
        assert_eq!(dirty().await, before);
    })
    .await;
}
