//! `airlock budget`: the ledger, straight from Redis.
//!
//! What it changes is in the audit log of the same Redis, as what a worker changes is.

use std::sync::Arc;

use airlock_audit::{Log, RedisOptions, Sink};
use airlock_budget::Ledger;
use airlock_contract::{
    BudgetHold, BudgetList, BudgetSettlement, BudgetStatus, CanSpend, LedgerEntry,
};
use airlock_engine::Desk;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{
    BudgetAccountArgs, BudgetArgs, BudgetCommand, BudgetCreateArgs, BudgetHoldArgs, BudgetVoidArgs,
    StoreArgs,
};
use crate::exit::{Error, Exit};
use crate::output::{self, printable};
use crate::wiring::redis;

/// Runs one of the budget commands.
pub(crate) async fn run(args: &BudgetArgs, json: bool) -> Result<(), Error> {
    let (desk, audit) = open(&args.store).await?;
    let done = serve(&desk, &args.command, json).await;
    if is_recorded(&args.command)
        && let Err(error) = audit.close().await
    {
        output::note(format_args!(
            "the audit log's chain has no end ({error}); it is whole so far"
        ));
    }
    done
}

/// Whether the command writes to the audit log.
const fn is_recorded(command: &BudgetCommand) -> bool {
    matches!(
        command,
        BudgetCommand::TopUp(_) | BudgetCommand::ResetCircuit(_) | BudgetCommand::Delete(_)
    )
}

async fn serve(desk: &Desk, command: &BudgetCommand, json: bool) -> Result<(), Error> {
    match command {
        BudgetCommand::Create(args) => show(&desk.create(&creation(args)).await?, json),
        BudgetCommand::Get(args) => show(&desk.get(&of(args, &[])).await?, json),
        BudgetCommand::CanSpend(args) => {
            let amount = [("amount", Some(json!(args.amount)))];
            answer(&desk.can_spend(&of(&args.account, &amount)).await?, json)
        }
        BudgetCommand::Spend(args) => {
            let fields = [
                ("amount", Some(json!(args.amount))),
                ("idempotencyKey", field(args.idempotency_key.as_ref())),
                ("description", field(args.description.as_ref())),
            ];
            show(&desk.spend(&of(&args.account, &fields), None).await?, json)
        }
        BudgetCommand::Reserve(args) => held(&desk.reserve(&holding(args)).await?, json),
        BudgetCommand::Extend(args) => held(&desk.extend(&holding(args)).await?, json),
        BudgetCommand::Settle(args) => {
            let fields = [
                ("amount", Some(json!(args.amount))),
                ("description", field(args.description.as_ref())),
            ];
            settled(&desk.settle(&of_hold(&args.hold, &fields)).await?, json)
        }
        BudgetCommand::Void(args) => show(&desk.void(&of_hold(args, &[])).await?, json),
        BudgetCommand::TopUp(args) => {
            let fields = [
                ("amount", Some(json!(args.amount))),
                ("idempotencyKey", field(args.idempotency_key.as_ref())),
            ];
            show(&desk.top_up(&of(&args.account, &fields), None).await?, json)
        }
        BudgetCommand::ResetCircuit(args) => show(&desk.reset_circuit(&of(args, &[])).await?, json),
        BudgetCommand::Delete(args) => {
            let deleted = desk.delete(&of(args, &[])).await?;
            if json {
                return output::json(&deleted);
            }
            output::line(format_args!("{} is deleted", deleted.run_id))
        }
        BudgetCommand::List(args) => {
            let fields =
                [("family", field(args.family.as_ref())), ("limit", Some(json!(args.limit)))];
            list(&desk.list(&input(&fields)).await?, json)
        }
        BudgetCommand::Ledger(args) => {
            let limit = [("limit", Some(json!(args.limit)))];
            let found = desk.history(&of(&args.account, &limit)).await?;
            if json {
                return found.entries.iter().try_for_each(output::json);
            }
            output::line(movements(&found.entries).trim_fmt())
        }
    }
}

/// A desk on the Redis that was named, and its audit log.
async fn open(store: &StoreArgs) -> Result<(Desk, Arc<Log>), Error> {
    let connection = redis::store(store).await?;
    let prefix = &store.redis.redis_prefix;
    let sink = Sink::redis(connection.clone(), prefix, RedisOptions::default());
    let audit = Arc::new(Log::new(vec![sink]));
    Ok((Desk::new(Ledger::new(connection, prefix), Arc::clone(&audit), "cli"), audit))
}

/// A field of an activity's input and its value, if it was given.
type Field<'f> = (&'f str, Option<Value>);

/// An activity's input of what was given on the command line, so that it is checked alike.
fn input(fields: &[Field<'_>]) -> Value {
    let given =
        fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    Value::Object(given.collect())
}

fn of(account: &BudgetAccountArgs, fields: &[Field<'_>]) -> Value {
    let mut all = input(fields);
    all["runId"] = json!(account.run_id);
    all
}

fn of_hold(hold: &BudgetVoidArgs, fields: &[Field<'_>]) -> Value {
    let mut all = of(&hold.account, fields);
    all["holdId"] = json!(hold.hold_id);
    all
}

fn holding(args: &BudgetHoldArgs) -> Value {
    let fields = [
        ("amount", Some(json!(args.amount))),
        ("leaseSeconds", field(args.lease_seconds.as_ref())),
    ];
    of_hold(&args.hold, &fields)
}

fn creation(args: &BudgetCreateArgs) -> Value {
    let fields = [
        ("limit", Some(json!(args.limit))),
        ("ttlSeconds", field(args.ttl_seconds.as_ref())),
        ("alertThresholds", field(args.alert_thresholds.as_ref())),
        ("parent", field(args.parent.as_ref())),
        ("period", field(args.period.as_ref())),
    ];
    of(&args.account, &fields)
}

/// An optional argument as a field.
fn field(value: Option<&impl Serialize>) -> Option<Value> {
    value.map(|value| json!(value))
}

fn answer(found: &CanSpend, json: bool) -> Result<(), Error> {
    if json {
        output::json(found)?;
    } else {
        let word = if found.can_spend { "yes" } else { "no" };
        output::line(format_args!("{word}; {} USD are left", found.remaining))?;
    }
    if found.can_spend { Ok(()) } else { Err(Error::silent(Exit::Refused)) }
}

fn held(hold: &BudgetHold, json: bool) -> Result<(), Error> {
    if json {
        return output::json(hold);
    }
    let id = printable(&hold.hold_id);
    match hold.settled {
        Some(actual) => output::line(format_args!("{id} was settled for {actual} USD before"))?,
        None => output::line(format_args!("{id} holds {} USD", hold.amount))?,
    }
    show(&hold.budget, json)
}

fn settled(settlement: &BudgetSettlement, json: bool) -> Result<(), Error> {
    if json {
        return output::json(settlement);
    }
    let id = printable(&settlement.hold_id);
    output::line(format_args!("{id} is settled for {} USD", settlement.booked))?;
    show(&settlement.budget, json)
}

fn list(found: &BudgetList, json: bool) -> Result<(), Error> {
    if json {
        found.budgets.iter().try_for_each(output::json)?;
    } else {
        output::line(accounts(&found.budgets).trim_fmt())?;
    }
    if found.more {
        output::note(format_args!("there are more; ask with --limit or --family"));
    }
    Ok(())
}

/// A table without lines; the columns named in `amounts` are aligned as numbers.
fn table(header: &[&str], amounts: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for at in amounts {
        if let Some(column) = table.column_mut(*at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn accounts(found: &[BudgetStatus]) -> Table {
    let header = ["ACCOUNT", "LIMIT USD", "SPENT", "RESERVED", "REMAINING", "CIRCUIT", "EXPIRES"];
    let mut table = table(&header, &[1, 2, 3, 4]);
    for status in found {
        table.add_row([
            status.run_id.to_string(),
            status.limit.to_string(),
            status.spent.to_string(),
            status.reserved.to_string(),
            status.remaining.to_string(),
            circuit(status),
            status.expires_at.clone().unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    table
}

fn movements(entries: &[LedgerEntry]) -> Table {
    let mut table = table(&["AT", "WHAT", "AMOUNT USD", "VIA", "ID", "WHAT FOR"], &[2]);
    for entry in entries {
        table.add_row([
            entry.at.clone(),
            entry.kind.as_str().to_owned(),
            entry.amount.to_string(),
            entry.via.to_string(),
            printable(&entry.id),
            printable(&entry.description),
        ]);
    }
    table
}

fn circuit(status: &BudgetStatus) -> String {
    json!(status.circuit).as_str().unwrap_or_default().to_owned()
}

fn period(status: &BudgetStatus) -> String {
    match (status.period, &status.period_ends_at) {
        (Some(period), Some(ends)) => format!("{}, until {ends}", period.as_str()),
        _ => "none".to_owned(),
    }
}

fn show(status: &BudgetStatus, json: bool) -> Result<(), Error> {
    if json {
        return output::json(status);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let rows = [
        ("account", status.run_id.to_string()),
        ("limit", format!("{} USD", status.limit)),
        ("spent", format!("{} USD", status.spent)),
        ("reserved", format!("{} USD", status.reserved)),
        ("remaining", format!("{} USD", status.remaining)),
        ("circuit", circuit(status)),
        ("period", period(status)),
        ("expires", status.expires_at.clone().unwrap_or_else(|| "never".to_owned())),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    output::line(table.trim_fmt())
}
