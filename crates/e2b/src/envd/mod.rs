//! envd, the daemon inside each sandbox: processes and directories over the Connect protocol,
//! file contents over plain HTTP.
//!
//! [`codec`] cuts a stream into messages, [`rpc`] speaks unary calls and server streams over it;
//! the rest says what the calls mean. Everything that envd sends is as hostile as the code it
//! runs: sizes are capped, and a stream without its end message is [`Error::Cut`](crate::Error).

pub(crate) mod codec;
mod files;
mod filesystem;
mod input;
mod process;
pub(crate) mod rpc;
mod run;
mod sandbox;
mod signature;
mod watch;

pub use filesystem::{EntryInfo, FileType};
pub use process::{
    ProcessEvent, ProcessInfo, ProcessStream, PtySize, Selector, Signal, StartProcess,
};
pub use run::Output;
pub use sandbox::Sandbox;
pub(crate) use sandbox::SandboxParts;
pub use signature::FileOperation;
pub use watch::{EventType, FilesystemEvent, WatchOptions, WatchStream};
