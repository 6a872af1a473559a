//! Programs of this workspace that tests of other packages start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The first process of each sandbox, `airlock-sandbox-init`.
///
/// `AIRLOCK_SANDBOX_INIT` names one that is built already, as `make test` does; without it, it is
/// built here, beside this test, so that a narrow test run never uses an old one.
///
/// # Panics
///
/// If it does not build.
pub fn sandbox_init() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| named().unwrap_or_else(build)).clone()
}

fn named() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("AIRLOCK_SANDBOX_INIT")?);
    assert!(path.is_file(), "AIRLOCK_SANDBOX_INIT: {} is no file; run `make test`", path.display());
    Some(path)
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let target = profile.parent().expect("target/<profile>");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "airlock-sandbox-host"])
        .args(["--bin", "airlock-sandbox-init", "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "airlock-sandbox-init does not build");
    profile.join("airlock-sandbox-init")
}
