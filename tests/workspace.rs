//! The direction of dependencies: for each crate, which of ours it may name.
//!
//! ARCHITECTURE.md draws the same table; an arrow that nothing checks is a wish.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and ends")]

use std::collections::BTreeMap;
use std::process::Command;

/// For each crate, the workspace crates that it may name in `[dependencies]`.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "airlock",
        &[
            "airlock-activities",
            "airlock-approval",
            "airlock-audit",
            "airlock-budget",
            "airlock-contract",
            "airlock-e2b",
            "airlock-engine",
            "airlock-http",
            "airlock-policy",
            "airlock-redaction",
            "airlock-runs",
            "airlock-sandbox-host",
            "airlock-store",
            "airlock-workflows",
        ],
    ),
    ("airlock-activities", &["airlock-engine", "airlock-contract", "airlock-workflows"]),
    ("airlock-http", &["airlock-engine", "airlock-contract"]),
    (
        "airlock-engine",
        &[
            "airlock-approval",
            "airlock-audit",
            "airlock-budget",
            "airlock-contract",
            "airlock-e2b",
            "airlock-policy",
            "airlock-redaction",
            "airlock-runs",
        ],
    ),
    ("airlock-workflows", &["airlock-contract", "airlock-redaction"]),
    ("airlock-e2b", &["airlock-proto"]),
    ("airlock-sandbox-host", &[]),
    ("airlock-budget", &["airlock-contract", "airlock-store"]),
    ("airlock-runs", &["airlock-contract", "airlock-store"]),
    ("airlock-approval", &["airlock-contract", "airlock-store"]),
    ("airlock-audit", &["airlock-contract", "airlock-store"]),
    ("airlock-store", &[]),
    ("airlock-policy", &[]),
    ("airlock-redaction", &[]),
    ("airlock-proto", &[]),
    ("airlock-contract", &[]),
    // Tests only: nothing that ships depends on them.
    ("airlock-testing", &[]),
    ("airlock-e2e", &["airlock-workflows"]),
    (
        "airlock-chaos",
        &[
            "airlock-activities",
            "airlock-budget",
            "airlock-contract",
            "airlock-e2b",
            "airlock-engine",
            "airlock-runs",
            "airlock-testing",
        ],
    ),
];

/// Third-party crates that only some of ours may name: Temporal's and Redis's.
const GUARDED: &[(&str, &[&str])] = &[
    ("temporalio-sdk-core", &["airlock", "airlock-activities"]),
    ("temporalio-sdk", &["airlock", "airlock-activities"]),
    ("temporalio-client", &["airlock", "airlock-activities"]),
    ("temporalio-common", &["airlock", "airlock-activities", "airlock-workflows"]),
    ("temporalio-workflow", &["airlock-workflows"]),
    (
        "redis",
        &[
            "airlock",
            "airlock-approval",
            "airlock-audit",
            "airlock-budget",
            "airlock-runs",
            "airlock-store",
            "airlock-testing",
        ],
    ),
];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Each workspace crate with the names of its normal dependencies.
fn normal_dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let names = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    packages.iter().map(|p| (p["name"].as_str().expect("a name").to_owned(), names(p))).collect()
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let crates = normal_dependencies();
    let mut broken = Vec::new();
    for (name, dependencies) in &crates {
        let Some(may) = allowed.get(name.as_str()) else {
            broken.push(format!("{name} is not in ALLOWED"));
            continue;
        };
        let against = |d: &&String| crates.contains_key(*d) && !may.contains(&d.as_str());
        broken.extend(dependencies.iter().filter(against).map(|d| format!("{name} -> {d}")));
    }
    assert!(broken.is_empty(), "against the direction: {broken:#?}");
    for (name, _) in ALLOWED {
        assert!(crates.contains_key(*name), "{name} is in ALLOWED and not in the workspace");
    }
}

#[test]
fn only_the_named_crates_know_temporal_and_redis() {
    let mut broken = Vec::new();
    for (name, dependencies) in normal_dependencies() {
        for (guarded, may) in GUARDED {
            if dependencies.iter().any(|d| d == guarded) && !may.contains(&name.as_str()) {
                broken.push(format!("{name} -> {guarded}"));
            }
        }
    }
    assert!(broken.is_empty(), "guarded crates named by others: {broken:#?}");
}

/// Crates that may hold `unsafe` code: the one that makes namespaces.
const MAY_BE_UNSAFE: &[&str] = &["crates/sandbox-host"];

#[test]
fn every_other_crate_forbids_unsafe_code() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        for target in package["targets"].as_array().expect("targets") {
            let kinds = target["kind"].as_array().expect("kinds");
            if !kinds.iter().any(|kind| kind == "lib" || kind == "bin") {
                continue;
            }
            let path = std::path::Path::new(target["src_path"].as_str().expect("a path"));
            let inside = path.strip_prefix(root).expect("inside the workspace");
            if MAY_BE_UNSAFE.iter().any(|may| inside.starts_with(may)) {
                continue;
            }
            let source = std::fs::read_to_string(path).expect("the root file can be read");
            assert!(source.contains("#![forbid(unsafe_code)]"), "{}", inside.display());
        }
    }
}
