//! Real Redis and Valkey servers for tests and benches.
//!
//! The Lua scripts are the logic, so they are tested on the engines that users run, the oldest and
//! the newest. A server listens on a free port of loopback, keeps nothing on disk, and ends with
//! its [`RedisServer`], or with the test's process however that ends.
//!
//! ```no_run
//! # async fn example() {
//! for binary in airlock_testing::redis_servers() {
//!     let server = airlock_testing::RedisServer::start(&binary);
//!     let connection = server.connect().await;
//! }
//! # }
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "used by tests alone: a panic is how a test fails")]

mod cluster;
mod find;
mod programs;
mod server;

pub use cluster::RedisCluster;
pub use find::redis_servers;
pub use programs::sandbox_init;
pub use server::{RedisServer, connect};
