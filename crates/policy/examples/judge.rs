//! Decides about labelled commands and prints every one that comes out differently.
//!
//! `cargo run -p airlock-policy --example judge -- FILE.jsonl...`; each line has `command` and
//! `expect` (`allow`, `approve` or `deny`).
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use airlock_policy::{Gate, Outcome, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::builtin();
    let (mut right, mut total) = (0u32, 0u32);
    for file in std::env::args().skip(1) {
        for line in std::fs::read_to_string(file)?.lines() {
            let case: serde_json::Value = serde_json::from_str(line)?;
            let command = case["command"].as_str().unwrap_or_default();
            let expect = case["expect"].as_str().unwrap_or_default();
            let decision = gate.decide(&Request::command(command));
            let got = match decision.outcome {
                Outcome::Allow => "allow",
                Outcome::RequireApproval => "approve",
                Outcome::Deny => "deny",
            };
            total += 1;
            if got == expect {
                right += 1;
                continue;
            }
            let rules = decision.rule_ids.join(",");
            println!("{expect} -> {got}  {command:?}  [{}] {rules}", case["category"]);
        }
    }
    println!("{right} of {total}");
    Ok(())
}
