//! What a sandbox uses, as far as it sees itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Daemon;

/// One reading; sizes in bytes unless the name says MiB.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    ts: i64,
    cpu_count: u32,
    cpu_used_pct: f32,
    mem_total: u64,
    mem_used: u64,
    mem_cache: u64,
    mem_total_mib: u64,
    mem_used_mib: u64,
    disk_used: u64,
    disk_total: u64,
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(daemon): State<Arc<Daemon>>) -> Json<Reading> {
    let (used, disk) = daemon.workers.run(|| (memory_used(), disk())).await.unwrap_or_default();
    Json(Reading {
        ts: jiff::Timestamp::now().as_second(),
        cpu_count: daemon.cpu_count,
        // Measured by the host, which sees the sandbox's cgroup.
        cpu_used_pct: 0.0,
        mem_total: daemon.memory_bytes,
        mem_used: used,
        mem_cache: 0,
        mem_total_mib: daemon.memory_bytes >> 20,
        mem_used_mib: used >> 20,
        disk_used: disk.0,
        disk_total: disk.1,
    })
}

/// `GET /envs`: the environment that every command gets.
pub(crate) async fn envs(State(daemon): State<Arc<Daemon>>) -> Json<BTreeMap<String, String>> {
    Json(daemon.envs.clone())
}

/// Resident memory of all processes of the sandbox.
fn memory_used() -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pages = entries.flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        let text = std::fs::read_to_string(entry.path().join("statm")).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok()
    });
    pages.sum::<u64>() * 4096
}

/// Bytes used and bytes there are on the sandbox's own file system.
fn disk() -> (u64, u64) {
    let Ok(stat) = nix::sys::statvfs::statvfs("/") else { return (0, 0) };
    let size = stat.fragment_size();
    ((stat.blocks() - stat.blocks_free()) * size, stat.blocks() * size)
}
