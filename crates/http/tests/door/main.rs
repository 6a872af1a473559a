//! The HTTP door over a real engine, a real Redis, and a real receiver of webhooks.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod alerts;
mod budgets;
mod support;
