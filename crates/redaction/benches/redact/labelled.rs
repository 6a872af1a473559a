//! Recall and false hits on labelled texts of others.
//!
//! A file has one JSON object a line: `text`, `secrets` (the parts of it that must not survive;
//! none in a harmless text) and optionally `why`, a name to print.

use std::collections::BTreeMap;

use airlock_redaction::Redactor;
use serde::Deserialize;

use crate::corpus::survives;

#[derive(Deserialize)]
struct Labelled {
    text: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    why: String,
    /// Labels are of some secrets only: what else is replaced is not counted as false.
    #[serde(default)]
    partial: bool,
}

#[derive(Default)]
struct Score {
    texts: usize,
    bytes: usize,
    secrets: usize,
    missed: Vec<(String, String, String)>,
    markers: usize,
    wrong: Vec<(String, String)>,
}

/// Scores one file; `verbose` prints each miss and each false hit.
pub(crate) fn score(path: &str, verbose: bool) {
    let Ok(file) = std::fs::read_to_string(path) else { return println!("{path}: unreadable") };
    let redactor = Redactor::builtin();
    let mut score = Score::default();
    for line in file.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(labelled) => score.add(&redactor, &labelled),
            Err(error) => return println!("{path}: {error}"),
        }
    }
    score.print(path, verbose);
}

impl Score {
    fn add(&mut self, redactor: &Redactor, labelled: &Labelled) {
        let Labelled { text, secrets, why, partial } = labelled;
        let (clean, report) = redactor.redact_report(text);
        self.texts += 1;
        self.bytes += text.len();
        self.secrets += secrets.len();
        for secret in secrets.iter().filter(|secret| survives(&clean, secret)) {
            self.missed.push((why.clone(), secret.clone(), clean.to_string()));
        }
        let places: Vec<_> = secrets
            .iter()
            .flat_map(|s| text.match_indices(s.as_str()).map(|(at, s)| (at, at + s.len())))
            .collect();
        for found in &report.found {
            self.markers += 1;
            let [start, end] = [found.start, found.end].map(|at| usize::try_from(at).unwrap_or(0));
            if !partial && !places.iter().any(|&(from, to)| start < to && from < end) {
                let part = text.get(start..end).unwrap_or("(not text)");
                self.wrong.push((why.clone(), format!("{} {part}", found.kind)));
            }
        }
    }

    fn print(&self, path: &str, verbose: bool) {
        if verbose {
            for (why, secret, clean) in &self.missed {
                println!("missed  {why}: {secret:?} in {clean:?}");
            }
            for (why, part) in &self.wrong {
                println!("wrong   {why}: {part:?}");
            }
            let mut texts = BTreeMap::<&str, usize>::new();
            for (why, ..) in &self.missed {
                *texts.entry(why).or_default() += 1;
            }
            println!("missed in {} kinds of text", texts.len());
        }
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let found = self.secrets - self.missed.len();
        let megabytes = self.bytes as f64 / 1e6;
        let name = path.rsplit('/').next().unwrap_or(path);
        println!(
            "{name}: {} texts, {:.2} MB, {} secrets, recall {:.4} ({} missed), precision {:.4} \
             ({} of {} markers wrong)",
            self.texts,
            megabytes,
            self.secrets,
            share(found, self.secrets),
            self.missed.len(),
            share(self.markers - self.wrong.len(), self.markers),
            self.wrong.len(),
            self.markers,
        );
    }
}
