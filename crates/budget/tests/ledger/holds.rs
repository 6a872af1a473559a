//! Reserve, extend, settle, void: each once per id.

use std::time::Duration;

use airlock_budget::Error;

use crate::refused;
use crate::support::{LEASE, hold, on_every_server, usd};

#[tokio::test]
async fn a_hold_is_settled_for_what_it_came_to_and_the_rest_returns() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        let reserved = store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        assert_eq!(reserved.amount, usd("2"));
        assert_eq!(store.sums(&account).await, ["0", "2", "3"]);

        let settled = store.ledger.settle(&key, usd("0.000030251"), "npm test").await.unwrap();
        assert_eq!((settled.booked, settled.held), (usd("0.000030251"), usd("2")));
        assert!(!settled.late && !settled.replayed);
        assert_eq!(store.sums(&account).await, ["0.000030251", "0", "4.999969749"]);
    })
    .await;
}

#[tokio::test]
async fn every_operation_again_finds_the_first_answer_and_counts_once() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        for _ in 0..20 {
            store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        }
        for _ in 0..20 {
            let extended = store.ledger.extend(&key, usd("3"), LEASE).await.unwrap();
            assert_eq!(extended.amount, usd("3"));
        }
        let again = store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        assert_eq!((again.amount, again.settled), (usd("3"), None));
        assert_eq!(store.sums(&account).await, ["0", "3", "2"]);

        for attempt in 0..20 {
            let settled = store.ledger.settle(&key, usd("1"), "").await.unwrap();
            assert_eq!(settled.replayed, attempt > 0);
            assert_eq!((settled.held, settled.booked), (usd("3"), usd("1")));
        }
        let again = store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        assert_eq!(again.settled, Some(usd("1")));
        assert_eq!(store.sums(&account).await, ["1", "0", "4"]);

        for _ in 0..20 {
            store.ledger.spend(&account, usd("0.5"), Some("key"), None).await.unwrap();
        }
        assert_eq!(store.sums(&account).await, ["1.5", "0", "3.5"]);
        for _ in 0..2 {
            store.ledger.spend(&account, usd("0.5"), None, None).await.unwrap();
        }
        assert_eq!(store.sums(&account).await, ["2.5", "0", "2.5"]);
    })
    .await;
}

#[tokio::test]
async fn the_same_id_with_other_arguments_is_a_conflict() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        refused!(ledger.reserve(&key, usd("2.1"), LEASE).await, Error::Conflict { .. });
        ledger.settle(&key, usd("1"), "").await.unwrap();
        refused!(ledger.settle(&key, usd("1.1"), "").await, Error::Conflict { .. });
        refused!(ledger.extend(&key, usd("3"), LEASE).await, Error::Conflict { .. });
        refused!(ledger.void(&key).await, Error::Conflict { .. });
        ledger.spend(&account, usd("1"), Some("key"), None).await.unwrap();
        refused!(
            ledger.spend(&account, usd("2"), Some("key"), None).await,
            Error::Conflict { reason } if reason.contains("1 USD")
        );
        ledger.top_up(&account, usd("1"), Some("key")).await.unwrap();
        refused!(ledger.top_up(&account, usd("2"), Some("key")).await, Error::Conflict { .. });
        assert_eq!(store.sums(&account).await, ["2", "0", "4"]);
    })
    .await;
}

#[tokio::test]
async fn a_voided_id_may_be_reserved_anew_but_not_settled() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        for _ in 0..3 {
            store.ledger.void(&key).await.unwrap();
        }
        assert_eq!(store.sums(&account).await, ["0", "0", "5"]);
        refused!(store.ledger.settle(&key, usd("1"), "").await, Error::Conflict { .. });
        refused!(store.ledger.extend(&key, usd("1"), LEASE).await, Error::UnknownHold { .. });

        store.ledger.reserve(&key, usd("3"), LEASE).await.unwrap();
        assert_eq!(store.sums(&account).await, ["0", "3", "2"]);
        store.ledger.void(&hold(&account, "never made")).await.unwrap();
        refused!(
            store.ledger.settle(&hold(&account, "never made"), usd("1"), "").await,
            Error::UnknownHold { .. }
        );
        assert_eq!(store.sums(&account).await, ["0", "3", "2"]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_extension_leaves_the_hold_as_it_was() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        refused!(
            store.ledger.extend(&key, usd("5.000000001"), LEASE).await,
            Error::Exceeded { status, needed }
                if status.remaining == usd("3") && *needed == usd("5.000000001")
        );
        assert_eq!(store.sums(&account).await, ["0", "2", "3"]);
        store.ledger.extend(&key, usd("5"), LEASE).await.unwrap();
        let lower = store.ledger.extend(&key, usd("1"), LEASE).await.unwrap();
        assert_eq!(lower.amount, usd("5"));
        assert_eq!(store.sums(&account).await, ["0", "5", "0"]);
    })
    .await;
}

#[tokio::test]
async fn a_lapsed_hold_returns_at_the_next_touch_and_is_booked_when_settled_late() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        let short = Duration::from_millis(20);
        store.ledger.reserve(&key, usd("5"), short).await.unwrap();
        refused!(
            store.ledger.reserve(&hold(&account, "other"), usd("5"), LEASE).await,
            Error::Exceeded { .. }
        );
        tokio::time::sleep(short * 2).await;
        // The next touch is another reservation, and it has room already.
        store.ledger.reserve(&hold(&account, "other"), usd("4"), LEASE).await.unwrap();
        assert_eq!(store.sums(&account).await, ["0", "4", "1"]);

        let settled = store.ledger.settle(&key, usd("3"), "").await.unwrap();
        assert!(settled.late);
        assert_eq!(store.sums(&account).await, ["3", "4", "0"]);
        let again = store.ledger.settle(&key, usd("3"), "").await.unwrap();
        assert!(again.late && again.replayed);
        assert_eq!(store.sums(&account).await, ["3", "4", "0"]);
    })
    .await;
}

#[tokio::test]
async fn a_lapsed_hold_is_taken_anew_if_there_is_room() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        let short = Duration::from_millis(20);
        for operation in ["reserve", "extend"] {
            store.ledger.void(&key).await.unwrap();
            store.ledger.reserve(&key, usd("2"), short).await.unwrap();
            tokio::time::sleep(short * 2).await;
            assert_eq!(store.sums(&account).await, ["0", "0", "5"], "{operation}");
            let reserved = if operation == "reserve" {
                refused!(store.ledger.reserve(&key, usd("1"), LEASE).await, Error::Conflict { .. });
                store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap()
            } else {
                store.ledger.extend(&key, usd("2"), LEASE).await.unwrap()
            };
            assert_eq!(reserved.amount, usd("2"));
            assert_eq!(store.sums(&account).await, ["0", "2", "3"], "{operation}");
            // An open hold belongs to its lease; the record of an ended one goes by itself.
            let ttl: i64 = store.redis(&["PTTL", "airlock:{run-1}:hold:run-1#exec"]).await;
            assert_eq!(ttl, -1, "{operation}");
            assert_eq!(store.ledger.sweep().await.unwrap(), 0, "{operation}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_renewed_lease_keeps_the_hold() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let (renewed, again) = (hold(&account, "renewed"), hold(&account, "again"));
        let short = Duration::from_millis(30);
        store.ledger.reserve(&renewed, usd("1"), short).await.unwrap();
        store.ledger.reserve(&again, usd("1"), short).await.unwrap();
        store.ledger.extend(&renewed, usd("1"), LEASE).await.unwrap();
        store.ledger.reserve(&again, usd("1"), LEASE).await.unwrap();
        // A shorter lease does not shorten what was promised.
        store.ledger.extend(&renewed, usd("1"), short).await.unwrap();
        store.ledger.reserve(&again, usd("1"), short).await.unwrap();
        tokio::time::sleep(short * 2).await;
        assert_eq!(store.ledger.sweep().await.unwrap(), 0);
        assert_eq!(store.sums(&account).await, ["0", "2", "3"]);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_leaves_no_phantom_hold_in_any_family() {
    on_every_server(async |store| {
        let short = Duration::from_millis(1);
        let mut accounts = Vec::new();
        for n in 0..7 {
            let account = store.account(&format!("family-{n}/a"), "100").await;
            for i in 0..150 {
                let key = hold(&account, &format!("hold {i} }}:budget:x"));
                store.ledger.reserve(&key, usd("0.01"), LEASE).await.unwrap();
            }
            accounts.push(account);
        }
        assert_eq!(store.ledger.sweep().await.unwrap(), 0);
        for account in &accounts {
            let key = hold(account, "short");
            store.ledger.reserve(&key, usd("7"), short).await.unwrap();
        }
        // Leases as they are after a minute, without the minute.
        for n in 0..7 {
            let leases = format!("airlock:{{family-{n}}}:hold");
            let members: Vec<String> = store.redis(&["ZRANGE", &leases, "0", "-1"]).await;
            for member in members {
                let _: i64 = store.redis(&["ZADD", &leases, "1", &member]).await;
            }
        }
        assert_eq!(store.ledger.sweep().await.unwrap(), 7 * 151);
        assert_eq!(store.ledger.sweep().await.unwrap(), 0);
        for account in &accounts {
            assert_eq!(store.sums(account).await, ["0", "0", "100"]);
        }
        let left: Vec<String> = store.redis(&["KEYS", "airlock:{*}:hold"]).await;
        assert_eq!(left, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn amounts_near_two_to_the_53rd_stay_exact() {
    on_every_server(async |store| {
        let account = store.account("run-1", "9000000").await;
        let key = hold(&account, "exec");
        store.ledger.reserve(&key, usd("8999999.999999998"), LEASE).await.unwrap();
        store.ledger.extend(&key, usd("8999999.999999999"), LEASE).await.unwrap();
        assert_eq!(store.sums(&account).await, ["0", "8999999.999999999", "0.000000001"]);
        refused!(
            store.ledger.spend(&account, usd("0.000000002"), None, None).await,
            Error::Exceeded { .. }
        );
        store.ledger.settle(&key, usd("8999999.999999997"), "").await.unwrap();
        store.ledger.spend(&account, usd("0.000000003"), None, None).await.unwrap();
        assert_eq!(store.sums(&account).await, ["9000000", "0", "0"]);
        refused!(
            store.ledger.top_up(&account, usd("0.000000001"), Some("k")).await,
            Error::InvalidAmount { .. }
        );
    })
    .await;
}
