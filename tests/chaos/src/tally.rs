//! The table of many runs.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::judge::{Findings, Report};

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Tally {
    reports: Vec<Report>,
}

/// One line of the table.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Runs.
    pub runs: usize,
    /// How they ended.
    pub outcomes: BTreeMap<String, usize>,
    /// Runs after which a lease's end and the reaper tidied up.
    pub by_lease: usize,
    /// From the fault to the end of the activity, in milliseconds: half of the runs took no longer.
    pub after_fault_p50_ms: u64,
    /// Nine of ten took no longer.
    pub after_fault_p90_ms: u64,
    /// Sums.
    pub findings: Findings,
}

impl Row {
    fn of<'r>(reports: impl Iterator<Item = &'r Report>) -> Self {
        let mut row = Self::default();
        let mut times = Vec::new();
        for report in reports {
            row.runs += 1;
            *row.outcomes.entry(report.outcome.clone()).or_default() += 1;
            row.by_lease += usize::from(report.by_lease);
            row.findings.add(&report.findings);
            times.push(report.after_fault_ms);
        }
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        row.after_fault_p50_ms = at(50);
        row.after_fault_p90_ms = at(90);
        row
    }

    fn cells(&self, name: &str) -> Vec<String> {
        let f = &self.findings;
        let outcomes: Vec<String> =
            self.outcomes.iter().map(|(name, count)| format!("{count} {name}")).collect();
        vec![
            name.to_owned(),
            self.runs.to_string(),
            outcomes.join(", "),
            f.second_starts.to_string(),
            f.lost_bytes.to_string(),
            f.doubled_bytes.to_string(),
            f.double_charges.to_string(),
            f.phantom_holds.to_string(),
            f.orphans.to_string(),
            f.live_killed.to_string(),
            f.unended.to_string(),
            f.wrong_answers.to_string(),
            self.by_lease.to_string(),
            format!(
                "{:.1}",
                f64::from(u32::try_from(self.after_fault_p50_ms).unwrap_or(u32::MAX)) / 1000.0
            ),
            format!(
                "{:.1}",
                f64::from(u32::try_from(self.after_fault_p90_ms).unwrap_or(u32::MAX)) / 1000.0
            ),
        ]
    }
}

/// Over the columns of [`Row::cells`].
const HEADER: [&str; 15] = [
    "",
    "runs",
    "answers",
    "starts > 1",
    "bytes lost",
    "bytes doubled",
    "double charges",
    "phantom holds",
    "sandboxes left",
    "live ones killed",
    "never ended",
    "wrong answers",
    "tidied by lease",
    "s after fault, p50",
    "p90",
];

impl Tally {
    /// Takes one more.
    pub fn add(&mut self, report: Report) {
        self.reports.push(report);
    }

    /// How many there are.
    pub fn runs(&self) -> usize {
        self.reports.len()
    }

    /// Those that broke a promise.
    pub fn broken(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| !report.findings.is_clean())
    }

    /// All of them.
    pub fn total(&self) -> Row {
        Row::of(self.reports.iter())
    }

    /// By one of their words.
    fn by(&self, word: impl Fn(&Report) -> String) -> BTreeMap<String, Row> {
        let mut groups: BTreeMap<String, Vec<&Report>> = BTreeMap::new();
        for report in &self.reports {
            groups.entry(word(report)).or_default().push(report);
        }
        groups.into_iter().map(|(name, of)| (name, Row::of(of.into_iter()))).collect()
    }

    /// By fault.
    pub fn by_fault(&self) -> BTreeMap<String, Row> {
        self.by(|report| report.fault.clone())
    }

    /// By point.
    pub fn by_point(&self) -> BTreeMap<String, Row> {
        self.by(|report| report.point.to_owned())
    }

    /// Every run and every sum, as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "total": self.total(),
            "byFault": self.by_fault(),
            "byPoint": self.by_point(),
            "runs": self.reports,
        })
    }

    /// The tables: by fault, by point, and all.
    pub fn table(&self, markdown: bool) -> String {
        let preset = if markdown { presets::ASCII_MARKDOWN } else { presets::UTF8_HORIZONTAL_ONLY };
        let draw = |title: &str, rows: BTreeMap<String, Row>| {
            let mut table = Table::new();
            table.load_preset(preset);
            let mut header = HEADER;
            header[0] = title;
            table.set_header(header);
            for (name, row) in rows {
                table.add_row(row.cells(&name));
            }
            table.add_row(self.total().cells("all"));
            for column in table.column_iter_mut().skip(3) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            table.to_string()
        };
        let faults = draw("fault", self.by_fault());
        let points = draw("point", self.by_point());
        format!("{faults}\n\n{points}\n")
    }
}
