//! `airlock audit`: the log, straight from Redis or from a file.

use airlock_audit::{Filter, Reader, Sealed, Span, Verification, Verifier};
use airlock_contract::{ReadAuditInput, Receipt};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::cli::{AuditCommand, AuditSourceArgs, AuditTailArgs, AuditVerifyArgs};
use crate::exit::{Error, Exit};
use crate::output::{self, printable};
use crate::wiring::redis;

/// Runs one of the audit commands.
pub(crate) async fn run(command: &AuditCommand, json: bool) -> Result<(), Error> {
    match command {
        AuditCommand::Tail(args) => tail(args, json).await,
        AuditCommand::Verify(args) => verify(args, json).await,
        AuditCommand::Export(args) => export(args).await,
    }
}

async fn tail(args: &AuditTailArgs, json: bool) -> Result<(), Error> {
    let mut input = json!({ "limit": args.limit });
    let given =
        [("runId", &args.run_id), ("executionId", &args.execution_id), ("kind", &args.kind)];
    for (name, value) in given {
        if let Some(value) = value {
            input[name] = value.as_str().into();
        }
    }
    let input = ReadAuditInput::parse(&input).map_err(airlock_contract::Failure::from)?;
    let filter =
        Filter { run_id: input.run_id, execution_id: input.execution_id, kind: input.kind };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let found = reader(&args.source).await?.tail(limit, &filter).await.map_err(Error::failed)?;
    if json {
        return found.iter().try_for_each(|sealed| output::line(&sealed.line));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["AT", "WHAT", "ACCOUNT", "EXECUTION", "FACTS"]);
    for Sealed { record, .. } in &found {
        table.add_row([
            record.at.clone(),
            printable(&record.kind),
            record.run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.execution_id.as_ref().map(|id| id.short().to_owned()).unwrap_or_default(),
            printable(&json!(record.data).to_string()),
        ]);
    }
    output::line(table.trim_fmt())
}

async fn verify(args: &AuditVerifyArgs, json: bool) -> Result<(), Error> {
    let receipts = args.receipt.iter().map(|text| receipt(text)).collect::<Result<Vec<_>, _>>()?;
    // A stream loses its oldest records in time; a file does not.
    let span = if args.source.file.is_some() { Span::FromStart } else { Span::AnyStart };
    let verifier = Verifier::new(span).expecting(receipts);
    let found = reader(&args.source).await?.verify(Some(verifier)).await.map_err(Error::failed)?;
    if json {
        output::json(&report(&found))?;
    } else {
        say(&found)?;
    }
    if found.is_intact() { Ok(()) } else { Err(Error::silent(Exit::Failed)) }
}

fn report(found: &Verification) -> serde_json::Value {
    let chains: Vec<_> = found
        .chains
        .iter()
        .map(|chain| {
            json!({
                "writer": chain.writer, "first": chain.first, "last": chain.last,
                "lastHash": chain.last_hash, "records": chain.records, "closed": chain.closed,
            })
        })
        .collect();
    let faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    json!({
        "intact": found.is_intact(), "chains": chains, "faults": faults,
        "faultCount": found.fault_count,
    })
}

fn say(found: &Verification) -> Result<(), Error> {
    for fault in &found.faults {
        output::line(fault)?;
    }
    let unsaid = found.fault_count.saturating_sub(found.faults.len() as u64);
    if unsaid > 0 {
        output::line(format_args!("and {unsaid} more"))?;
    }
    let records: u64 = found.chains.iter().map(|chain| chain.records).sum();
    let open = found.chains.iter().filter(|chain| !chain.closed).count();
    let verdict = if found.is_intact() { "intact" } else { "NOT INTACT" };
    output::line(format_args!(
        "{verdict}: {records} records in {} chains, {open} of them open at the end",
        found.chains.len()
    ))
}

async fn export(args: &AuditSourceArgs) -> Result<(), Error> {
    let mut written = Ok(());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut write = |line: &[u8]| {
        if written.is_ok() {
            written = std::io::Write::write_all(&mut out, line)
                .and_then(|()| std::io::Write::write_all(&mut out, b"\n"));
        }
    };
    reader(args).await?.for_each_line(&mut write).await.map_err(Error::failed)?;
    written?;
    std::io::Write::flush(&mut out)?;
    Ok(())
}

async fn reader(args: &AuditSourceArgs) -> Result<Reader, Error> {
    if let Some(path) = &args.file {
        return Ok(Reader::file(path));
    }
    let connection = redis::store(&args.store).await?;
    Ok(Reader::redis(connection, &args.store.redis.redis_prefix))
}

/// `WRITER:SEQUENCE:HASH`.
fn receipt(text: &str) -> Result<Receipt, Error> {
    let read = || {
        let (rest, hash) = text.rsplit_once(':')?;
        let (writer, sequence) = rest.rsplit_once(':')?;
        let sequence = sequence.parse().ok()?;
        Some(Receipt { writer: writer.to_owned(), sequence, hash: hash.to_owned() })
    };
    read().ok_or_else(|| {
        Error::new(Exit::Usage, format_args!("--receipt {text:?} is not WRITER:SEQUENCE:HASH"))
    })
}
