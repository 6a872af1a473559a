//! The six safety endpoints, as clients of the earlier HTTP API call them.

use serde_json::{Value, json};

use crate::harness::{Stack, call};

#[test]
fn the_safety_endpoints() {
    let stack = Stack::start();
    let post = |path: &str, body: Value| call(&stack, "POST", path, Some(body));

    let body = json!({"action_type": "execute_code", "context": {"command": "rm -rf /"}});
    let (status, decision) = post("/api/v1/safety/check", body);
    assert_eq!((status, &decision["allowed"]), (200, &json!(false)), "{decision:#}");
    assert_eq!(decision["requires_approval"], json!(false), "snake_case: {decision:#}");

    let (status, made) =
        post("/api/v1/safety/budget/create", json!({"run_id": "http-1", "limit": 2}));
    assert!(matches!(status, 200 | 201), "{status} {made:#}");
    assert_eq!((&made["run_id"], &made["remaining"]), (&json!("http-1"), &json!(2)));

    let spend = json!({"run_id": "http-1", "amount": 0.5, "idempotency_key": "a"});
    assert_eq!(post("/api/v1/safety/budget/spend", spend.clone()).1["spent"], json!(0.5));
    assert_eq!(post("/api/v1/safety/budget/spend", spend).1["spent"], json!(0.5));

    let can = json!({"run_id": "http-1", "amount": 1.5});
    assert_eq!(post("/api/v1/safety/budget/can-spend", can).1["can_spend"], json!(true));

    let over = json!({"run_id": "http-1", "amount": 5});
    let (status, problem) = post("/api/v1/safety/budget/spend", over);
    assert_eq!(status, 402, "{problem:#}");
    let other = json!({"run_id": "http-1", "limit": 3});
    assert_eq!(post("/api/v1/safety/budget/create", other).0, 409);
    let (status, problem) = post("/api/v1/safety/budget/spend", json!({"amount": "x"}));
    assert_eq!(status, 422, "{problem:#}");
    let text = problem.to_string();
    assert!(text.contains("run_id") && text.contains("amount"), "{problem:#}");

    assert_eq!(call(&stack, "GET", "/api/v1/safety/budget/http-1", None).1["spent"], json!(0.5));
    let (status, _) = call(&stack, "DELETE", "/api/v1/safety/budget/http-1", None);
    assert!(matches!(status, 200 | 204), "{status}");
    assert_eq!(call(&stack, "GET", "/api/v1/safety/budget/http-1", None).0, 404);

    assert_eq!(call(&stack, "GET", "/healthz", None).0, 200);
    assert_eq!(call(&stack, "GET", "/readyz", None).0, 200);
    let (status, metrics) = call(&stack, "GET", "/metrics", None);
    assert_eq!(status, 200);
    assert!(metrics.as_str().is_some_and(|text| text.contains("airlock_")), "{metrics}");
}
