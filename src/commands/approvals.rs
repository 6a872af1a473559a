//! `airlock approvals`: what waits for a person, straight from Redis.

use std::sync::Arc;

use airlock_approval::Approvals;
use airlock_audit::{Log, RedisOptions, Sink};
use airlock_contract::ApprovalStatus;
use airlock_engine::ApprovalDesk;
use airlock_redaction::Redactor;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::cli::{ApprovalAnswerArgs, ApprovalsCommand, StoreArgs};
use crate::exit::Error;
use crate::output::{self, printable};
use crate::wiring::redis;

/// Runs one of the approval commands.
pub(crate) async fn run(command: &ApprovalsCommand, json: bool) -> Result<(), Error> {
    match command {
        ApprovalsCommand::List(args) => {
            let (desk, _) = desk(&args.store).await?;
            let found = desk.list(&json!({ "limit": args.limit })).await?;
            if json { output::json(&found.approvals) } else { list(&found.approvals) }
        }
        ApprovalsCommand::Show(args) => {
            show(&desk(&args.store).await?.0.get(&args.id).await?, json)
        }
        ApprovalsCommand::Approve(args) => show(&answer(args, "approve").await?, json),
        ApprovalsCommand::Reject(args) => show(&answer(args, "reject").await?, json),
    }
}

async fn answer(args: &ApprovalAnswerArgs, answer: &str) -> Result<ApprovalStatus, Error> {
    let (desk, audit) = desk(&args.approval.store).await?;
    let mut input = json!({ "approvalId": args.approval.id, "answer": answer, "by": args.by });
    if let Some(reason) = &args.reason {
        input["reason"] = reason.as_str().into();
    }
    let answered = desk.resolve(&input).await?;
    // The chain of this process is whole; without the last record it only cannot be proven.
    drop(audit.close().await);
    Ok(answered)
}

async fn desk(store: &StoreArgs) -> Result<(ApprovalDesk, Arc<Log>), Error> {
    let connection = redis::store(store).await?;
    let prefix = &store.redis.redis_prefix;
    let sink = Sink::redis(connection.clone(), prefix, RedisOptions::default());
    let audit = Arc::new(Log::new(vec![sink]));
    let approvals = Approvals::new(connection, prefix, airlock_approval::Options::default());
    Ok((ApprovalDesk::new(approvals, Arc::clone(&audit), Redactor::builtin()), audit))
}

fn list(found: &[ApprovalStatus]) -> Result<(), Error> {
    if found.is_empty() {
        return output::line("nothing waits for an answer");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["ID", "ACCOUNT", "EXPIRES", "WHAT", "WHY"]);
    for approval in found {
        let what = approval.preview.lines().next().unwrap_or_default();
        table.add_row([
            approval.id.clone(),
            approval.run_id.to_string(),
            approval.expires_at.clone(),
            printable(what),
            printable(&approval.reason),
        ]);
    }
    output::line(table.trim_fmt())
}

fn show(approval: &ApprovalStatus, json: bool) -> Result<(), Error> {
    if json {
        return output::json(approval);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let answered = approval.answered_by.as_ref().map(|by| {
        let at = approval.answered_at.as_deref().unwrap_or_default();
        format!("{} {at}", printable(by)).trim_end().to_owned()
    });
    let rows = [
        ("approval", Some(approval.id.clone())),
        ("state", Some(approval.state.as_str().to_owned())),
        ("account", Some(approval.run_id.to_string())),
        ("action", Some(approval.action_type.clone())),
        ("why", Some(printable(&approval.reason))),
        ("asked", Some(approval.created_at.clone())),
        ("expires", Some(approval.expires_at.clone())),
        ("answered", answered),
        ("said", approval.answer_reason.as_deref().map(printable)),
        ("used by", approval.used_by.clone()),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            table.add_row([name.to_owned(), value]);
        }
    }
    output::line(table.trim_fmt())?;
    let lines: Vec<String> = approval.preview.lines().map(printable).collect();
    output::line(format_args!("\n{}", lines.join("\n")))
}
