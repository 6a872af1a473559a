//! Decides about labelled steps and prints every one that comes out differently.
//!
//! `cargo run -p airlock-policy --example judge -- [--quiet] FILE.jsonl...`; each line has
//! `command` (or `context.code`) and `expect` (`allow`, `require_approval` or `deny`).
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a command-line tool")]

#[path = "../tests/support/cases.rs"]
mod cases;

use airlock_policy::Gate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::builtin();
    let mut quiet = false;
    for file in std::env::args().skip(1) {
        if file == "--quiet" {
            quiet = true;
            continue;
        }
        let score = cases::score(&gate, &cases::read(&std::fs::read_to_string(&file)?));
        if !quiet {
            for miss in &score.misses {
                let (expect, got) = (miss.expect.as_str(), miss.got.as_str());
                let rules = miss.rules.join(",");
                println!(
                    "{expect} -> {got}  [{}] {}  ({}) {rules}",
                    miss.category, miss.text, miss.why
                );
            }
            print!("{}", cases::table(&score));
        }
        println!("{file}: {}", score.line());
    }
    Ok(())
}
