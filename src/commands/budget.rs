//! `airlock budget`: the ledger, straight from Redis.

use airlock_budget::{Ledger, NewBudget};
use airlock_contract::{
    AccountId, BudgetStatus, CreateBudgetInput, GetBudgetInput, Problems, SpendBudgetInput,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::{BudgetCommand, StoreArgs};
use crate::exit::Error;
use crate::output;
use crate::wiring::addresses;
use crate::wiring::redis::{Patience, connect};

/// Runs one of the budget commands.
pub(crate) async fn run(command: &BudgetCommand, json: bool) -> Result<(), Error> {
    match command {
        BudgetCommand::Create(args) => {
            let mut input = json!({"runId": args.run_id, "limit": args.limit});
            if let Some(seconds) = args.ttl_seconds {
                input["ttlSeconds"] = json!(seconds);
            }
            if let Some(parent) = &args.parent {
                input["parent"] = json!(parent);
            }
            let input = CreateBudgetInput::parse(&input).map_err(usage)?;
            let ledger = ledger(&args.store).await?;
            let new = NewBudget {
                ttl: input.ttl_seconds.map(std::time::Duration::from_secs),
                parent: input.parent,
                ..NewBudget::new(input.run_id, input.limit)
            };
            show(&ledger.create(&new).await.map_err(refused)?, json)
        }
        BudgetCommand::Get(args) => {
            let account = account(&args.run_id)?;
            show(&ledger(&args.store).await?.get(&account).await.map_err(refused)?, json)
        }
        BudgetCommand::Spend(args) => {
            let mut input = json!({"runId": args.run_id, "amount": args.amount});
            if let Some(key) = &args.idempotency_key {
                input["idempotencyKey"] = json!(key);
            }
            let input = SpendBudgetInput::parse(&input).map_err(usage)?;
            let key = input.idempotency_key.as_deref();
            let description = args.description.as_deref();
            let ledger = ledger(&args.store).await?;
            let spent = ledger.spend(&input.run_id, input.amount, key, description).await;
            show(&spent.map_err(refused)?, json)
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
    }
}

fn usage(problems: Problems) -> Error {
    airlock_contract::Failure::from(problems).into()
}

fn account(name: &str) -> Result<AccountId, Error> {
    Ok(GetBudgetInput::parse(&json!({"runId": name})).map_err(usage)?.run_id)
}

async fn ledger(store: &StoreArgs) -> Result<Ledger, Error> {
    let ready = addresses::ready(&store.from)?;
    let args = addresses::redis(&store.redis, ready.as_ref());
    let connection = connect(&args, Patience::Once, &CancellationToken::new()).await?;
    Ok(Ledger::new(connection, &args.redis_prefix))
}

fn refused(error: airlock_budget::Error) -> Error {
    airlock_engine::budget_failure(error).into()
}

fn show(status: &BudgetStatus, json: bool) -> Result<(), Error> {
    if json {
        return output::json(status);
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    let circuit = json!(status.circuit);
    let rows = [
        ("account", status.run_id.to_string()),
        ("limit", format!("{} USD", status.limit)),
        ("spent", format!("{} USD", status.spent)),
        ("reserved", format!("{} USD", status.reserved)),
        ("remaining", format!("{} USD", status.remaining)),
        ("circuit", circuit.as_str().unwrap_or_default().to_owned()),
        ("expires", status.expires_at.clone().unwrap_or_else(|| "never".to_owned())),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    output::line(table.trim_fmt())
}
