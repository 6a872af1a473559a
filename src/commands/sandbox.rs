//! `airlock sandbox`: serve sandboxes on this machine, list and kill them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use airlock_e2b::{Client, ListQuery};
use airlock_sandbox_host::{Config, Host, TemplateSource};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::cli::{SandboxClientArgs, SandboxCommand, SandboxHostArgs};
use crate::drain::Signals;
use crate::exit::{Error, Exit};
use crate::output;
use crate::wiring::addresses;

/// Runs one of the sandbox commands.
pub(crate) async fn run(command: &SandboxCommand, json: bool) -> Result<(), Error> {
    match command {
        SandboxCommand::Host(args) => host(args, json).await,
        SandboxCommand::List(args) => list(args, json).await,
        SandboxCommand::Kill(args) => {
            let killed = client(&args.client)?.kill(&args.id).await.map_err(Error::failed)?;
            if !killed {
                return Err(Error::failed(format_args!("there is no sandbox {}", args.id)));
            }
            output::line(format_args!("{} is killed", args.id))
        }
    }
}

/// A key of the shape that older clients check: `e2b_` and 40 hex digits.
pub(crate) fn new_key() -> SecretString {
    let mut bytes = [0_u8; 20];
    rand::rng().fill_bytes(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SecretString::from(format!("e2b_{hex}"))
}

/// `NAME=DIR` arguments.
fn templates(arguments: &[String]) -> Result<BTreeMap<String, TemplateSource>, Error> {
    let mut templates = BTreeMap::new();
    for argument in arguments {
        let wrong =
            |why: &str| Error::new(Exit::Usage, format_args!("--template {argument:?}: {why}"));
        let (name, folder) = argument.split_once('=').ok_or_else(|| wrong("is not NAME=DIR"))?;
        let folder = PathBuf::from(folder);
        if !folder.is_dir() {
            return Err(wrong("DIR is not a directory"));
        }
        templates.insert(name.to_owned(), TemplateSource::directory(folder));
    }
    Ok(templates)
}

async fn host(args: &SandboxHostArgs, json: bool) -> Result<(), Error> {
    let api_key = args.api_key.clone().unwrap_or_else(new_key);
    let data_dir = args.data_dir.clone().unwrap_or_else(|| std::env::temp_dir().join("airlock"));
    let mut signals = Signals::listen()?;
    let mut config = Config::new(args.listen, api_key.clone(), data_dir);
    config.templates.extend(templates(&args.templates)?);
    config.default_internet = args.internet;
    config.allow_internet = args.internet;
    let host = Host::start(config).await.map_err(Error::failed)?;
    for warning in host.warnings() {
        output::note(format_args!("weaker: {warning}"));
    }
    let url = format!("http://{}", host.local_addr());
    // A key that the caller gave is not repeated.
    let made = args.api_key.is_none().then(|| api_key.expose_secret().to_owned());
    if json {
        output::json(&json!({"apiUrl": url, "sandboxUrl": url, "apiKey": made}))?;
    } else {
        output::line(format_args!("export E2B_API_URL={url}\nexport E2B_SANDBOX_URL={url}"))?;
        if let Some(key) = made {
            output::line(format_args!("export E2B_API_KEY={key}"))?;
        }
    }
    signals.next().await;
    host.shutdown().await;
    Ok(())
}

fn client(args: &SandboxClientArgs) -> Result<Client, Error> {
    let ready = addresses::ready(&args.from)?;
    Client::new(addresses::e2b(&args.e2b, ready.as_ref())?).map_err(Error::failed)
}

async fn list(args: &SandboxClientArgs, json: bool) -> Result<(), Error> {
    let found = client(args)?.list(&ListQuery::default()).await.map_err(Error::failed)?;
    if json {
        let documents: Vec<_> = found
            .iter()
            .map(|s| {
                json!({"sandboxId": s.id, "template": s.template, "state": format!("{:?}", s.state).to_lowercase(),
                    "startedAt": s.started_at.to_string(), "endAt": s.end_at.to_string(),
                    "metadata": s.metadata})
            })
            .collect();
        return output::json(&documents);
    }
    if found.is_empty() {
        return output::line("no sandboxes");
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["sandbox", "template", "started", "ends", "account"]);
    for sandbox in found {
        let account = sandbox.metadata.get("runId").cloned().unwrap_or_default();
        let times = (sandbox.started_at.to_string(), sandbox.end_at.to_string());
        table.add_row([sandbox.id, sandbox.template, times.0, times.1, account]);
    }
    output::line(table)
}
