//! Making, reading and removing accounts.

use std::time::Duration;

use airlock_budget::{EntryKind, Error, NewBudget, Settings};
use airlock_contract::Circuit;

use crate::refused;
use crate::support::{LEASE, hold, id, on_every_server, usd};

#[tokio::test]
async fn the_same_creation_again_finds_the_account_as_it_is_now() {
    on_every_server(async |store| {
        let new = NewBudget {
            ttl: Some(Duration::from_hours(1)),
            alert_thresholds: vec![100, 50, 50],
            ..NewBudget::new(id("team/run"), usd("5"))
        };
        let first = store.ledger.create(&new).await.unwrap();
        assert_eq!((first.limit, first.remaining), (usd("5"), usd("5")));
        assert_eq!(first.circuit, Circuit::Closed);
        assert!(first.expires_at.is_some() && !first.exceeded);
        assert_eq!(store.ledger.create(&new).await.unwrap(), first);

        store.ledger.spend(&new.account, usd("1"), None, None).await.unwrap();
        let again = NewBudget { alert_thresholds: vec![50, 100], ..new.clone() };
        assert_eq!(store.ledger.create(&again).await.unwrap().spent, usd("1"));

        let others = [
            NewBudget { limit: usd("6"), ..new.clone() },
            NewBudget { ttl: None, ..new.clone() },
            NewBudget { alert_thresholds: vec![], ..new.clone() },
        ];
        for other in others {
            refused!(store.ledger.create(&other).await, Error::Conflict { .. });
        }
        assert_eq!(store.ledger.get(&new.account).await.unwrap().limit, usd("5"));
    })
    .await;
}

#[tokio::test]
async fn arguments_that_cannot_be_are_refused_before_the_store_is_asked() {
    on_every_server(async |store| {
        let ledger = &store.ledger;
        let account = store.account("run-1", "5").await;
        let zero = NewBudget::new(id("zero"), usd("0"));
        refused!(ledger.create(&zero).await, Error::InvalidAmount { .. });
        let thresholds =
            NewBudget { alert_thresholds: vec![0], ..NewBudget::new(id("t"), usd("1")) };
        refused!(ledger.create(&thresholds).await, Error::InvalidArgument { .. });
        let negative = usd("0").saturating_sub(usd("1"));
        refused!(ledger.spend(&account, negative, None, None).await, Error::InvalidAmount { .. });
        refused!(
            ledger.spend(&account, usd("1"), Some(""), None).await,
            Error::InvalidArgument { .. }
        );
        let key = hold(&account, &"x".repeat(1001));
        refused!(ledger.reserve(&key, usd("1"), LEASE).await, Error::InvalidArgument { .. });
        let key = hold(&account, "exec");
        for lease in [Duration::ZERO, Duration::from_hours(8 * 24)] {
            refused!(ledger.reserve(&key, usd("1"), lease).await, Error::InvalidArgument { .. });
        }
        assert_eq!(store.sums(&account).await, ["0", "0", "5"]);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_any_operation() {
    on_every_server(async |store| {
        let (ledger, ghost) = (&store.ledger, id("ghost"));
        let key = hold(&ghost, "exec");
        refused!(ledger.get(&ghost).await, Error::NotFound { .. });
        refused!(ledger.can_spend(&ghost, usd("1")).await, Error::NotFound { .. });
        refused!(ledger.spend(&ghost, usd("1"), None, None).await, Error::NotFound { .. });
        refused!(ledger.reserve(&key, usd("1"), LEASE).await, Error::NotFound { .. });
        refused!(ledger.extend(&key, usd("1"), LEASE).await, Error::NotFound { .. });
        refused!(ledger.settle(&key, usd("1"), "").await, Error::NotFound { .. });
        refused!(ledger.void(&key).await, Error::NotFound { .. });
        refused!(ledger.top_up(&ghost, usd("1"), Some("k")).await, Error::NotFound { .. });
        refused!(ledger.reset_circuit(&ghost).await, Error::NotFound { .. });
        refused!(ledger.delete(&ghost).await, Error::NotFound { .. });
        refused!(ledger.history(&ghost, 10).await, Error::NotFound { .. });
        let keys: Vec<String> = store.redis(&["KEYS", "*"]).await;
        assert_eq!(keys, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_one_that_holds_money_is_not_deleted() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        refused!(
            store.ledger.delete(&account).await,
            Error::Conflict { reason } if reason.contains("holds of 2 USD")
        );
        store.ledger.settle(&key, usd("1"), "").await.unwrap();
        store.ledger.spend(&account, usd("1"), Some("key"), None).await.unwrap();
        store.ledger.delete(&account).await.unwrap();
        refused!(store.ledger.get(&account).await, Error::NotFound { .. });

        // Ids of the earlier account mean nothing to a new one of its name.
        let account = store.account("run-1", "5").await;
        refused!(store.ledger.settle(&key, usd("1"), "").await, Error::UnknownHold { .. });
        store.ledger.reserve(&key, usd("3"), LEASE).await.unwrap();
        store.ledger.spend(&account, usd("2"), Some("key"), None).await.unwrap();
        assert_eq!(store.sums(&account).await, ["2", "3", "0"]);
    })
    .await;
}

#[tokio::test]
async fn an_expired_account_takes_no_spending_but_books_what_was_open() {
    on_every_server(async |store| {
        let new = NewBudget {
            ttl: Some(Duration::from_hours(1)),
            ..NewBudget::new(id("run-1"), usd("5"))
        };
        let key = hold(&new.account, "exec");
        store.ledger.create(&new).await.unwrap();
        store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        // As if its time had come.
        let _: i64 = store.redis(&["HSET", "airlock:{run-1}:budget:run-1", "expires", "1"]).await;

        refused!(store.ledger.get(&new.account).await, Error::NotFound { .. });
        refused!(
            store.ledger.spend(&new.account, usd("1"), None, None).await,
            Error::NotFound { .. }
        );
        refused!(store.ledger.extend(&key, usd("3"), LEASE).await, Error::NotFound { .. });
        refused!(store.ledger.create(&new).await, Error::Conflict { .. });
        assert_eq!(store.ledger.list(None, 10).await.unwrap(), vec![]);
        // The running command goes on and ends as it would have.
        store.ledger.reserve(&key, usd("2"), LEASE).await.unwrap();
        store.ledger.extend(&key, usd("2"), LEASE).await.unwrap();
        assert_eq!(store.ledger.settle(&key, usd("1"), "").await.unwrap().status.spent, usd("1"));
        assert_eq!(store.ledger.create(&new).await.unwrap().spent, usd("0"));
    })
    .await;
}

#[tokio::test]
async fn every_key_has_a_time_to_live_or_an_owner() {
    on_every_server(async |store| {
        let ttl = Some(Duration::from_hours(1));
        let mortal = NewBudget { ttl, ..NewBudget::new(id("mortal"), usd("5")) };
        store.ledger.create(&mortal).await.unwrap();
        let immortal = store.account("immortal", "5").await;
        for account in [&mortal.account, &immortal] {
            for end in ["settled", "voided", "returned", "open"] {
                let short = Duration::from_millis(1);
                let lease = if end == "returned" { short } else { LEASE };
                let key = hold(account, end);
                store.ledger.reserve(&key, usd("0.1"), lease).await.unwrap();
                match end {
                    "settled" => drop(store.ledger.settle(&key, usd("0.1"), "").await.unwrap()),
                    "voided" => drop(store.ledger.void(&key).await.unwrap()),
                    _ => tokio::time::sleep(short * 3).await,
                }
            }
            store.ledger.spend(account, usd("0.1"), Some("key"), None).await.unwrap();
            store.ledger.top_up(account, usd("0.1"), Some("key")).await.unwrap();
        }
        let mut keys: Vec<String> = store.redis(&["KEYS", "*"]).await;
        keys.sort();
        let mut owned = Vec::new();
        for key in keys {
            if store.redis::<i64>(&["PTTL", &key]).await == -1 {
                owned.push(key);
            }
        }
        // Owners: `delete` of an account that does not expire; the sweep of open holds.
        assert_eq!(
            owned,
            [
                "airlock:{immortal}:budget:immortal",
                "airlock:{immortal}:hold",
                "airlock:{immortal}:hold:immortal#open",
                "airlock:{immortal}:ledger:immortal",
                "airlock:{mortal}:hold",
                "airlock:{mortal}:hold:mortal#open",
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn the_history_tells_what_happened_and_its_bookings_are_what_was_spent() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let (first, second) = (hold(&account, "first"), hold(&account, "second"));
        store.ledger.reserve(&first, usd("1"), LEASE).await.unwrap();
        store.ledger.extend(&first, usd("1.5"), LEASE).await.unwrap();
        store.ledger.settle(&first, usd("0.7"), "npm test").await.unwrap();
        store.ledger.reserve(&second, usd("1"), LEASE).await.unwrap();
        store.ledger.void(&second).await.unwrap();
        store.ledger.spend(&account, usd("0.2"), Some("key"), Some("a licence")).await.unwrap();
        store.ledger.top_up(&account, usd("3"), Some("more")).await.unwrap();

        let history = store.ledger.history(&account, 100).await.unwrap();
        let told: Vec<_> = history
            .iter()
            .rev()
            .map(|e| (e.kind.as_str(), e.id.as_str(), e.amount.to_string(), e.description.as_str()))
            .collect();
        let expected = [
            ("created", "", "5", ""),
            ("reserved", "first", "1", ""),
            ("extended", "first", "0.5", ""),
            ("settled", "first", "0.7", "npm test"),
            ("reserved", "second", "1", ""),
            ("voided", "second", "1", ""),
            ("spent", "key", "0.2", "a licence"),
            ("toppedUp", "more", "3", ""),
        ]
        .map(|(kind, id, amount, text)| (kind, id, amount.to_owned(), text));
        assert_eq!(told, expected);
        let booked = history
            .iter()
            .filter(|entry| entry.kind.is_booking())
            .fold(usd("0"), |sum, entry| sum.saturating_add(entry.amount));
        assert_eq!(booked, usd("0.9"));
        assert_eq!(store.ledger.history(&account, 1).await.unwrap()[0].kind, EntryKind::ToppedUp);
    })
    .await;
}

#[tokio::test]
async fn accounts_are_listed_by_family_and_look_alike_keys_are_not() {
    on_every_server(async |store| {
        for name in ["b", "a/2", "a/1", "a"] {
            store.account(name, "1").await;
        }
        // A key that an idempotency key makes look like an account's.
        let strange = Some("x}:budget:evil");
        store.ledger.spend(&id("b"), usd("0.1"), strange, None).await.unwrap();
        let names = |list: Vec<airlock_contract::BudgetStatus>| -> Vec<String> {
            list.into_iter().map(|status| status.run_id.to_string()).collect()
        };
        assert_eq!(names(store.ledger.list(None, 10).await.unwrap()), ["a", "a/1", "a/2", "b"]);
        assert_eq!(names(store.ledger.list(Some("a"), 10).await.unwrap()), ["a", "a/1", "a/2"]);
        assert_eq!(names(store.ledger.list(None, 2).await.unwrap()), ["a", "a/1"]);
    })
    .await;
}

#[tokio::test]
async fn each_alert_threshold_is_crossed_by_exactly_one_booking() {
    on_every_server(async |store| {
        let new = NewBudget::new(id("run-1"), usd("1"));
        store.ledger.create(&new).await.unwrap();
        let mut crossed = Vec::new();
        for n in 0..10 {
            let key = hold(&new.account, &n.to_string());
            let reserved = store.ledger.reserve(&key, usd("0.1"), LEASE).await.unwrap();
            let settled = store.ledger.settle(&key, usd("0.1"), "").await.unwrap();
            assert_eq!(reserved.warnings, settled.warnings, "{n}");
            let again = store.ledger.settle(&key, usd("0.1"), "").await.unwrap();
            assert_eq!(again.warnings, settled.warnings, "{n}");
            crossed.extend(settled.warnings.iter().map(|percent| (n, *percent)));
        }
        assert_eq!(crossed, [(4, 50), (7, 80), (9, 100)]);
        let status = store.ledger.get(&new.account).await.unwrap();
        assert_eq!(status.thresholds_crossed, [50, 80, 100]);
    })
    .await;
}

#[tokio::test]
async fn every_operation_is_one_command() {
    on_every_server(async |store| {
        let account = store.account("run-1", "5").await;
        let key = hold(&account, "exec");
        let ledger = store.with(Settings::default()).await;
        let warm_up = async |id: &str| {
            let key = hold(&account, id);
            ledger.can_spend(&account, usd("1")).await.unwrap();
            ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
            ledger.extend(&key, usd("2"), LEASE).await.unwrap();
            ledger.settle(&key, usd("0.1"), "").await.unwrap();
            ledger.void(&hold(&account, "none")).await.unwrap();
            ledger.spend(&account, usd("0.1"), None, None).await.unwrap();
            ledger.top_up(&account, usd("1"), Some(id)).await.unwrap();
            ledger.reset_circuit(&account).await.unwrap();
            ledger.get(&account).await.unwrap();
        };
        warm_up("first").await;
        let mut admin = store.server.connect().await;
        let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut admin).await.unwrap();
        warm_up("second").await;
        drop(key);
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut admin).await.unwrap();
        let calls = |command: &str| -> i64 {
            let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
            line.map_or(0, |line| {
                line.split(['=', ',']).nth(1).and_then(|calls| calls.parse().ok()).unwrap()
            })
        };
        assert_eq!(calls("evalsha"), 9, "{stats}");
        assert_eq!((calls("eval"), calls("script"), calls("script|load")), (0, 0, 0), "{stats}");
    })
    .await;
}
