//! Writes `../src/generated` from `../proto`, without protoc: `cargo run` in this directory, then
//! `cargo fmt` in the workspace.

use std::error::Error;
use std::path::Path;

use connectrpc_build::CodeGenConfig;
use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = here.join("../proto");
    let out = here.join("../src/generated");
    let files = ["process.proto", "filesystem.proto"];
    let set = protox::compile(files, [&proto])?;
    let scratch = here.join("target/descriptors.bin");
    std::fs::create_dir_all(here.join("target"))?;
    std::fs::write(&scratch, set.encode_to_vec())?;
    std::fs::create_dir_all(&out)?;
    let mut messages = CodeGenConfig::default();
    messages.generate_json = true;
    messages.preserve_unknown_fields = false;
    messages.generate_with_setters = false;
    messages.emit_register_fn = false;
    messages.file_per_package = true;
    messages.unboxed_oneof_fields = vec![".".to_owned()];
    connectrpc_build::Config::new()
        .buffa_config(messages)
        .descriptor_set(&scratch)
        .files(&files)
        .out_dir(&out)
        .include_file("mod.rs")
        .gate_client_feature(true)
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}
