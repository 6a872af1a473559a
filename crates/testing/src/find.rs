//! Where the servers are.

use std::env;
use std::path::{Path, PathBuf};

/// Names of the binaries that `make tools` puts into `.dev/bin`.
const TOOLS: [&str; 2] = ["valkey-server", "redis-server-6.2"];

/// Every server to test against: the list in `AIRLOCK_TEST_REDIS` (colons between), else those in
/// `.dev/bin`, else those on `PATH`.
///
/// # Panics
///
/// If there is none, or if a listed one is not there: a store test never passes by not running.
pub fn redis_servers() -> Vec<PathBuf> {
    if let Some(list) = env::var_os("AIRLOCK_TEST_REDIS") {
        let listed: Vec<PathBuf> =
            env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect();
        for path in &listed {
            assert!(path.is_file(), "AIRLOCK_TEST_REDIS names {}, no file", path.display());
        }
        assert!(!listed.is_empty(), "AIRLOCK_TEST_REDIS is set and names no server");
        return listed;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools = present(&[workspace.join(".dev/bin")], &TOOLS);
    if !tools.is_empty() {
        return tools;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let found = present(&directories, &["valkey-server", "redis-server"]);
    assert!(!found.is_empty(), "no redis-server and no valkey-server found: run `make tools`");
    found
}

/// The first file of each name, and none twice under two names.
fn present(directories: &[PathBuf], names: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = names
        .iter()
        .filter_map(|name| directories.iter().map(|dir| dir.join(name)).find(|p| p.is_file()))
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    found.dedup();
    found
}
