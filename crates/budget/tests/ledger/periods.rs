//! Limits that are given anew each day or month.

use airlock_budget::{EntryKind, Error, NewBudget};
use airlock_contract::{AccountId, Circuit, Period};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit};
use rand::Rng as _;

use crate::refused;
use crate::support::{LEASE, Store, hold, id, on_every_server, usd};

const PERIOD_LUA: &str = include_str!("../../src/lua/period.lua");

async fn periodic(store: &Store, name: &str, limit: &str, period: Period) -> AccountId {
    let new = NewBudget { period: Some(period), ..NewBudget::new(id(name), usd(limit)) };
    store.ledger.create(&new).await.unwrap().run_id
}

/// The period under way ends now, as if its time had come.
async fn end_period(store: &Store, account: &AccountId) {
    let key = format!("airlock:{{{}}}:budget:{account}", account.family());
    let _: i64 = store.redis(&["HSET", &key, "ends", "1000"]).await;
}

/// When the period of `now` ends, by the calendar.
fn end_of(period: Period, now: Timestamp) -> Timestamp {
    let start = now
        .to_zoned(TimeZone::UTC)
        .round(jiff::ZonedRound::new().smallest(Unit::Day).mode(jiff::RoundMode::Floor))
        .unwrap();
    match period {
        Period::Day => start.checked_add(1.day()),
        Period::Month => start.first_of_month().and_then(|first| first.checked_add(1.month())),
    }
    .unwrap()
    .timestamp()
}

#[tokio::test]
async fn periods_begin_and_end_as_in_the_calendar() {
    on_every_server(async |store| {
        let mut moments: Vec<i64> = [
            "1970-01-01T00:00:00Z",
            "1999-12-31T23:59:59.999Z",
            "2000-02-29T12:00:00Z",
            "2023-02-28T23:59:59.999Z",
            "2024-02-29T00:00:00Z",
            "2024-03-01T00:00:00Z",
            "2026-01-31T23:59:59.999Z",
            "2026-12-01T00:00:00Z",
            "2100-02-28T12:00:00Z",
            "2100-03-01T00:00:00Z",
        ]
        .map(|time| time.parse::<Timestamp>().unwrap().as_millisecond())
        .into();
        let mut random = rand::rng();
        moments.extend((0..300).map(|_| random.random_range(0..7_000_000_000_000_i64)));
        let script = format!(
            "{PERIOD_LUA}\nlocal b, e = period_of(ARGV[1], tonumber(ARGV[2]))\nreturn {{b, e}}"
        );
        for moment in moments {
            let now = Timestamp::from_millisecond(moment).unwrap();
            for period in [Period::Day, Period::Month] {
                let asked = [script.as_str(), "0", period.as_str(), &moment.to_string()];
                let found: (i64, i64) =
                    store.redis(&["EVAL", asked[0], asked[1], asked[2], asked[3]]).await;
                assert!(found.0 <= moment && moment < found.1, "{now} {period:?}: {found:?}");
                assert_eq!(found.1, end_of(period, now).as_millisecond(), "{now} {period:?}");
                let before = Timestamp::from_millisecond(found.0 - 1).unwrap();
                assert_eq!(found.0, end_of(period, before).as_millisecond(), "{now} {period:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_period_gives_the_limit_anew_and_closes_the_circuit() {
    on_every_server(async |store| {
        let account = periodic(store, "run-1", "1", Period::Day).await;
        let key = hold(&account, "x");
        store.ledger.reserve(&key, usd("1"), LEASE).await.unwrap();
        let settled = store.ledger.settle(&key, usd("1.5"), "").await.unwrap();
        assert_eq!(settled.warnings, [50, 80, 100]);
        assert_eq!(settled.status.circuit, Circuit::Open);
        let refused = store.ledger.spend(&account, usd("0.1"), None, None).await;
        refused!(refused, Error::CircuitOpen { .. });

        end_period(store, &account).await;
        let status = store.ledger.get(&account).await.unwrap();
        assert_eq!((status.spent, status.remaining), (usd("0"), usd("1")));
        assert_eq!((status.circuit, status.exceeded), (Circuit::Closed, false));
        assert_eq!((status.period, status.thresholds_crossed), (Some(Period::Day), vec![]));
        let ends: Timestamp = status.period_ends_at.unwrap().parse().unwrap();
        let now = Timestamp::now();
        // A test that runs over midnight sees the end of the day before.
        let ends_rightly = [now, now - 1.minute()].map(|now| end_of(Period::Day, now));
        assert!(ends_rightly.contains(&ends), "{ends}");

        // The alerts come anew too, and the ended period is in the ledger.
        let spent = store.ledger.charge(&account, usd("0.6"), None, None).await.unwrap();
        assert_eq!(spent.warnings, [50]);
        let history = store.ledger.history(&account, 10).await.unwrap();
        let rolled = history.iter().find(|entry| entry.kind == EntryKind::RolledOver).unwrap();
        assert_eq!(rolled.amount, usd("1.5"));
    })
    .await;
}

#[tokio::test]
async fn what_is_held_counts_in_the_period_in_which_it_is_settled() {
    on_every_server(async |store| {
        let account = periodic(store, "run-1", "1", Period::Month).await;
        store.ledger.spend(&account, usd("0.4"), Some("k"), None).await.unwrap();
        let key = hold(&account, "x");
        store.ledger.reserve(&key, usd("0.6"), LEASE).await.unwrap();
        end_period(store, &account).await;
        // The first touch is a spending: it sees the new period and the old hold.
        refused!(
            store.ledger.spend(&account, usd("0.5"), None, None).await,
            Error::Exceeded { .. }
        );
        assert_eq!(store.sums(&account).await, ["0", "0.6", "0.4"]);
        store.ledger.settle(&key, usd("0.5"), "").await.unwrap();
        assert_eq!(store.sums(&account).await, ["0.5", "0", "0.5"]);
        // Ids count once, whatever the period.
        assert!(store.ledger.settle(&key, usd("0.5"), "").await.unwrap().replayed);
        store.ledger.spend(&account, usd("0.4"), Some("k"), None).await.unwrap();
        assert_eq!(store.sums(&account).await, ["0.5", "0", "0.5"]);
    })
    .await;
}

#[tokio::test]
async fn a_team_with_a_daily_limit_bounds_its_runs_each_day() {
    on_every_server(async |store| {
        let team = periodic(store, "team", "1", Period::Day).await;
        let run = store.child("team/run", "5", "team").await;
        store.ledger.spend(&run, usd("0.9"), None, None).await.unwrap();
        refused!(store.ledger.spend(&run, usd("0.9"), None, None).await, Error::Exceeded { .. });
        end_period(store, &team).await;
        store.ledger.spend(&run, usd("0.9"), None, None).await.unwrap();
        assert_eq!(store.sums(&team).await, ["0.9", "0", "0.1"]);
        assert_eq!(store.sums(&run).await, ["1.8", "0", "3.2"]);
    })
    .await;
}

#[tokio::test]
async fn the_period_is_part_of_what_an_account_is_made_with() {
    on_every_server(async |store| {
        periodic(store, "run-1", "1", Period::Day).await;
        periodic(store, "run-1", "1", Period::Day).await;
        for period in [None, Some(Period::Month)] {
            let other = NewBudget { period, ..NewBudget::new(id("run-1"), usd("1")) };
            refused!(store.ledger.create(&other).await, Error::Conflict { .. });
        }
    })
    .await;
}
