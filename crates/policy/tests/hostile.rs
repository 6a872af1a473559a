//! Hostile input: no panic, no overflow of a small stack, no long run, one answer.

use std::time::{Duration, Instant};

use airlock_policy::{Gate, Outcome, Request};
use proptest::prelude::*;

/// The stack a spawned thread has by default.
const STACK: usize = 2 * 1024 * 1024;

fn nested(open: &str, close: &str, inner: &str, bytes: usize) -> String {
    let times = bytes / (open.len() + close.len()).max(1);
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

// The same shapes at several depths: far over the caps, and just below them, where a small
// stack is used most.
fn attacks() -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for times in [19, 37, 58, 76, 20_000] {
        out.extend(shapes(times));
    }
    out.extend(others());
    out
}

fn shapes(times: usize) -> Vec<(&'static str, String)> {
    let pair = |name, open: &str, close: &str| {
        let bytes = (times * (open.len() + close.len())).min(60_000);
        (name, nested(open, close, "rm -rf /", bytes))
    };
    vec![
        pair("subshells", "(", ")"),
        pair("groups", "{ ", "; }"),
        pair("substitutions", "$(", ")"),
        pair("quoted substitutions", "\"$(echo ", ")\""),
        pair("backticks", "`", "`"),
        pair("parameters", "${x:-", "}"),
        pair("arithmetic", "$((", "))"),
        pair("arithmetic parentheses", "((1+(", ")))"),
        pair("conditions", "if ", "; then :; fi"),
        pair("loops", "while ", "; do :; done"),
        pair("cases", "case x in x) ", ";; esac"),
        pair("functions", "f() { ", "; }"),
        pair("process substitutions", "cat <(", ")"),
        pair("tests", "[[ ( ", " ) ]]"),
        pair("braces", "{a,", "}"),
        pair("eval", "eval ", ""),
        pair("sudo", "sudo ", ""),
        pair("env", "env -S ", ""),
        pair("negations", "! ", ""),
        pair("sh -c", "sh -c \"$(", ")\""),
        pair("mixed", "f() { (x=$(cat <(if ", "; then :; fi))); }"),
    ]
}

fn others() -> Vec<(&'static str, String)> {
    let size = 60_000;
    vec![
        ("pipes", "a | ".repeat(size / 4) + "rm -rf /"),
        ("ands", "a && ".repeat(size / 5) + "rm -rf /"),
        ("semicolons", ";".repeat(size)),
        ("heredocs", "cat <<E\n".repeat(size / 9)),
        ("redirections", "> ".repeat(size / 2)),
        ("assignments", "a=".repeat(size / 2)),
        ("brace product", "echo ".to_owned() + &"{a,b}".repeat(2_000)),
        ("stars", "rm ".to_owned() + &"*".repeat(size)),
        ("replacement", format!("x={}; echo ${{x//a/aaaa}}", "a".repeat(20_000))),
        ("doubling", "a=aaaaaaaaaa;".to_owned() + &"a=$a$a;".repeat(64) + "rm -rf /$a"),
        ("calls", "f(){ f; f; f; }; f".to_owned()),
        ("loops over loops", nested("for i in 1 2 3 4 5 6 7 8 9; do ", "; done", ":", 1_200)),
        (
            "nested sh -c",
            (0..20).fold("rm -rf /".to_owned(), |text, _| {
                format!("bash -c '{}'", text.replace('\'', "'\\''")).chars().take(60_000).collect()
            }),
        ),
        ("python", format!("python3 -c \"{}\"", nested("f(", ")", "1", 40_000))),
        ("python lists", format!("python3 -c \"x={}\"", nested("[", "]", "1", 40_000))),
        ("sql", format!("psql -c \"SELECT {}\"", "1+".repeat(20_000) + "1")),
        ("sql parentheses", format!("psql -c \"SELECT {}\"", nested("(", ")", "1", 40_000))),
    ]
}

#[test]
fn nesting_attacks_survive_a_small_stack_and_are_quick() {
    for (name, command) in attacks() {
        println!("{name}");
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let start = Instant::now();
            let decision = Gate::builtin().decide(&Request::command(&command));
            (decision.outcome, start.elapsed())
        });
        let (_, took) = thread.expect("a thread").join().expect(name);
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
