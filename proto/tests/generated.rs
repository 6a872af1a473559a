//! The checked-in Rust types are exactly what the protocol files generate.
//!
//! After a change of a `.proto` file run this test once with `AIRLOCK_REGENERATE=1` and commit
//! what it wrote.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

fn generate(into: &Path) {
    let files = protox::Compiler::new(["envd"])
        .expect("the folder `envd` is there")
        .include_source_info(true)
        .include_imports(true)
        .open_files(["process.proto", "filesystem.proto"])
        .expect("the protocol files are valid")
        .file_descriptor_set();
    prost_build::Config::new()
        .out_dir(into)
        .bytes(["."])
        .btree_map(["."])
        .skip_debug(["process.ProcessConfig", "process.ProcessInput"])
        .compile_fds(files)
        .expect("prost generates from a valid descriptor set");
}

#[test]
fn checked_in_types_are_what_the_protocol_files_generate() {
    let fresh = tempfile::tempdir().expect("a temporary folder");
    generate(fresh.path());
    let regenerate = std::env::var_os("AIRLOCK_REGENERATE").is_some();
    for name in ["process.rs", "filesystem.rs"] {
        let made = std::fs::read(fresh.path().join(name)).expect("prost wrote the file");
        let kept = Path::new("src").join(name);
        if regenerate {
            std::fs::write(&kept, &made).expect("the source folder can be written");
        }
        let kept = std::fs::read(&kept).unwrap_or_default();
        assert!(kept == made, "{name} is stale: run this test with AIRLOCK_REGENERATE=1");
    }
}
