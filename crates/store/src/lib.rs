//! The connection to Redis that all stores share: one server, or a Cluster.
//!
//! The stores keep what belongs together in one hash slot and send one command or script a call, so
//! a Cluster asks nothing more of them than another connection. [`Connection`] is either; it
//! reconnects by itself, and a clone is the same connection.
//!
//! Invariant: what has a key goes where the key is; [`Connection::scan`] and [`Connection::info`],
//! which have none, go to every primary.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use redis::aio::{ConnectionLike, ConnectionManager};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, ServerErrorKind, Value, from_redis_value,
};

/// Keys looked at in one call of a scan.
const SCAN_COUNT: u32 = 1000;

/// A connection that reconnects by itself; all clones share it.
#[derive(Clone)]
pub enum Connection {
    /// To one server, or to a proxy that looks like one.
    Single(ConnectionManager),
    /// To every node of a Cluster.
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_cluster() { "Connection::Cluster" } else { "Connection::Single" })
    }
}

impl From<ConnectionManager> for Connection {
    fn from(connection: ConnectionManager) -> Self {
        Self::Single(connection)
    }
}

impl From<ClusterConnection> for Connection {
    fn from(connection: ClusterConnection) -> Self {
        Self::Cluster(connection)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => Box::pin(async {
                let answer = connection.req_packed_command(cmd).await;
                if is_demoted(&answer) {
                    leave(connection).await;
                }
                answer
            }),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// Whether the server that was a primary is one no more. A Cluster's client goes elsewhere by itself; to
/// one address a connection would stay with the old server for as long as that lives.
fn is_demoted(answer: &RedisResult<Value>) -> bool {
    let (is_said, detail) = match answer {
        Ok(Value::ServerError(error)) => {
            (error.kind() == Some(ServerErrorKind::ReadOnly), error.details())
        }
        Err(error) => {
            (error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly), error.detail())
        }
        Ok(_) => return false,
    };
    // Redis before 7 wraps what a script met into an error of its own.
    is_said || detail.is_some_and(|detail| detail.contains(": -READONLY "))
}

/// Has the server close the connection; the next call opens another, to wherever the address leads by
/// then.
async fn leave(connection: &mut ConnectionManager) {
    // Whatever it answers: there is nothing to lose.
    let _ = connection.send_packed_command(&redis::cmd("QUIT")).await;
}

/// `CLUSTER SLOTS`: first slot, last slot, the primary, its replicas.
type Slots = Vec<Vec<Value>>;

impl Connection {
    /// Whether it is to a Cluster.
    pub const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The keys of one type that match `pattern`, on every primary, in small steps. A key that is
    /// written or removed meanwhile may or may not be among them.
    pub async fn scan(&self, pattern: &str, type_name: &str) -> RedisResult<BTreeSet<Vec<u8>>> {
        let mut found = BTreeSet::new();
        match self {
            Self::Single(_) => self.scan_node(0, pattern, type_name, &mut found).await?,
            Self::Cluster(_) => {
                for slot in self.primaries().await? {
                    self.scan_node(slot, pattern, type_name, &mut found).await?;
                }
            }
        }
        Ok(found)
    }

    /// What `INFO` says, once for each primary.
    pub async fn info(&self) -> RedisResult<Vec<String>> {
        let info = redis::cmd("INFO");
        let mut found = Vec::new();
        match self {
            Self::Single(_) => found.push(info.query_async(&mut self.clone()).await?),
            Self::Cluster(_) => {
                for slot in self.primaries().await? {
                    found.push(from_redis_value(self.on_node(slot, info.clone()).await?)?);
                }
            }
        }
        Ok(found)
    }

    /// Sends a command that has no key to the primary of a slot.
    async fn on_node(&self, slot: u16, command: Cmd) -> RedisResult<Value> {
        match self.clone() {
            Self::Single(mut connection) => connection.req_packed_command(&command).await,
            Self::Cluster(mut connection) => {
                let route = Route::new(slot, SlotAddr::Master);
                let node = SingleNodeRoutingInfo::SpecificNode(route);
                connection.route_command(command, RoutingInfo::SingleNode(node)).await
            }
        }
    }

    /// One slot of each primary.
    async fn primaries(&self) -> RedisResult<Vec<u16>> {
        let slots: Slots =
            redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut self.clone()).await?;
        let (mut seen, mut first) = (Vec::new(), Vec::new());
        for range in slots {
            if let [start, _, primary, ..] = range.as_slice()
                && !seen.contains(primary)
            {
                first.push(from_redis_value(start.clone())?);
                seen.push(primary.clone());
            }
        }
        Ok(first)
    }

    async fn scan_node(
        &self,
        slot: u16,
        pattern: &str,
        type_name: &str,
        found: &mut BTreeSet<Vec<u8>>,
    ) -> RedisResult<()> {
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg(&["MATCH", pattern, "TYPE", type_name]);
            scan.arg("COUNT").arg(SCAN_COUNT);
            let reply = self.on_node(slot, scan).await?;
            let (next, keys): (String, Vec<Vec<u8>>) = from_redis_value(reply)?;
            found.extend(keys);
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }
}
