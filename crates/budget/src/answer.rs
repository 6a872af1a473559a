//! From a script's reply to an answer or a refusal, the same for every operation.

use airlock_contract::{BudgetStatus, Circuit, Usd};

use crate::error::Error;
use crate::reply::{
    Account, Alert, AlertNotice, AlertObserver, Reply, Reserved, Settled, account, nanos, odd,
};
use crate::request::HoldKey;

pub(crate) fn unknown(hold: &HoldKey) -> Error {
    Error::UnknownHold { account: hold.account.clone(), id: hold.id.clone() }
}

pub(crate) fn not_found(reply: &Reply) -> Error {
    match reply.details.first().and_then(|name| name.parse().ok()) {
        Some(account) => Error::NotFound { account },
        None => odd("a missing account's name is none").into(),
    }
}

pub(crate) fn detail(details: &[String], at: usize) -> Result<&str, Error> {
    Ok(details.get(at).ok_or_else(|| odd("a reply lacks a detail"))?)
}

pub(crate) fn amount_at(reply: &Reply, at: usize) -> Result<Usd, Error> {
    Ok(nanos(detail(&reply.details, at)?)?)
}

/// The details and accounts of a reply, or the refusal that every operation may meet.
pub(crate) fn granted(reply: Reply, needed: Usd) -> Result<(Vec<String>, Vec<Account>), Error> {
    if reply.tag == "missing" {
        return Err(not_found(&reply));
    }
    let accounts =
        reply.accounts.iter().map(|fields| account(fields)).collect::<Result<Vec<_>, _>>()?;
    match (reply.tag.as_str(), accounts.first()) {
        ("exceeded", Some(account)) => {
            Err(Error::Exceeded { status: Box::new(account.status.clone()), needed })
        }
        ("open", Some(account)) => {
            debug_assert!(account.status.circuit != Circuit::Closed, "refused by a closed circuit");
            Err(Error::CircuitOpen { status: Box::new(account.status.clone()) })
        }
        ("ok" | "again" | "settled" | "busy", _) => Ok((reply.details, accounts)),
        _ => Err(odd("a reply's tag is unknown").into()),
    }
}

/// A reply that shows the account alone.
pub(crate) fn status(reply: Reply, needed: Usd) -> Result<BudgetStatus, Error> {
    let (_, accounts) = granted(reply, needed)?;
    let account = accounts.into_iter().next().ok_or_else(|| odd("a reply lacks the account"))?;
    Ok(account.status)
}

pub(crate) fn reserved(reply: Reply, hold: &HoldKey, needed: Usd) -> Result<Reserved, Error> {
    if reply.tag == "unknown" {
        return Err(unknown(hold));
    }
    let (details, accounts) = granted(reply, needed)?;
    let account = accounts.into_iter().next().ok_or_else(|| odd("a reply lacks the account"))?;
    let amount = nanos(detail(&details, 0)?)?;
    let settled = details.get(1).map(|actual| nanos(actual)).transpose()?;
    let warnings = account.in_reach();
    Ok(Reserved { status: account.status, amount, warnings, settled })
}

pub(crate) fn settled(
    reply: Reply,
    booked: Usd,
    held: Usd,
    late: bool,
    observer: Option<&AlertObserver>,
) -> Result<Settled, Error> {
    let replayed = reply.tag == "again";
    let (_, accounts) = granted(reply, booked)?;
    let mut alerts = Vec::new();
    let mut warnings = Vec::new();
    for (i, account) in accounts.iter().enumerate() {
        let crossed = account.crossed();
        for threshold in &crossed {
            if let Some(observer) = observer {
                let (status, threshold) = (account.status.clone(), *threshold);
                observer(AlertNotice { status, threshold, replayed });
            }
            alerts.push(Alert { account: account.status.run_id.clone(), threshold: *threshold });
        }
        if i == 0 {
            warnings = crossed;
        }
    }
    let account = accounts.into_iter().next().ok_or_else(|| odd("a reply lacks the account"))?;
    Ok(Settled { status: account.status, booked, held, late, replayed, warnings, alerts })
}
