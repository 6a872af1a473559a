//! One-shot uses: JSON, logs, names of variables, patterns of the operator's own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy knows tests by attribute alone, not their helpers"
)]

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use airlock_redaction::logs::RedactingWriter;
use airlock_redaction::{CustomPattern, Error, Redactor, is_secret_name};
use serde_json::json;

const TOKEN: &str = "ghp_abcdefghijKLMNOPQRST0123456789wxyzAB";

#[test]
fn json_is_redacted_in_values_and_keys_at_any_depth() {
    let mut value = json!({
        "plain": "nothing here",
        "list": [1, true, null, format!("got {TOKEN}"), {"deep": {"t": TOKEN}}],
        TOKEN: "as a key",
    });
    let report = Redactor::builtin().redact_json(&mut value);
    assert_eq!(
        value,
        json!({
            "plain": "nothing here",
            "list": [1, true, null, "got [REDACTED:github_token]",
                {"deep": {"t": "[REDACTED:github_token]"}}],
            "[REDACTED:github_token]": "as a key",
        })
    );
    assert_eq!(report.counts.get("github_token"), Some(&3));
}

#[test]
fn a_json_string_is_judged_with_its_key() {
    let mut value = json!({
        "password": "correct horse 7battery",
        "db": {"password": "hx7Tq9pL"},
        "api_keys": ["hx7Tq9pLzz88aa01", "hx7Tq9pLzz88aa02"],
        "password_file": "/run/secrets/db",
        "token_type": "bearer",
        "note": "hx7Tq9pL",
    });
    Redactor::builtin().redact_json(&mut value);
    assert_eq!(value["db"]["password"], "[REDACTED:password]");
    assert_eq!(value["api_keys"], json!(["[REDACTED:api_key]", "[REDACTED:api_key]"]));
    assert_eq!(value["password"], "[REDACTED:password]");
    assert_eq!(value["password_file"], "/run/secrets/db");
    assert_eq!(value["token_type"], "bearer");
    assert_eq!(value["note"], "hx7Tq9pL");
}

#[test]
fn two_json_keys_that_become_one_both_stay() {
    let other = TOKEN.replace("abc", "xyz");
    let mut value = json!({TOKEN: 1, other: 2});
    Redactor::builtin().redact_json(&mut value);
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["[REDACTED:github_token]", "[REDACTED:github_token]'"]);
}

#[test]
fn json_nested_too_deep_is_replaced_whole() {
    let deep = |levels: usize| (0..levels).fold(json!(TOKEN), |inner, _| json!([inner]));
    let mut value = deep(1000);
    let report = Redactor::builtin().redact_json(&mut value);
    assert_eq!(report.counts.get("nested_too_deep"), Some(&1));
    let text = value.to_string();
    assert!(text.contains("[REDACTED:nested_too_deep]") && !text.contains("ghp_"), "{text}");
    let mut value = deep(100);
    let report = Redactor::builtin().redact_json(&mut value);
    assert_eq!(report.counts.keys().collect::<Vec<_>>(), ["github_token"]);
}

/// Sends each write on, as a log's file would get it.
struct Sink(Sender<Vec<u8>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(json: bool, event: impl FnOnce()) -> String {
    let (sender, receiver) = channel();
    let redactor = Redactor::builder()
        .known_value("KEY", "correct-Horse-battery-7".to_owned().into())
        .build()
        .unwrap();
    let writer = RedactingWriter::new(redactor, move || Sink(sender.clone()));
    let builder = tracing_subscriber::fmt().with_writer(writer).with_ansi(false);
    let dispatch = if json {
        tracing::Dispatch::from(Arc::new(builder.json().finish()))
    } else {
        tracing::Dispatch::from(Arc::new(builder.finish()))
    };
    tracing::dispatcher::with_default(&dispatch, event);
    drop(dispatch);
    String::from_utf8(receiver.into_iter().flatten().collect()).unwrap()
}

#[test]
fn no_log_line_carries_a_secret() {
    for json in [false, true] {
        let log = logged(json, || {
            let span = tracing::info_span!("call", token = TOKEN);
            let _guard = span.enter();
            tracing::info!(password = "hx7Tq9pLzz", "starting with {TOKEN}");
            tracing::warn!(error = ?Some("correct-Horse-battery-7"), "it \"failed\"");
        });
        assert_eq!(log.lines().count(), 2, "{log}");
        for secret in ["ghp_abc", "hx7Tq9pL", "correct-Horse"] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
        assert!(log.contains("starting with [REDACTED:github_token]"), "{log}");
        assert!(log.contains("failed"), "{log}");
    }
}

#[test]
fn an_event_in_many_writes_is_redacted_as_a_whole() {
    use tracing_subscriber::fmt::MakeWriter as _;
    let (sender, receiver) = channel();
    let writer = RedactingWriter::new(Redactor::builtin(), move || Sink(sender.clone()));
    let mut event = writer.make_writer();
    for byte in format!("got {TOKEN}\n").bytes() {
        event.write_all(&[byte]).unwrap();
    }
    drop(event);
    drop(writer);
    let written: Vec<Vec<u8>> = receiver.into_iter().collect();
    assert_eq!(written, [b"got [REDACTED:github_token]\n".to_vec()]);
}

#[test]
fn names_of_secret_variables_are_told_from_others() {
    for name in [
        "PASSWORD",
        "DB_PASSWORD",
        "PGPASSWORD",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "api-key",
        "OPENAI_API_KEY",
        "MY_PAT",
        "SENTRY_DSN",
        "DATABASE_PASS",
        "npm_config_authToken",
        "PRIVATEKEY",
        "SESSION_COOKIE",
        "HMAC_SALT",
        "Slack.Webhook",
        "STORAGE_CONNECTION_STRING",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "PATH",
        "PWD",
        "OLDPWD",
        "HOME",
        "SSH_AUTH_SOCK",
        "PASSWORD_FILE",
        "TOKEN_TTL",
        "SECRET_NAME",
        "PUBLIC_KEY",
        "PRIMARY_KEY",
        "KEY_PATH",
        "MAX_TOKENS_LIMIT",
        "COMPASS",
        "BYPASS",
        "KEYBOARD",
        "AUTHOR",
        "SSH_KNOWN_HOSTS",
        "LANG",
        "",
        "_",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

fn pattern(name: &str, regex: &str) -> CustomPattern {
    CustomPattern { name: name.into(), regex: regex.into(), ..CustomPattern::default() }
}

fn refusal(pattern: CustomPattern) -> Error {
    Redactor::builder().custom(pattern).build().expect_err("a pattern that is wrong")
}

#[test]
fn a_pattern_that_is_wrong_is_refused_by_name_with_the_remedy() {
    for name in ["", "Ticket", "1ticket", "a b", "a]b", &"x".repeat(41)] {
        let error = refusal(pattern(name, "T-[0-9]+"));
        assert!(matches!(&error, Error::Name { name: told } if told == name), "{error}");
    }
    let error = refusal(pattern("ticket", "T-[0-9"));
    assert_eq!(error.to_string(), "redaction pattern `ticket` is not a valid regular expression");
    assert!(std::error::Error::source(&error).is_some());
    assert!(matches!(refusal(pattern("ticket", "(?:a{500}){500}")), Error::Syntax { .. }));
    for empty in ["a*", "", "x?", "^|a"] {
        assert!(matches!(refusal(pattern("ticket", empty)), Error::Empty { .. }), "{empty}");
    }
    for length in [0, 4097] {
        let error =
            refusal(CustomPattern { max_length: Some(length), ..pattern("ticket", "T-[0-9]+") });
        assert_eq!(
            error.to_string(),
            format!(
                "redaction pattern `ticket`: max_length {length} must be between 1 and 4096 bytes"
            )
        );
    }
    let many = (0..65).map(|n| pattern(&format!("p{n}"), "T-[0-9]+"));
    let error = many.fold(Redactor::builder(), airlock_redaction::Builder::custom).build();
    assert!(matches!(error, Err(Error::TooMany { count: 65, limit: 64 })), "{error:?}");
}

#[test]
fn the_examples_of_a_pattern_are_run() {
    let ticket = || pattern("ticket", "T-([0-9]{4})");
    let error =
        refusal(CustomPattern { matches: vec!["a T-1234".into(), "T-12".into()], ..ticket() });
    assert!(matches!(error, Error::NotMatched { number: 2, .. }), "{error}");
    let error = refusal(CustomPattern { leaves: vec!["see T-1234".into()], ..ticket() });
    assert!(matches!(error, Error::Matched { number: 1, .. }), "{error}");
    let redactor = Redactor::builder()
        .custom(CustomPattern {
            matches: vec!["a T-1234".into()],
            leaves: vec!["T-12".into()],
            ..ticket()
        })
        .build()
        .unwrap();
    assert_eq!(redactor.redact("see T-1234!"), "see T-[REDACTED:ticket]!");
}

#[test]
fn a_pattern_with_an_unknown_field_is_refused() {
    let wrong = json!({"name": "a", "regex": "b", "maxlength": 3});
    let error = serde_json::from_value::<CustomPattern>(wrong).unwrap_err();
    assert!(error.to_string().contains("maxlength"), "{error}");
}
