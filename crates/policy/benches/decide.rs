//! What a decision costs, beside what parsing alone costs.

use airlock_policy::{Gate, Request};

fn main() {
    divan::main();
}

const COMMANDS: &[&str] = &[
    "git status",
    "npm ci && npm test",
    "rm -rf ./target ./node_modules",
    "docker run --rm -v $PWD:/app -w /app node npm test",
    "psql -c \"SELECT * FROM users WHERE id = 1\"",
    "for f in *.log; do gzip \"$f\"; done",
    "python3 -c \"import shutil; shutil.rmtree('build')\"",
    "curl -s https://api.github.com/repos/a/b | jq -r .name",
    "bash -c 'cd / && rm -rf *'",
    "aws s3 rm s3://bucket --recursive",
];

#[divan::bench(args = COMMANDS)]
fn decide(bencher: divan::Bencher<'_, '_>, command: &str) {
    let gate = Gate::builtin();
    bencher.bench(|| gate.decide(divan::black_box(&Request::command(command))));
}

#[divan::bench(args = COMMANDS)]
fn parse_alone(command: &str) -> shuck_parser::parser::ParseResult {
    shuck_parser::parser::Parser::new(divan::black_box(command)).parse()
}

#[divan::bench]
fn load_policy() -> Gate {
    Gate::load(airlock_policy::DEFAULT_POLICY, Some("production"))
        .unwrap_or_else(|_| Gate::builtin())
}
