//! `docs/reference/policy-corpus.md`, from the corpus and the gate as they are.

use std::fmt::Write as _;
use std::path::Path;

use airlock_policy::Gate;

use crate::cases::{self, Case};

const HEAD: &str = "# The policy's corpus and its rates

Written by a test from `crates/policy/corpus` and the built-in policy, environment `base`. Do not edit by hand: `make corpus`
writes it anew.

Each case is a command, or a program, with what a careful person would say: **deny**, **require_approval** or **allow**. About
half are benign look-alikes: text that mentions danger, dry runs, build outputs. The corpus is a floor against regressions.
It says little about commands that nobody here has seen; for that, sets were written before the rules were looked at, and
measured once, on the first run:

| set, cases | destructive stopped | of these denied | benign interrupted | approvals noticed |
|---|---|---|---|---|
| `held-out`, 498: written apart from the rules | 97.2 % | | 1.3 % | 100 % |
| the same, the twisted part | 92.9 % | | 2.1 % | 88 % |
| `fresh-1`, 304: mended after it was measured | 97.3 % | 93.7 % | 2.5 % | 100 % |
| `fresh-2`, 305: written with `fresh-1` and kept closed; on the first run | 96.7 % | 95.0 % | 0.6 % | 100 % |
| `fresh-2`, after `fresh-1` was mended, still closed | 98.3 % | 96.7 % | 0.6 % | 100 % |
| `programs`, 134: inline programs, mended after it was measured | 64.0 % | 58.4 % | 2.2 % | |

All of them are part of the corpus now, so the rates below are those of cases that were seen.

";

/// The sets of the corpus by name.
pub(crate) fn sets() -> Vec<(String, Vec<Case>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = std::fs::read_dir(folder).expect("the corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, cases::read(&std::fs::read_to_string(&path).expect("a text")))
        })
        .collect()
}

/// The whole page.
pub(crate) fn page() -> String {
    let gate = Gate::builtin();
    let sets = sets();
    let mut out = HEAD.to_owned();
    out.push_str("## By set\n\n| set | cases | destructive stopped | of these denied | benign interrupted | approvals noticed | asked exactly |\n|---|---|---|---|---|---|---|\n");
    for (name, cases) in &sets {
        let score = cases::score(&gate, cases);
        let percent = |rate: cases::Rate| match rate.all {
            0 => String::new(),
            _ => format!("{:.1} %", rate.percent()),
        };
        let _infallible = writeln!(
            out,
            "| `{name}` | {} | {} | {} | {} | {} | {} |",
            cases.len(),
            percent(score.stopped),
            percent(score.denied),
            percent(score.interrupted),
            percent(score.noticed),
            percent(score.asked)
        );
    }
    let all: Vec<Case> = sets.into_iter().flat_map(|(_, cases)| cases).collect();
    let score = cases::score(&gate, &all);
    let _infallible = write!(out, "\nAll {} together: {}.\n", all.len(), score.line());
    out.push_str("\n## By label and category\n\n| label | category | cases | as labelled | interrupted |\n|---|---|---|---|---|\n");
    for ((expect, category), (exact, stopped)) in &score.categories {
        let _infallible = writeln!(
            out,
            "| {} | {category} | {} | {:.1} % | {:.1} % |",
            expect.as_str(),
            exact.all,
            exact.percent(),
            stopped.percent()
        );
    }
    out.push_str("\n## What comes out differently\n\n| label | decided | case | why the label |\n|---|---|---|---|\n");
    for miss in &score.misses {
        let _infallible = writeln!(
            out,
            "| {} | {} | `{}` | {} |",
            miss.expect.as_str(),
            miss.got.as_str(),
            miss.text.replace('|', "\\|").replace('`', "'"),
            miss.why
        );
    }
    out
}
