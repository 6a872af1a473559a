//! Every budget endpoint, with every status that the contract gives it.

use airlock_budget::HoldKey;
use serde_json::{Value, json};

use crate::support::{House, answer};

const BASE: &str = "/api/v1/safety";

/// Method and path of each budget endpoint, for the account `a`.
const ENDPOINTS: [(&str, &str); 14] = [
    ("POST", "/budget/create"),
    ("POST", "/budget/spend"),
    ("POST", "/budget/can-spend"),
    ("POST", "/budget/reserve"),
    ("POST", "/budget/extend"),
    ("POST", "/budget/settle"),
    ("POST", "/budget/void"),
    ("POST", "/budget/top-up"),
    ("POST", "/budget/reset-circuit"),
    ("GET", "/budgets"),
    ("GET", "/ledger/a"),
    ("GET", "/budget/a"),
    ("DELETE", "/budget/a"),
    ("GET", "/budget/team/a"),
];

/// A body that each endpoint takes.
fn body_of(path: &str) -> Value {
    match path {
        "/budget/create" => json!({"run_id": "a", "limit": 1}),
        "/budget/void" => json!({"run_id": "a", "hold_id": "h"}),
        "/budget/reset-circuit" => json!({"run_id": "a"}),
        "/budget/reserve" | "/budget/extend" | "/budget/settle" => {
            json!({"run_id": "a", "hold_id": "h", "amount": "0.1"})
        }
        "/budget/spend" | "/budget/can-spend" | "/budget/top-up" => {
            json!({"run_id": "a", "amount": "0.1"})
        }
        _ => Value::Null,
    }
}

/// Asks in order; each line is method, path, body, the status, and the failure or null.
async fn asked_in_order(house: &House, table: &[(&str, &str, Value, u16, Value)]) {
    for (method, path, body, status, failure) in table {
        let answer = house.ask(method, &format!("{BASE}{path}"), body).await;
        let line = format!("{method} {path} {body}: {:#}", answer.body);
        assert_eq!(answer.status.as_u16(), *status, "{line}");
        assert_eq!(answer.body["failure"], *failure, "{line}");
        if *status >= 400 {
            assert_eq!(answer.body["status"], *status, "{line}");
            assert!(answer.body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
        }
    }
}

#[tokio::test]
async fn an_accounts_whole_life_and_what_is_refused_on_the_way() {
    let house = House::open(None).await;
    let (ok, conflict) = (Value::Null, json!("Conflict"));
    let (missing, over) = (json!("BudgetNotFound"), json!("BudgetExceeded"));
    let hold = |amount: &str| json!({"run_id": "a", "hold_id": "h", "amount": amount});
    let keyed = |amount: &str| json!({"run_id": "a", "amount": amount, "idempotency_key": "k"});
    let account = json!({"run_id": "a"});
    let unknown = json!({"run_id": "no", "amount": "1"});
    let unknown_hold = json!({"run_id": "no", "hold_id": "h", "amount": "1"});
    let none = Value::Null;
    asked_in_order(
        &house,
        &[
            ("POST", "/budget/create", json!({"run_id": "a", "limit": "5"}), 201, ok.clone()),
            ("POST", "/budget/create", json!({"run_id": "a", "limit": 5}), 201, ok.clone()),
            ("POST", "/budget/create", json!({"run_id": "a", "limit": 6}), 409, conflict.clone()),
            ("GET", "/budget/a", none.clone(), 200, ok.clone()),
            ("GET", "/budget/no", none.clone(), 404, missing.clone()),
            ("POST", "/budget/can-spend", json!({"run_id": "a", "amount": 9}), 200, ok.clone()),
            ("POST", "/budget/can-spend", unknown.clone(), 404, missing.clone()),
            ("POST", "/budget/spend", keyed("1"), 200, ok.clone()),
            ("POST", "/budget/spend", keyed("1"), 200, ok.clone()),
            ("POST", "/budget/spend", keyed("2"), 409, conflict.clone()),
            ("POST", "/budget/spend", json!({"run_id": "a", "amount": "4.1"}), 402, over.clone()),
            ("POST", "/budget/spend", unknown.clone(), 404, missing.clone()),
            ("POST", "/budget/reserve", hold("1"), 200, ok.clone()),
            ("POST", "/budget/reserve", hold("1"), 200, ok.clone()),
            ("POST", "/budget/reserve", hold("2"), 409, conflict.clone()),
            ("POST", "/budget/extend", hold("4.1"), 402, over.clone()),
            ("POST", "/budget/extend", hold("3"), 200, ok.clone()),
            ("DELETE", "/budget/a", none.clone(), 409, conflict.clone()),
            ("POST", "/budget/settle", hold("2"), 200, ok.clone()),
            ("POST", "/budget/settle", hold("2"), 200, ok.clone()),
            ("POST", "/budget/settle", hold("1"), 409, conflict.clone()),
            ("POST", "/budget/extend", hold("3"), 409, conflict.clone()),
            ("POST", "/budget/void", json!({"run_id": "a", "hold_id": "h"}), 409, conflict.clone()),
            ("POST", "/budget/void", json!({"run_id": "a", "hold_id": "none"}), 200, ok.clone()),
            ("POST", "/budget/reserve", unknown_hold.clone(), 404, missing.clone()),
            ("POST", "/budget/extend", unknown_hold.clone(), 404, missing.clone()),
            ("POST", "/budget/settle", unknown_hold.clone(), 404, missing.clone()),
            ("POST", "/budget/void", json!({"run_id": "no", "hold_id": "h"}), 404, missing.clone()),
            ("POST", "/budget/top-up", keyed("1"), 200, ok.clone()),
            ("POST", "/budget/top-up", keyed("1"), 200, ok.clone()),
            ("POST", "/budget/top-up", keyed("2"), 409, conflict.clone()),
            ("POST", "/budget/top-up", unknown, 404, missing.clone()),
            ("POST", "/budget/reset-circuit", account.clone(), 200, ok.clone()),
            ("POST", "/budget/reset-circuit", json!({"run_id": "no"}), 404, missing.clone()),
            ("GET", "/budgets", none.clone(), 200, ok.clone()),
            ("GET", "/budgets?family=a&limit=5", none.clone(), 200, ok.clone()),
            ("GET", "/ledger/a?limit=3", none.clone(), 200, ok.clone()),
            ("GET", "/ledger/no", none.clone(), 404, missing.clone()),
            ("DELETE", "/budget/a", none.clone(), 200, ok),
            ("DELETE", "/budget/a", none, 404, missing),
        ],
    )
    .await;
    // What changed the account's room is in the audit log.
    let records = house.audit.tail(20, &airlock_audit::Filter::default()).await.unwrap();
    let kinds: Vec<String> = records.iter().map(|sealed| sealed.record.kind.clone()).collect();
    for kind in ["budget.top_up", "budget.reset_circuit", "budget.delete"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn an_open_circuit_is_429_and_says_when_the_next_period_begins() {
    let house = House::open(None).await;
    let create = json!({"run_id": "daily", "limit": 1, "period": "day"});
    house.ask("POST", &format!("{BASE}/budget/create"), &create).await;
    let hold = HoldKey::new("daily".parse().unwrap(), "x");
    let (one, two) = ("1".parse().unwrap(), "2".parse().unwrap());
    house.ledger.reserve(&hold, one, std::time::Duration::from_mins(1)).await.unwrap();
    house.ledger.settle(&hold, two, "").await.unwrap();
    for (path, more) in [
        ("spend", json!({})),
        ("reserve", json!({"hold_id": "n"})),
        ("reserve", json!({"hold_id": "m"})),
    ] {
        let mut body = json!({"run_id": "daily", "amount": "0.1"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = house.ask("POST", &format!("{BASE}/budget/{path}"), &body).await;
        assert_eq!((answer.status.as_u16(), &answer.body["failure"]), (429, &json!("CircuitOpen")));
        let seconds = answer.retry_after.unwrap();
        assert!((1..=86_400).contains(&seconds), "{seconds}");
    }
}

#[tokio::test]
async fn a_bad_body_is_422_and_names_every_field() {
    let house = House::open(None).await;
    for (method, path) in ENDPOINTS.into_iter().filter(|(method, _)| *method == "POST") {
        let url = format!("{BASE}{path}");
        let answer = house.ask(method, &url, &json!({"runid": "a", "run_id": "b{"})).await;
        assert_eq!(answer.status.as_u16(), 422, "{path}: {:#}", answer.body);
        let errors = answer.body["errors"].to_string();
        assert!(errors.contains("runid") && errors.contains("run_id"), "{path}: {errors}");
        let garbled = answer_to(&house, &url, "{\"run_id\": ").await;
        assert_eq!(garbled, 422, "{path}");
    }
    let amounts = [
        json!(-1),
        json!("NaN"),
        json!("1e400"),
        json!("0.0000000001"),
        json!("9000001"),
        json!("١"),
        json!(true),
        json!("1".repeat(400)),
    ];
    for amount in amounts {
        for path in ["spend", "can-spend", "reserve", "extend", "settle", "top-up"] {
            let mut body = json!({"run_id": "a", "hold_id": "h", "amount": amount});
            if ["spend", "can-spend", "top-up"].contains(&path) {
                body.as_object_mut().unwrap().remove("hold_id");
            }
            let answer = house.ask("POST", &format!("{BASE}/budget/{path}"), &body).await;
            assert_eq!(answer.status.as_u16(), 422, "{path} {amount}: {:#}", answer.body);
            assert_eq!(answer.body["errors"][0]["field"], "amount", "{path} {amount}");
        }
    }
    for path in
        ["/budgets?limit=0", "/budgets?family=a/b", "/ledger/a?limit=1001", "/ledger/a?top=1"]
    {
        let answer = house.ask("GET", &format!("{BASE}{path}"), &Value::Null).await;
        assert_eq!(answer.status.as_u16(), 422, "{path}: {:#}", answer.body);
    }
    let url = format!("{BASE}/budget/spend");
    assert_eq!(answer_to(&house, &url, &" ".repeat(1024 * 1024 + 1)).await, 413);
    assert_eq!(house.ask("PUT", &url, &Value::Null).await.status.as_u16(), 405);
    assert_eq!(
        house.ask("GET", &format!("{BASE}/nothing"), &Value::Null).await.status.as_u16(),
        404
    );
}

async fn answer_to(house: &House, url: &str, body: &str) -> u16 {
    let response = house.request("POST", url).body(body.to_owned()).send().await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn without_the_token_nothing_but_health_answers() {
    let house = House::open(Some("a-token-of-the-house")).await;
    for (method, path) in ENDPOINTS {
        let url = format!("{BASE}{path}");
        for wrong in [None, Some("Bearer another-token"), Some("a-token-of-the-house")] {
            let mut request = house.request(method, &url).body(body_of(path).to_string());
            if let Some(wrong) = wrong {
                request = request.header("authorization", wrong);
            }
            let answer = answer(request).await;
            assert_eq!(answer.status.as_u16(), 401, "{method} {path} with {wrong:?}");
        }
    }
    let path = format!("{BASE}/budget/create");
    let request = house.request("POST", &path).bearer_auth("a-token-of-the-house");
    let made = answer(request.body(body_of("/budget/create").to_string())).await;
    assert_eq!(made.status.as_u16(), 201);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(house.ask("GET", path, &Value::Null).await.status.as_u16(), 200, "{path}");
    }
    assert_eq!(house.ask("GET", "/metrics", &Value::Null).await.status.as_u16(), 401);
}

#[tokio::test]
async fn without_the_store_every_endpoint_is_503() {
    let mut house = House::open(None).await;
    house.ask("POST", &format!("{BASE}/budget/create"), &body_of("/budget/create")).await;
    house.lose_the_store();
    for (method, path) in ENDPOINTS {
        let answer = house.ask(method, &format!("{BASE}{path}"), &body_of(path)).await;
        assert_eq!(answer.status.as_u16(), 503, "{method} {path}: {:#}", answer.body);
    }
    assert_eq!(house.ask("GET", "/readyz", &Value::Null).await.status.as_u16(), 503);
    assert_eq!(house.ask("GET", "/healthz", &Value::Null).await.status.as_u16(), 200);
}
