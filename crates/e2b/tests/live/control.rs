//! What a control plane must do, whoever runs it.

use std::time::Duration;

use airlock_e2b::{CreateSandbox, Error, ListQuery, Network, Order, SandboxState};
use secrecy::ExposeSecret;

use crate::place::{Place, spec};

/// A label of this test run alone.
fn unique(name: &str) -> String {
    format!("{name} {}", jiff::Timestamp::now().as_nanosecond())
}

pub(crate) async fn looking(place: &Place) {
    let (client, id) = (&place.client, place.sandbox.id());
    client.health().await.unwrap();
    let info = client.get(id).await.unwrap();
    assert_eq!((info.id.as_str(), info.state), (id, SandboxState::Running));
    assert!(info.cpu_count > 0 && info.memory_mb > 0, "{info:?}");
    let life = info.end_at.duration_since(info.started_at);
    assert!(life.as_secs().abs_diff(120) < 30, "{life}");
    let error = client.get("i00000000000000000000").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn refusals(place: &Place) {
    let template = CreateSandbox::new("no-such-template", Duration::from_mins(1));
    let error = place.client.create(&template).await.unwrap_err();
    assert!(matches!(error, Error::TemplateNotFound { .. }), "{error:?}");
    let long = CreateSandbox { timeout: Duration::from_hours(24 * 365), ..spec() };
    let error = place.client.create(&long).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
    let error = place.stranger().create(&spec()).await.unwrap_err();
    assert!(matches!(error, Error::Auth { .. }), "{error:?}");
}

pub(crate) async fn times(place: &Place) {
    let (client, id) = (&place.client, place.sandbox.id());
    let left = async || {
        let end = client.get(id).await.unwrap().end_at;
        end.duration_since(jiff::Timestamp::now()).as_secs()
    };
    client.set_timeout(id, Duration::from_mins(5)).await.unwrap();
    assert!(left().await.abs_diff(300) < 20);
    // These two only extend.
    client.refresh(id, Duration::from_mins(1)).await.unwrap();
    assert!(left().await.abs_diff(300) < 20);
    client.connect(id, Some(Duration::from_mins(1))).await.unwrap();
    assert!(left().await.abs_diff(300) < 20);
    client.refresh(id, Duration::from_mins(8)).await.unwrap();
    assert!(left().await.abs_diff(480) < 20);
    let connected = client.connect(id, Some(Duration::from_mins(10))).await.unwrap();
    assert!(left().await.abs_diff(600) < 20);
    client.set_timeout(id, Duration::from_mins(1)).await.unwrap();
    assert!(left().await.abs_diff(60) < 20);
    let tokens = [&connected, &place.sandbox].map(|s| s.access_token().expose_secret().to_owned());
    assert_eq!(tokens[0], tokens[1]);
    assert!(!tokens[0].is_empty());
    for error in [
        client.set_timeout("i00000000000000000000", Duration::from_mins(1)).await.unwrap_err(),
        client.refresh("i00000000000000000000", Duration::from_mins(1)).await.unwrap_err(),
        client.connect("i00000000000000000000", None).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }
}

pub(crate) async fn listing(place: &Place) {
    let client = &place.client;
    let run = unique("a=b & c%2f+ä");
    let mut ids = Vec::new();
    for n in ["1", "2", "3"] {
        let metadata = [("run k".to_owned(), run.clone()), ("n".to_owned(), n.to_owned())];
        let spec = CreateSandbox { metadata: metadata.into(), ..spec() };
        ids.push(client.create(&spec).await.unwrap().id().to_owned());
    }
    let query = ListQuery {
        metadata: [("run k".to_owned(), run.clone())].into(),
        order: Order::Ascending,
        ..ListQuery::default()
    };
    let found = client.list(&query).await.unwrap();
    assert_eq!(found.iter().map(|info| info.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(found[1].metadata["n"], "2");
    let two = ListQuery { limit: Some(2), ..query.clone() };
    assert_eq!(client.list(&two).await.unwrap().len(), 2);
    let mut one = query.clone();
    one.metadata.insert("n".to_owned(), "3".to_owned());
    one.states = vec![SandboxState::Running];
    assert_eq!(client.list(&one).await.unwrap()[0].id, ids[2]);
    for id in &ids {
        assert!(client.kill(id).await.unwrap());
    }
    assert!(client.list(&query).await.unwrap().is_empty());
}

pub(crate) async fn idempotency(place: &Place) {
    let client = &place.client;
    let key = format!("test-{}", jiff::Timestamp::now().as_nanosecond());
    let spec = CreateSandbox { idempotency_key: Some(key), ..spec() };
    let first = client.create(&spec).await.unwrap();
    let second = client.create(&spec).await.unwrap();
    assert_eq!(first.id(), second.id());
    let other = CreateSandbox { timeout: Duration::from_mins(1), ..spec };
    let error = client.create(&other).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert!(client.kill(first.id()).await.unwrap());
}

pub(crate) async fn killing(place: &Place) {
    let client = &place.client;
    let sandbox = client.create(&spec()).await.unwrap();
    let process = airlock_e2b::StartProcess::shell("echo begun; sleep 100");
    let mut stream = sandbox.start(&process).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert!(sandbox.is_running().await.unwrap());
    assert!(client.kill(sandbox.id()).await.unwrap());
    assert!(!client.kill(sandbox.id()).await.unwrap());
    // The stream is cut, not ended: whoever follows must not take it for the process's end.
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if the process had"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Cut { .. }), "{error:?}");
    assert!(!sandbox.is_running().await.unwrap());
    let error = sandbox.start(&process).await.unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error:?}");
    let error = sandbox.read_file(Some("user"), "f", None, 1).await.unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error:?}");
}

pub(crate) async fn expiry(place: &Place) {
    let client = &place.client;
    let spec = CreateSandbox { timeout: Duration::from_secs(2), ..spec() };
    let sandbox = client.create(&spec).await.unwrap();
    for _ in 0..100 {
        if !sandbox.is_running().await.unwrap() {
            let error = client.get(sandbox.id()).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the sandbox outlived its end by 8 s");
}

pub(crate) async fn environment(place: &Place) {
    let envs = [("FROM_CREATION".to_owned(), "yes".to_owned())];
    let spec = CreateSandbox { envs: envs.into(), ..spec() };
    let sandbox = place.client.create(&spec).await.unwrap();
    let process = airlock_e2b::StartProcess::shell("echo $FROM_CREATION; id -un; pwd");
    let output = sandbox.run(&process, 1000).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "yes\nuser\n/home/user\n");
    assert!(place.client.kill(sandbox.id()).await.unwrap());
}

pub(crate) async fn networks(place: &Place) {
    let client = &place.client;
    let reach = airlock_e2b::StartProcess::shell(
        "curl -sS -o /dev/null -m 5 https://blocked.example.com/ 2>&1 && echo reached",
    );
    let spec = CreateSandbox { network: Some(Network::only(["pypi.org"])), ..spec() };
    let sandbox = client.create(&spec).await.unwrap();
    let blocked = async || {
        let output = sandbox.run(&reach, 1000).await.unwrap();
        assert_ne!(output.exit_code, 0, "{output:?}");
    };
    blocked().await;
    for network in [Network::none(), Network::only(["example.org", "*.crates.io"])] {
        client.update_network(sandbox.id(), &network).await.unwrap();
        blocked().await;
    }
    assert!(client.kill(sandbox.id()).await.unwrap());
    let error = client.update_network(sandbox.id(), &Network::none()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn pausing(place: &Place) {
    let (client, id) = (&place.client, place.sandbox.id());
    client.pause(id).await.unwrap();
    assert_eq!(client.get(id).await.unwrap().state, SandboxState::Paused);
    let error = client.pause(id).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    let resumed = client.connect(id, Some(Duration::from_mins(2))).await.unwrap();
    assert!(resumed.is_running().await.unwrap());
    assert_eq!(client.get(id).await.unwrap().state, SandboxState::Running);
}

pub(crate) async fn measuring(place: &Place) {
    // Empty until the first sample was taken.
    let metrics = place.client.metrics(place.sandbox.id(), None, None).await.unwrap();
    assert!(metrics.iter().all(|m| m.mem_total > 0 && m.cpu_count > 0), "{metrics:?}");
    let error = place.client.metrics("i00000000000000000000", None, None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
