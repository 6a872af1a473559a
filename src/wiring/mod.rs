//! From settings to working parts: connections, stores, the engine.

pub(crate) mod addresses;
pub(crate) mod engine;
pub(crate) mod reaper;
pub(crate) mod redis;
pub(crate) mod reload;
pub(crate) mod secrets;
