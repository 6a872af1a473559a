//! BudgetTracker: money, price card and a ledger in Redis.
#![forbid(unsafe_code)]
