//! The helper itself: a server that outlived its test would be found by nobody.

use std::net::TcpStream;

use airlock_testing::{RedisServer, redis_servers};

#[tokio::test]
async fn every_server_answers_and_ends_with_its_handle() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let port = server.port();
        let mut connection = server.connect().await;
        let pong: String = redis::cmd("PING").query_async(&mut connection).await.unwrap();
        assert_eq!(pong, "PONG", "{}", binary.display());
        assert!(server.cut_connections().await >= 1);
        drop(server);
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "{} still runs",
            binary.display()
        );
    }
}

#[tokio::test]
async fn two_servers_of_one_binary_run_side_by_side() {
    let binary = redis_servers().remove(0);
    let (first, second) = (RedisServer::start(&binary), RedisServer::start(&binary));
    assert_ne!(first.port(), second.port());
    let (mut first, mut second) = (first.connect().await, second.connect().await);
    let _: () = redis::cmd("SET").arg("k").arg(1).query_async(&mut first).await.unwrap();
    let absent: Option<i64> = redis::cmd("GET").arg("k").query_async(&mut second).await.unwrap();
    assert_eq!(absent, None);
}
