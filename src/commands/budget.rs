//! `airlock budget`: the ledger, straight from Redis.

use std::time::Duration;

use airlock_budget::{Ledger, NewBudget};
use airlock_contract::{
    AccountId, BudgetLedgerInput, BudgetStatus, CreateBudgetInput, GetBudgetInput, LedgerEntry,
    ListBudgetsInput, Problems, SpendBudgetInput, TopUpBudgetInput,
};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{
    BudgetCommand, BudgetCreateArgs, BudgetLedgerArgs, BudgetListArgs, BudgetSpendArgs,
    BudgetTopUpArgs, StoreArgs,
};
use crate::exit::Error;
use crate::output::{self, printable};
use crate::wiring::redis;

/// Runs one of the budget commands.
pub(crate) async fn run(command: &BudgetCommand, json: bool) -> Result<(), Error> {
    match command {
        BudgetCommand::Create(args) => show(&create(args).await?, json),
        BudgetCommand::Get(args) => {
            let account = account(&args.run_id)?;
            show(&ledger(&args.store).await?.get(&account).await.map_err(refused)?, json)
        }
        BudgetCommand::Spend(args) => show(&spend(args).await?, json),
        BudgetCommand::TopUp(args) => show(&top_up(args).await?, json),
        BudgetCommand::ResetCircuit(args) => {
            let account = account(&args.run_id)?;
            let reset = ledger(&args.store).await?.reset_circuit(&account).await;
            show(&reset.map_err(refused)?, json)
        }
        BudgetCommand::Delete(args) => {
            let account = account(&args.run_id)?;
            ledger(&args.store).await?.delete(&account).await.map_err(refused)?;
            if json {
                output::json(&json!({"runId": account, "deleted": true}))
            } else {
                output::line(format_args!("{account} is deleted"))
            }
        }
        BudgetCommand::List(args) => list(args, json).await,
        BudgetCommand::Ledger(args) => history(args, json).await,
    }
}

/// An activity's input of what was given on the command line, so that it is checked alike.
fn input(fields: &[(&str, Option<Value>)]) -> Value {
    let given =
        fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    Value::Object(given.collect())
}

/// An optional argument as a field.
fn field(value: Option<&impl Serialize>) -> Option<Value> {
    value.map(|value| json!(value))
}

async fn create(args: &BudgetCreateArgs) -> Result<BudgetStatus, Error> {
    let input = input(&[
        ("runId", Some(json!(args.run_id))),
        ("limit", Some(json!(args.limit))),
        ("ttlSeconds", field(args.ttl_seconds.as_ref())),
        ("alertThresholds", field(args.alert_thresholds.as_ref())),
        ("parent", field(args.parent.as_ref())),
        ("period", field(args.period.as_ref())),
    ]);
    let input = CreateBudgetInput::parse(&input).map_err(usage)?;
    let plain = NewBudget::new(input.run_id, input.limit);
    let new = NewBudget {
        ttl: input.ttl_seconds.map(Duration::from_secs),
        alert_thresholds: input.alert_thresholds.unwrap_or(plain.alert_thresholds),
        parent: input.parent,
        period: input.period,
        ..plain
    };
    ledger(&args.store).await?.create(&new).await.map_err(refused)
}

async fn spend(args: &BudgetSpendArgs) -> Result<BudgetStatus, Error> {
    let input = input(&[
        ("runId", Some(json!(args.run_id))),
        ("amount", Some(json!(args.amount))),
        ("idempotencyKey", field(args.idempotency_key.as_ref())),
        ("description", field(args.description.as_ref())),
    ]);
    let SpendBudgetInput { run_id, amount, idempotency_key, description } =
        SpendBudgetInput::parse(&input).map_err(usage)?;
    let ledger = ledger(&args.store).await?;
    let (key, what) = (idempotency_key.as_deref(), description.as_deref());
    ledger.spend(&run_id, amount, key, what).await.map_err(refused)
}

async fn top_up(args: &BudgetTopUpArgs) -> Result<BudgetStatus, Error> {
    let input = input(&[
        ("runId", Some(json!(args.run_id))),
        ("amount", Some(json!(args.amount))),
        ("idempotencyKey", field(args.idempotency_key.as_ref())),
    ]);
    let input = TopUpBudgetInput::parse(&input).map_err(usage)?;
    let ledger = ledger(&args.store).await?;
    let key = input.idempotency_key.as_deref();
    ledger.top_up(&input.run_id, input.amount, key).await.map_err(refused)
}

async fn list(args: &BudgetListArgs, json: bool) -> Result<(), Error> {
    let input =
        input(&[("family", field(args.family.as_ref())), ("limit", Some(json!(args.limit)))]);
    let input = ListBudgetsInput::parse(&input).map_err(usage)?;
    let family = input.family.as_ref().map(AccountId::as_str);
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let ledger = ledger(&args.store).await?;
    let mut found = ledger.list(family, most.saturating_add(1)).await.map_err(refused)?;
    let more = found.len() > most;
    found.truncate(most);
    if json {
        found.iter().try_for_each(output::json)?;
    } else {
        output::line(accounts(&found).trim_fmt())?;
    }
    if more {
        output::note(format_args!("there are more; ask with --limit or --family"));
    }
    Ok(())
}

async fn history(args: &BudgetLedgerArgs, json: bool) -> Result<(), Error> {
    let input = input(&[("runId", Some(json!(args.run_id))), ("limit", Some(json!(args.limit)))]);
    let input = BudgetLedgerInput::parse(&input).map_err(usage)?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let ledger = ledger(&args.store).await?;
    let entries = ledger.history(&input.run_id, most).await.map_err(refused)?;
    if json {
        return entries.iter().try_for_each(output::json);
    }
    output::line(movements(&entries).trim_fmt())
}

fn usage(problems: Problems) -> Error {
    airlock_contract::Failure::from(problems).into()
}

fn account(name: &str) -> Result<AccountId, Error> {
    Ok(GetBudgetInput::parse(&json!({"runId": name})).map_err(usage)?.run_id)
}

async fn ledger(store: &StoreArgs) -> Result<Ledger, Error> {
    Ok(Ledger::new(redis::store(store).await?, &store.redis.redis_prefix))
}

fn refused(error: airlock_budget::Error) -> Error {
    airlock_engine::budget_failure(error).into()
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
