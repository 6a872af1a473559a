//! Hostile input: no panic, no overflow of a small stack, no long run, one answer.

use std::time::{Duration, Instant};

use airlock_policy::{Gate, Outcome, Request};
use proptest::prelude::*;

#[path = "support/hostile.rs"]
mod hostile;

use hostile::{Input, nested};

/// The stack a spawned thread has by default.
const STACK: usize = 2 * 1024 * 1024;

#[test]
fn nesting_attacks_survive_a_small_stack_and_are_quick() {
    for (name, input) in hostile::inputs() {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let start = Instant::now();
            let request = match &input {
                Input::Command(text) => Request::command(text),
                Input::Code(language, text) => Request::code(language, text),
            };
            let decision = Gate::builtin().decide(&request);
            (decision.outcome, start.elapsed())
        });
        let (_, took) = thread.expect("a thread").join().expect(&name);
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
}

#[test]
fn what_cannot_be_analysed_says_so_and_is_no_refusal() {
    let gate = Gate::builtin();
    for (command, rule) in [
        ("if then fi (".to_owned(), "unanalysed.syntax"),
        ("x".repeat(70_000), "unanalysed.length"),
        (nested("$(", ")", "ls", 20_000), "unanalysed.depth"),
    ] {
        let decision = gate.decide(&Request::command(&command));
        assert_eq!(decision.outcome, Outcome::RequireApproval, "{rule}: {}", decision.reason);
        assert!(decision.rule_ids.iter().any(|id| id == rule), "{:?}", decision.rule_ids);
        assert!(decision.reason.starts_with("Could not analyse"), "{}", decision.reason);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_one_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let gate = Gate::builtin();
        let request = Request::command(&text);
        prop_assert_eq!(gate.decide(&request), gate.decide(&request));
    }

    #[test]
    fn any_shell_like_text_gets_one_answer(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "rm", "-rf", "/", "~", "$x", "${x%", "}", "$(", ")", "`", "'", "\"", "|", "&&", ";", "\n",
                "<<E", "E", "<(", ">", "{a,b}", "{", "[[", "]]", "((", "))", "if", "then", "fi", "for", "in",
                "do", "done", "case", "esac", "f()", "eval", "bash -c", "xargs", "find . -exec", "\\;", "sudo",
                "python3 -c", "curl", "https://a.example", "psql -c", "DROP TABLE", "git", "push", "=", "a=(", "\\",
                "ä", "\u{F0000}", "[", "*", "!", "#", "$'\\x", "echo", "printf %s", "base64 -d", "tr a-z", "sed s/",
            ]),
            0..40,
        ),
    ) {
        let text = pieces.join(" ");
        let gate = Gate::builtin();
        let request = Request::command(&text);
        let decision = gate.decide(&request);
        prop_assert_eq!(&decision, &gate.decide(&request));
        for effect in &decision.effects {
            prop_assert!(effect.span.1 <= text.len() && effect.span.0 <= effect.span.1);
        }
    }
}
