//! Streams that pause, and streams whose rules change.
#![expect(clippy::unwrap_used, reason = "clippy knows tests by attribute alone, not their helpers")]

use airlock_redaction::{CustomPattern, Redactor, Report};

const TOKEN: &str = "ghp_abcdefghijKLMNOPQRST0123456789wxyzAB";

/// Pushes each part, pausing after it, and returns what came out at each step.
fn with_pauses(redactor: &Redactor, parts: &[&str]) -> (Vec<String>, Report) {
    let mut stream = redactor.stream();
    let mut steps = Vec::new();
    for part in parts {
        let mut out = Vec::new();
        stream.push(part.as_bytes(), &mut out);
        stream.idle(&mut out);
        assert_eq!(stream.held_back(), 0, "a pause leaves nothing behind: {part:?}");
        steps.push(String::from_utf8(out).unwrap());
    }
    let mut out = Vec::new();
    let report = stream.finish(&mut out);
    steps.push(String::from_utf8(out).unwrap());
    (steps, report)
}

#[test]
fn a_prompt_is_written_at_a_pause() {
    let redactor = Redactor::builtin();
    for prompt in ["Password: ", "Enter passphrase for key: ", "login: ", "$ ", "token"] {
        let (steps, report) = with_pauses(&redactor, &[prompt]);
        assert_eq!(steps, [prompt, ""], "{prompt}");
        assert!(report.is_empty(), "{prompt}");
    }
}

#[test]
fn a_secret_cut_by_a_pause_never_gets_out() {
    let redactor = Redactor::builtin();
    for text in [
        format!("got {TOKEN} done\n"),
        "url postgres://app:hx7Tq9pLzz@db:5432/app done\n".to_owned(),
        "DB_PASSWORD=hx7Tq9pLzz8812\n".to_owned(),
        "Authorization: Bearer hx7Tq9pLzz8812abcdef\n".to_owned(),
        "a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9 b\n"
            .to_owned(),
    ] {
        let clean = redactor.redact(&text);
        let secret: Vec<&str> = text.split_whitespace().filter(|w| !clean.contains(w)).collect();
        // The marker needs the anchor and something after it; before that a pause shows letters.
        let from = text.find(secret[0]).unwrap() + 12;
        for cut in from..text.len() {
            let (steps, _) = with_pauses(&redactor, &[&text[..cut], &text[cut..]]);
            let out = steps.concat();
            let tail = &text[from..text.trim_end().len()];
            let leaked = tail
                .as_bytes()
                .windows(8)
                .filter(|w| !w.contains(&b' '))
                .filter(|w| !clean.as_bytes().windows(8).any(|c| c == *w))
                .any(|w| out.as_bytes().windows(8).any(|o| o == w));
            assert!(!leaked, "cut at {cut}: {out:?}");
        }
    }
}

#[test]
fn what_follows_of_a_masked_secret_is_swallowed_and_the_rest_is_not() {
    let redactor = Redactor::builtin();
    let (head, tail) = TOKEN.split_at(30);
    let (steps, report) = with_pauses(&redactor, &[head, &format!("{tail} and on\n")]);
    assert_eq!(steps.concat(), "[REDACTED:github_token] and on\n");
    assert_eq!(report.total(), 1);
}

#[test]
fn a_known_value_cut_by_a_pause_is_masked() {
    let redactor = Redactor::builder()
        .known_value("KEY", "correct-Horse-battery-7".to_owned().into())
        .build()
        .unwrap();
    let (steps, _) = with_pauses(&redactor, &["say correct-Hor", "se-battery-7 end\n"]);
    assert_eq!(steps.concat(), "say [REDACTED:known_value] end\n");
}

#[test]
fn pauses_without_anything_to_hide_change_nothing() {
    let redactor = Redactor::builtin();
    let text = "   Compiling serde v1.0.200\nDownloading 12% of 3 files\nokay then\n";
    for cut in 0..=text.len() {
        let (steps, report) = with_pauses(&redactor, &[&text[..cut], &text[cut..]]);
        assert_eq!(steps.concat(), text, "cut at {cut}");
        assert!(report.is_empty());
    }
}

#[test]
fn a_private_key_stays_hidden_over_a_pause() {
    let redactor = Redactor::builtin();
    let line = "MIIEpAIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";
    let text = format!(
        "-----BEGIN RSA PRIVATE KEY-----\n{line}\n{line}\n-----END RSA PRIVATE KEY-----\nafter\n"
    );
    for cut in 40..text.len() - 8 {
        let (steps, _) = with_pauses(&redactor, &[&text[..cut], &text[cut..]]);
        let out = steps.concat();
        assert!(!out.contains("MIIEpAIB") && !out.contains("uvwxyzAB"), "cut at {cut}: {out}");
        assert!(out.ends_with("after\n"), "cut at {cut}: {out}");
    }
}

#[test]
fn a_long_one_line_key_is_hidden_to_its_end_marker() {
    let redactor = Redactor::builtin();
    for length in (3900..4300).chain(8050..8250) {
        let body = "aB3+".repeat(length / 4 + 1);
        let text = format!(
            "x -----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY----- y\n",
            &body[..length]
        );
        assert_eq!(redactor.redact(&text), "x [REDACTED:private_key] y\n", "{length}");
    }
}

#[test]
fn a_key_cut_short_by_another_hides_both() {
    let redactor = Redactor::builtin();
    let line = "MIIEpAIBAAKCAQEA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";
    let text = format!(
        "-----BEGIN PRIVATE KEY-----{line}-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n"
    );
    let out = redactor.redact(&text);
    assert!(!out.contains("MIIE") && out.ends_with("]\n"), "{out}");
}

#[test]
fn new_values_count_from_the_swap_on_and_for_what_is_held_back() {
    let before = Redactor::builtin();
    let after =
        before.with_values([("KEY".to_owned(), "correct-Horse-battery-7".to_owned().into())]);
    let mut stream = before.stream();
    let mut out = Vec::new();
    let filler = "ordinary output of no interest at all\n".repeat(40);
    stream.push(format!("1 correct-Horse-battery-7 {filler}").as_bytes(), &mut out);
    let written = out.len();
    stream.swap(&after);
    stream.push(format!("2 correct-Horse-battery-7 {filler}").as_bytes(), &mut out);
    let report = stream.finish(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(written > 1000 && out.starts_with("1 correct-Horse-battery-7 "), "{out}");
    assert!(out.contains("2 [REDACTED:known_value] "), "{out}");
    assert_eq!(report.counts.get("known_value"), Some(&1));
}

#[test]
fn a_value_that_straddles_the_swap_is_masked() {
    let before = Redactor::builtin();
    let after =
        before.with_values([("KEY".to_owned(), "correct-Horse-battery-7".to_owned().into())]);
    let mut stream = before.stream();
    let mut out = Vec::new();
    stream.push(b"say correct-Horse", &mut out);
    stream.swap(&after);
    stream.push(b"-battery-7 end\n", &mut out);
    stream.finish(&mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "say [REDACTED:known_value] end\n");
}

#[test]
fn a_swap_to_rules_without_a_pattern_or_with_more_of_them_holds() {
    let custom = Redactor::builder()
        .custom(CustomPattern {
            name: "ticket".into(),
            regex: "TICKET-[0-9]{4}".into(),
            ..CustomPattern::default()
        })
        .build()
        .unwrap();
    let plain = Redactor::builtin();
    let mut stream = plain.stream();
    let mut out = Vec::new();
    stream.push("TICKET-1111 before\n".repeat(200).as_bytes(), &mut out);
    stream.swap(&custom);
    stream.push("TICKET-2222 within\n".repeat(200).as_bytes(), &mut out);
    stream.swap(&plain);
    stream.push("TICKET-3333 after\n".repeat(200).as_bytes(), &mut out);
    stream.finish(&mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("TICKET-1111 before\n"), "{out}");
    assert!(!out.contains("TICKET-2222"), "{out}");
    assert!(out.ends_with("TICKET-3333 after\n"), "{out}");
    assert_eq!(out.lines().count(), 600);
}
