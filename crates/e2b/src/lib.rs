#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod config;
mod control;
mod envd;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod ids;
mod transport;

pub use config::{Config, Limits, Timeouts};
pub use control::{
    Client, CreateSandbox, ListQuery, Metric, Network, Order, SandboxInfo, SandboxState,
};
pub use envd::{
    EntryInfo, EventType, FileOperation, FileType, FilesystemEvent, Output, ProcessEvent,
    ProcessInfo, ProcessStream, PtySize, Sandbox, Selector, Signal, StartProcess, WatchOptions,
    WatchStream,
};
pub use error::{Detail, Error};
