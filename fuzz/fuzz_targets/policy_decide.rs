//! The policy gate: any command and any program gets one answer, the same twice, on a stack of
//! 2 MiB; what it points at lies in the command.
#![no_main]

use airlock_policy::{Gate, Request};
use libfuzzer_sys::fuzz_target;

/// The stack that a spawned thread has by default, as a worker's threads do.
const STACK: usize = 2 << 20;
const LANGUAGES: [&str; 8] = ["python", "javascript", "ruby", "perl", "php", "go", "r", "bash"];

// The first byte chooses: a command, or a program in one of the languages.
fuzz_target!(|data: &[u8]| {
    let [choice, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text).into_owned();
    let choice = usize::from(*choice);
    let decided = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let gate = Gate::builtin();
        let request = match choice.checked_sub(128) {
            None => Request::command(&text),
            Some(at) => Request::code(LANGUAGES[at % LANGUAGES.len()], &text),
        };
        let decision = gate.decide(&request);
        assert_eq!(decision, gate.decide(&request));
        for effect in &decision.effects {
            let (start, end) = effect.span;
            assert!(start <= end && end <= text.len(), "{effect:?} in {text:?}");
            assert!(effect.kind.classes().contains(&effect.class));
        }
    });
    decided.expect("a thread").join().expect("no panic");
});
