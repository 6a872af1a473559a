//! Client libraries: stores that are emptied and cloud resources that are removed by a method.

use super::interp::Interp;
use super::value::{Args, Value};
use crate::effect::EffectKind;
use crate::eval::{Arg, Flow};

/// Methods that empty or drop what they are called on, with the class of the statement; names
/// without case and underscores.
const STORE_METHODS: &[(&str, &str)] = &[
    ("flushall", "flush"),
    ("flushdb", "flush"),
    ("dropdatabase", "drop"),
    ("dropcollection", "drop"),
    ("dropall", "drop"),
    ("droptable", "drop"),
    ("droptableifexists", "drop"),
    ("dropschema", "drop"),
    ("deletemany", "unbounded"),
    ("removemany", "unbounded"),
    ("deleteindex", "drop"),
];

/// Records what a method of a client library does, if it is one.
pub(super) fn call(interp: &mut Interp<'_, '_>, full: &str, on: Option<&Value>, args: &Args) {
    let method = full.rsplit('.').next().unwrap_or(full);
    let plain: String =
        method.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
    if let Some((_, class)) = STORE_METHODS.iter().find(|(name, _)| *name == plain) {
        // A filter bounds it; an empty one, or none, does not.
        let bounded = *class == "unbounded" && is_filter(args);
        if !bounded {
            interp.eval.push(EffectKind::DbStatement, class, method);
        }
        return;
    }
    if let Some(service) = cloud_service(full, on) {
        run(interp, &["aws", &service, &kebab(method)]);
    } else if let Some(command) = method.strip_suffix("Command")
        && interp.program.imports.values().any(|module| module.contains("aws-sdk"))
    {
        run(interp, &["aws", "sdk", &kebab(command)]);
    }
}

fn is_filter(args: &Args) -> bool {
    let given = args.plain.iter().any(|value| !value.texts.is_empty() || !value.of.is_empty());
    given || !args.named.is_empty()
}

/// `boto3.client("s3")`, `boto3.resource("ec2").instances.all()`.
fn cloud_service(full: &str, on: Option<&Value>) -> Option<String> {
    let client = full.contains("boto3.client.")
        || full.contains("boto3.resource.")
        || full.contains("session.client.")
        || full.contains("session.resource.");
    let service = on.filter(|on| on.texts.len() == 1).map(|on| on.first().to_owned());
    let known = |s: &String| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric());
    client.then(|| service.filter(known).unwrap_or_else(|| "sdk".to_owned()))
}

/// `delete_bucket` and `DeleteBucket` as `delete-bucket`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '_' => out.push('-'),
            c if c.is_ascii_uppercase() => {
                if !out.is_empty() {
                    out.push('-');
                }
                out.push(c.to_ascii_lowercase());
            }
            c => out.push(c),
        }
    }
    out
}

fn run(interp: &mut Interp<'_, '_>, words: &[&str]) {
    let line: Vec<Arg> = words.iter().map(|word| Arg::new(*word, (0, 0))).collect();
    interp.eval.run(interp.shell, &line, &Flow::empty());
}
