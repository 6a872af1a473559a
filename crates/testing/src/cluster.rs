//! A Cluster of a test.

use std::path::Path;
use std::time::{Duration, Instant};

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;

use crate::server::RedisServer;

const SLOTS: u16 = 16_384;
/// How long the nodes may take to agree on a busy machine.
const MEET_WITHIN: Duration = Duration::from_mins(1);

/// Three primaries that share the slots; dropping it ends them.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three nodes of `binary`, lets them meet, and waits until each says that the Cluster
    /// is up.
    ///
    /// # Panics
    ///
    /// If they do not agree within a minute.
    pub async fn start(binary: impl AsRef<Path>) -> Self {
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "15000"];
        let nodes: Vec<RedisServer> =
            (0..3).map(|_| RedisServer::start_with(binary.as_ref(), &args)).collect();
        let share = SLOTS.div_ceil(3);
        for (node, first) in nodes.iter().zip((0..SLOTS).step_by(share.into())) {
            let slots: Vec<u16> = (first..SLOTS.min(first + share)).collect();
            let mut connection = node.connect().await;
            let mut command = redis::cmd("CLUSTER");
            let () = command
                .arg("ADDSLOTS")
                .arg(slots)
                .query_async(&mut connection)
                .await
                .expect("CLUSTER ADDSLOTS");
        }
        let mut first = nodes[0].connect().await;
        for node in &nodes[1..] {
            let mut command = redis::cmd("CLUSTER");
            let () = command
                .arg(&["MEET", "127.0.0.1"])
                .arg(node.port())
                .query_async(&mut first)
                .await
                .expect("CLUSTER MEET");
        }
        let cluster = Self { nodes };
        cluster.wait_until_up().await;
        cluster
    }

    async fn wait_until_up(&self) {
        let deadline = Instant::now() + MEET_WITHIN;
        for node in &self.nodes {
            let mut connection = node.connect().await;
            loop {
                let mut command = redis::cmd("CLUSTER");
                let info: String =
                    command.arg("INFO").query_async(&mut connection).await.expect("CLUSTER INFO");
                let is_up = ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"];
                if is_up.iter().all(|sign| info.contains(sign)) {
                    break;
                }
                assert!(Instant::now() < deadline, "the cluster did not come up: {info}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The nodes, each with a third of the slots.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The addresses of all nodes, with commas between.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(RedisServer::url).collect();
        urls.join(",")
    }

    /// A new connection to the whole Cluster, patient on a busy machine.
    ///
    /// # Panics
    ///
    /// If the nodes do not answer.
    pub async fn connect(&self) -> ClusterConnection {
        let urls: Vec<String> = self.nodes.iter().map(RedisServer::url).collect();
        let client = ClusterClientBuilder::new(urls)
            .connection_timeout(Duration::from_secs(10))
            .response_timeout(Duration::from_secs(30))
            .build()
            .expect("valid addresses");
        client.get_async_connection().await.expect("the cluster answers")
    }
}
