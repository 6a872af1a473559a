//! Accounts above: they pay too, all or none.

use std::time::Duration;

use airlock_budget::{Alert, Error, NewBudget};
use airlock_contract::Circuit;

use crate::refused;
use crate::support::{LEASE, hold, id, on_every_server, usd};

#[tokio::test]
async fn a_parent_pays_too_and_its_lack_refuses_all() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let team = store.account("team", "1").await;
        let (a, b) =
            (store.child("team/a", "5", "team").await, store.child("team/b", "5", "team").await);
        let leaf = store.child("team/a/leaf", "0.4", "team/a").await;

        ledger.reserve(&hold(&leaf, "x"), usd("0.4"), LEASE).await.unwrap();
        ledger.reserve(&hold(&b, "x"), usd("0.5"), LEASE).await.unwrap();
        assert_eq!(store.sums(&team).await, ["0", "0.9", "0.1"]);
        assert_eq!(store.sums(&a).await, ["0", "0.4", "4.6"]);
        refused!(
            ledger.reserve(&hold(&a, "y"), usd("0.2"), LEASE).await,
            Error::Exceeded { status, .. } if status.run_id == id("team")
        );
        assert_eq!(store.sums(&a).await, ["0", "0.4", "4.6"]);
        let can = ledger.can_spend(&a, usd("0.2")).await.unwrap();
        assert_eq!((can.can_spend, can.remaining), (false, usd("0.1")));

        ledger.settle(&hold(&leaf, "x"), usd("0.1"), "").await.unwrap();
        ledger.void(&hold(&b, "x")).await.unwrap();
        ledger.spend(&b, usd("0.2"), None, None).await.unwrap();
        assert_eq!(store.sums(&team).await, ["0.3", "0", "0.7"]);
        assert_eq!(store.sums(&a).await, ["0.1", "0", "4.9"]);
        assert_eq!(store.sums(&leaf).await, ["0.1", "0", "0.3"]);
        assert_eq!(store.sums(&b).await, ["0.2", "0", "4.8"]);

        let history = ledger.history(&team, 10).await.unwrap();
        let via: Vec<_> = history.iter().map(|entry| entry.via.as_str()).collect();
        assert_eq!(via, ["team/b", "team/a/leaf", "team"]);
    })
    .await;
}

#[tokio::test]
async fn a_lapsed_hold_returns_to_the_parent_whoever_touches_the_family() {
    on_every_server(async |store| {
        let team = store.account("team", "1").await;
        let (a, b) =
            (store.child("team/a", "5", "team").await, store.child("team/b", "5", "team").await);
        let short = Duration::from_millis(20);
        store.ledger.reserve(&hold(&a, "x"), usd("1"), short).await.unwrap();
        tokio::time::sleep(short * 2).await;
        store.ledger.reserve(&hold(&b, "x"), usd("1"), LEASE).await.unwrap();
        assert_eq!(store.sums(&team).await, ["0", "1", "0"]);
        assert_eq!(store.sums(&a).await, ["0", "0", "5"]);
    })
    .await;
}

#[tokio::test]
async fn a_parents_open_circuit_refuses_those_below() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let team = store.account("team", "1").await;
        let child = store.child("team/a", "5", "team").await;
        let key = hold(&child, "x");
        ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
        let settled = ledger.settle(&key, usd("2"), "").await.unwrap();
        assert_eq!(settled.status.circuit, Circuit::Closed);
        refused!(
            ledger.reserve(&hold(&child, "y"), usd("0.1"), LEASE).await,
            Error::CircuitOpen { status } if status.run_id == team
        );
    })
    .await;
}

#[tokio::test]
async fn thresholds_of_the_parent_are_alerted_too() {
    on_every_server(async |store| {
        let team = NewBudget::new(id("team"), usd("1"));
        store.ledger.create(&team).await.unwrap();
        let child = store.child("team/a", "5", "team").await;
        let charged = store.ledger.charge(&child, usd("0.6"), Some("k"), None).await.unwrap();
        assert_eq!(charged.warnings, Vec::<u8>::new());
        assert_eq!(charged.alerts, [Alert { account: id("team"), threshold: 50 }]);
    })
    .await;
}

#[tokio::test]
async fn a_family_holds_together() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        store.account("team", "1").await;
        let under = |name: &str, parent: &str| NewBudget {
            parent: Some(id(parent)),
            ..NewBudget::new(id(name), usd("1"))
        };
        refused!(ledger.create(&under("x/a", "team")).await, Error::FamilyMismatch { .. });
        refused!(ledger.create(&under("team/a", "team/a")).await, Error::Conflict { .. });
        refused!(
            ledger.create(&under("team/a", "team/none")).await,
            Error::NotFound { account } if *account == id("team/none")
        );
        let mut parent = "team".to_owned();
        for level in 2..=8 {
            let name = format!("team/{level}");
            ledger.create(&under(&name, &parent)).await.unwrap();
            parent = name;
        }
        refused!(ledger.create(&under("team/9", &parent)).await, Error::Conflict { .. });

        // A circle cannot be closed by removing and making accounts.
        ledger.delete(&id("team")).await.unwrap();
        refused!(
            ledger.create(&under("team", "team/2")).await,
            Error::NotFound { account } if *account == id("team")
        );
        refused!(
            ledger.spend(&id("team/8"), usd("0.1"), None, None).await,
            Error::NotFound { account } if *account == id("team")
        );
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_gone_leaves_no_hold_on_those_above_it() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let top = store.account("team", "10").await;
        store.child("team/a", "10", "team").await;
        let leaf = store.child("team/a/1", "10", "team/a").await;
        for gone in ["team/a/1", "team/a"] {
            let (lapsed, late) =
                (hold(&leaf, &format!("{gone}-1")), hold(&leaf, &format!("{gone}-2")));
            ledger.reserve(&lapsed, usd("1"), Duration::from_millis(1)).await.unwrap();
            ledger.reserve(&late, usd("2"), LEASE).await.unwrap();
            // As if its time to live had ended long ago.
            let key = format!("airlock:{{team}}:budget:{gone}");
            let _: i64 = store.redis(&["DEL", &key]).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            ledger.sweep().await.unwrap();
            assert_eq!(store.sums(&top).await[1], "2", "{gone} is gone, {}", lapsed.id);
            // One of its name, made anew, holds nothing of what the old one held.
            let parent = if gone == "team/a" { "team" } else { "team/a" };
            store.child(gone, "10", parent).await;
            match ledger.settle(&late, usd("0"), "").await {
                Ok(settled) => assert_eq!(settled.held, usd("2")),
                // The account itself is another one: its hold lapses.
                Err(Error::UnknownHold { .. }) => {
                    let member = format!("{leaf}#{}", late.id);
                    let _: i64 = store.redis(&["ZADD", "airlock:{team}:hold", "1", &member]).await;
                    ledger.sweep().await.unwrap();
                }
                Err(error) => panic!("{error:?}"),
            }
            for account in ["team", "team/a", "team/a/1"] {
                assert_eq!(store.sums(&id(account)).await, ["0", "0", "10"], "{gone}: {account}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_above_that_was_made_anew_is_not_charged_for_what_it_never_granted() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let top = store.account("team", "10").await;
        let leaf = store.child("team/a", "10", "team").await;
        let key = hold(&leaf, "x");
        ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        let _: i64 = store.redis(&["DEL", "airlock:{team}:budget:team"]).await;
        store.account("team", "10").await;
        ledger.extend(&key, usd("5"), LEASE).await.unwrap();
        assert_eq!(store.sums(&top).await, ["0", "0", "10"]);
        assert_eq!(store.sums(&leaf).await, ["0", "5", "5"]);
        // What is booked is money that was spent, and counts for whoever pays now.
        ledger.settle(&key, usd("4"), "").await.unwrap();
        assert_eq!(store.sums(&top).await, ["4", "0", "6"]);
        assert_eq!(store.sums(&leaf).await, ["4", "0", "6"]);
    })
    .await;
}

#[tokio::test]
async fn a_sum_that_could_not_be_counted_exactly_is_refused_by_name() {
    on_every_server(async |store| {
        let account = store.account("run-1", "9000000").await;
        let (one, two) = (hold(&account, "1"), hold(&account, "2"));
        for key in [&one, &two] {
            store.ledger.reserve(key, usd("1"), LEASE).await.unwrap();
        }
        store.ledger.settle(&one, usd("9000000"), "").await.unwrap();
        let refusal = store.ledger.settle(&two, usd("9000000"), "").await;
        assert!(matches!(refusal, Err(Error::InvalidAmount { .. })), "{refusal:?}");
        assert_eq!(store.sums(&account).await[1], "1", "the hold stands");
        store.ledger.settle(&two, usd("1"), "").await.unwrap();
        assert_eq!(store.sums(&account).await[0], "9000001");
    })
    .await;
}
