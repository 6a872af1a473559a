//! What a sandbox uses, as its cgroup has it.

use jiff::Timestamp;
use serde::Serialize;

use super::sandboxes::Sandbox;

/// One reading; sizes in bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metric {
    timestamp: String,
    timestamp_unix: i64,
    cpu_count: u32,
    cpu_used_pct: f64,
    mem_used: u64,
    mem_total: u64,
    mem_cache: u64,
    disk_used: u64,
    disk_total: u64,
}

impl Metric {
    /// Whether it was taken then; either bound may be missing. The end is rounded up to the next
    /// five seconds, which is how often measurements are expected.
    pub(crate) fn is_between(&self, start: Option<i64>, end: Option<i64>) -> bool {
        start.is_none_or(|start| start <= self.timestamp_unix)
            && end.is_none_or(|end| self.timestamp_unix <= end.saturating_add(5))
    }
}

/// Reads a sandbox's use now. The processor's is the mean since the sandbox started.
pub(crate) fn read(sandbox: &Sandbox) -> Metric {
    let now = Timestamp::now();
    let (mem_used, mem_cache) = sandbox.group.memory().unwrap_or_default();
    let lived = now.duration_since(sandbox.started_at).as_secs_f64().max(0.001);
    let cpu = std::time::Duration::from_nanos(sandbox.group.cpu_ns().unwrap_or(0)).as_secs_f64();
    Metric {
        timestamp: now.to_string(),
        timestamp_unix: now.as_second(),
        cpu_count: sandbox.template.cpu_count,
        cpu_used_pct: (cpu / lived * 10_000.0).round() / 100.0,
        mem_used,
        mem_total: u64::from(sandbox.template.memory_mb) << 20,
        mem_cache,
        // Files live in memory; what they take is the cache of the sandbox's own group.
        disk_used: mem_cache,
        disk_total: u64::from(sandbox.template.disk_mb) << 20,
    }
}
