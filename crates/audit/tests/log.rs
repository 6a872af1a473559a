//! The log on real servers and files: order, failure, verification.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use airlock_audit::{
    Error, Event, Fault, Filter, Log, Reader, RedisOptions, Sink, Span, Verification, Verifier,
    verify,
};
use airlock_contract::Receipt;
use airlock_testing::{RedisCluster, RedisServer, redis_servers};
use sha2::{Digest as _, Sha256};

fn event(number: u64) -> Event {
    let account = if number.is_multiple_of(2) { "team/even" } else { "team/odd" };
    Event::new("policy.decided").for_account(&account.parse().unwrap()).with("number", number)
}

async fn append_many(log: &Arc<Log>, tasks: u64) -> Vec<Receipt> {
    let mut set = tokio::task::JoinSet::new();
    for number in 0..tasks {
        let log = Arc::clone(log);
        set.spawn(async move { log.append(event(number)).await.unwrap() });
    }
    set.join_all().await
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').collect()
}

fn verify_text(text: &[u8]) -> Verification {
    verify(lines(text), Span::FromStart)
}

async fn file_log(path: &Path) -> Arc<Log> {
    Arc::new(Log::new(vec![Sink::file(path, true).await.unwrap()]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_make_one_chain_in_both_sinks() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let conn = server.connect().await;
        let log = Arc::new(Log::new(vec![
            Sink::redis(conn.clone(), "airlock", RedisOptions::default()),
            Sink::file(&path, false).await.unwrap(),
        ]));
        let receipts = append_many(&log, 700).await;
        let mut sequences: Vec<u64> = receipts.iter().map(|receipt| receipt.sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=700).collect::<Vec<_>>());
        log.close().await.unwrap();
        for reader in [Reader::redis(conn, "airlock"), Reader::file(&path)] {
            let verifier = Verifier::new(Span::FromStart).expecting(receipts.clone());
            let result = reader.verify(Some(verifier)).await.unwrap();
            assert_eq!(result.faults, [], "{reader:?}");
            let [chain] = result.chains.as_slice() else { panic!("{result:?}") };
            assert_eq!((chain.first, chain.last, chain.records), (1, 701, 701));
            assert!(chain.closed && chain.writer == log.writer());
        }
    }
}

#[tokio::test]
async fn a_change_of_any_byte_of_a_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = file_log(&path).await;
    append_many(&log, 4).await;
    let text = std::fs::read(&path).unwrap();
    assert!(verify_text(&text).is_intact());
    for index in 0..text.len() - 1 {
        for mask in [0x01, 0x04, 0x20, 0x80] {
            let mut changed = text.clone();
            changed[index] ^= mask;
            assert!(!verify_text(&changed).is_intact(), "byte {index} ^ {mask:#x}");
        }
        let mut shorter = text.clone();
        shorter.remove(index);
        assert!(!verify_text(&shorter).is_intact(), "without byte {index}");
    }
}

#[tokio::test]
async fn removed_repeated_and_swapped_records_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = file_log(&path).await;
    let receipts = append_many(&log, 4).await;
    let text = std::fs::read(&path).unwrap();
    let all = lines(&text);
    let cases: [(&str, Vec<&[u8]>); 4] = [
        ("first removed", vec![all[1], all[2], all[3]]),
        ("middle removed", vec![all[0], all[2], all[3]]),
        ("repeated", vec![all[0], all[1], all[1], all[2]]),
        ("swapped", vec![all[0], all[2], all[1], all[3]]),
    ];
    for (name, lines) in cases {
        let result = verify(lines, Span::FromStart);
        assert!(matches!(result.faults[0], Fault::OutOfSequence { .. }), "{name}: {result:?}");
    }
    // A stream may begin anywhere.
    assert!(verify([all[1], all[2]], Span::AnyStart).is_intact());
    // A cut at the end shows only against a receipt.
    let cut = [all[0], all[1], all[2]];
    assert!(verify(cut, Span::FromStart).is_intact());
    let mut verifier = Verifier::new(Span::FromStart).expecting(receipts);
    for line in cut {
        verifier.push(line);
    }
    let result = verifier.finish();
    assert!(matches!(result.faults.as_slice(), [Fault::Missing { .. }]), "{result:?}");
    assert!(!result.chains[0].closed);
}

/// Somebody who writes a whole chain anew under the same name cannot match the receipts, nor hang
/// another record between two real ones.
#[tokio::test]
async fn a_forged_record_does_not_fit_into_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = file_log(&path).await;
    let receipts = append_many(&log, 3).await;
    let text = std::fs::read(&path).unwrap();
    let all = lines(&text);
    // The forger knows how hashes are made: record 2 with another fact and a fitting hash.
    let body = String::from_utf8(all[1].to_vec()).unwrap();
    let cut = body.len() - r#","hash":""}"#.len() - 64;
    let forged_body = body[..cut].replace("policy.decided", "policy.allowed");
    let hash = sha256(&format!("{forged_body}}}"));
    let forged = format!(r#"{forged_body},"hash":"{hash}"}}"#);
    let result = verify([all[0], forged.as_bytes(), all[2]], Span::FromStart);
    assert!(matches!(result.faults[0], Fault::BrokenLink { line: 3, .. }), "{result:?}");
    let mut verifier = Verifier::new(Span::FromStart).expecting(receipts);
    for line in [all[0], forged.as_bytes()] {
        verifier.push(line);
    }
    assert_eq!(verifier.finish().fault_count, 2, "records 2 and 3 have receipts");
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[tokio::test]
async fn without_any_required_sink_that_works_it_fails_closed() {
    let full = || async { Sink::file("/dev/full", false).await.unwrap() };
    let log = Log::new(vec![full().await, full().await]);
    for _ in 0..3 {
        assert!(matches!(log.append(event(1)).await, Err(Error::Unavailable)));
    }
    assert!(!log.is_writable());
    // One that works is enough; one that is optional is no matter.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::new(vec![full().await, Sink::file(&path, false).await.unwrap()]);
    assert_eq!(log.append(event(1)).await.unwrap().sequence, 1);
    let log = Log::new(vec![full().await.optional()]);
    assert_eq!(log.append(event(1)).await.unwrap().sequence, 1);
    let log = Log::new(vec![full().await, Sink::file(&path, false).await.unwrap().optional()]);
    assert!(matches!(log.append(event(1)).await, Err(Error::Unavailable)));
}

#[tokio::test]
async fn an_event_over_the_limit_is_refused_and_takes_no_place_in_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let log = file_log(&dir.path().join("audit.jsonl")).await;
    let huge = Event::new("x").with("text", "x".repeat(300_000));
    assert!(matches!(log.append(huge).await, Err(Error::TooLarge { .. })));
    assert_eq!(log.append(event(1)).await.unwrap().sequence, 1);
}

#[tokio::test]
async fn a_store_that_comes_back_gets_what_it_missed() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let conn = server.connect().await;
        let log = Log::new(vec![Sink::redis(conn.clone(), "airlock", RedisOptions::default())]);
        let first = log.append(event(1)).await.unwrap();
        // The stream becomes unwritable, as it is on a replica or over its memory.
        let mut admin = server.connect().await;
        let () = redis::cmd("CONFIG")
            .arg(&["SET", "min-replicas-to-write", "1"])
            .query_async(&mut admin)
            .await
            .unwrap();
        for _ in 0..5 {
            assert!(matches!(log.append(event(2)).await, Err(Error::Unavailable)));
        }
        assert!(log.ready().await.is_err());
        let () = redis::cmd("CONFIG")
            .arg(&["SET", "min-replicas-to-write", "0"])
            .query_async(&mut admin)
            .await
            .unwrap();
        assert!(!log.is_writable());
        log.ready().await.unwrap();
        assert!(log.is_writable(), "asking finds out that the store is back");
        let last = log.append(event(3)).await.unwrap();
        // Only the one event that found the store down entered the chain.
        assert_eq!((first.sequence, last.sequence), (1, 3));
        server.cut_connections().await;
        assert_eq!(log.append(event(4)).await.unwrap().sequence, 4);
        let reader = Reader::redis(server.connect().await, "airlock");
        let verifier = Verifier::new(Span::FromStart).expecting([first, last]);
        let result = reader.verify(Some(verifier)).await.unwrap();
        assert_eq!((result.faults.as_slice(), result.chains[0].records), (&[][..], 4));
    }
}

#[tokio::test]
async fn an_append_that_is_dropped_leaves_no_gap() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let conn = server.connect().await;
        let log = Log::new(vec![
            Sink::redis(conn.clone(), "airlock", RedisOptions::default()),
            Sink::file(&path, true).await.unwrap(),
        ]);
        for number in 0..200 {
            let patience = std::time::Duration::from_micros(number * 7);
            let _ = tokio::time::timeout(patience, log.append(event(number))).await;
        }
        let last = log.append(event(0)).await.unwrap();
        for reader in [Reader::redis(conn, "airlock"), Reader::file(&path)] {
            let result = reader.verify(Some(Verifier::new(Span::FromStart))).await.unwrap();
            assert_eq!(result.faults, [], "{reader:?}");
            assert_eq!(result.chains[0].records, last.sequence);
        }
    }
}

#[tokio::test]
async fn a_restart_begins_a_new_chain_in_the_same_places() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let conn = server.connect().await;
        for _ in 0..3 {
            let log = Log::new(vec![
                Sink::redis(conn.clone(), "airlock", RedisOptions::default()),
                Sink::file(&path, false).await.unwrap(),
            ]);
            log.append(event(1)).await.unwrap();
            log.append(event(2)).await.unwrap();
        }
        for reader in [Reader::redis(conn, "airlock"), Reader::file(&path)] {
            let result = reader.verify(None).await.unwrap();
            assert!(result.is_intact(), "{result:?}");
            assert_eq!(result.chains.len(), 3);
            let odd = Filter { run_id: Some("team/odd".parse().unwrap()), ..Filter::default() };
            let tail = reader.tail(2, &odd).await.unwrap();
            let numbers: Vec<_> = tail.iter().map(|s| s.record.data["number"].clone()).collect();
            assert_eq!(numbers, [1, 1], "{reader:?}");
            let kind = |kind: &str| Filter { kind: Some(kind.into()), ..Filter::default() };
            assert_eq!(reader.tail(100, &kind("policy")).await.unwrap().len(), 6);
            assert_eq!(reader.tail(100, &kind("pol")).await.unwrap().len(), 0);
            assert_eq!(reader.tail(0, &Filter::default()).await.unwrap().len(), 0);
        }
    }
}

#[tokio::test]
async fn a_stream_is_trimmed_and_lives_for_its_retention() {
    for binary in redis_servers() {
        let server = RedisServer::start(&binary);
        let mut conn = server.connect().await;
        let options = RedisOptions { max_records: 100, ..RedisOptions::default() };
        let log = Arc::new(Log::new(vec![Sink::redis(conn.clone(), "airlock", options)]));
        append_many(&log, 1000).await;
        let key = format!("airlock:audit:{}", log.writer());
        let (kept, ttl): (u64, i64) = redis::pipe()
            .cmd("XLEN")
            .arg(&key)
            .cmd("TTL")
            .arg(&key)
            .query_async(&mut conn)
            .await
            .unwrap();
        assert!((100..500).contains(&kept), "{kept}");
        assert!(ttl > 80 * 24 * 3600, "{ttl}");
        let result = Reader::redis(conn, "airlock").verify(None).await.unwrap();
        assert!(result.is_intact(), "{result:?}");
        assert_eq!(result.chains[0].last, 1000);
    }
}

#[tokio::test]
async fn a_line_cut_by_a_crash_is_shown_and_the_rest_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    file_log(&path).await.append(event(1)).await.unwrap();
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(&text.clone()[..40]);
    std::fs::write(&path, &text).unwrap();
    file_log(&path).await.append(event(1)).await.unwrap();
    let result = Reader::file(&path).verify(None).await.unwrap();
    assert_eq!(result.faults, [Fault::Unreadable { line: 2 }]);
    assert_eq!(result.chains.len(), 2);
}

#[tokio::test]
async fn processes_may_share_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let logs = [file_log(&path).await, file_log(&path).await];
    let (one, two) = tokio::join!(append_many(&logs[0], 100), append_many(&logs[1], 100));
    let verifier = Verifier::new(Span::FromStart).expecting(one.into_iter().chain(two));
    let result = Reader::file(&path).verify(Some(verifier)).await.unwrap();
    assert!(result.is_intact(), "{result:?}");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn chains_of_several_writers_are_whole_on_a_cluster() {
    for binary in redis_servers() {
        let cluster = RedisCluster::start(&binary).await;
        let mut receipts = Vec::new();
        for _ in 0..6 {
            let sink = Sink::redis(cluster.connect().await, "airlock", RedisOptions::default());
            let log = Arc::new(Log::new(vec![sink]));
            receipts.extend(append_many(&log, 30).await);
            log.close().await.unwrap();
        }
        let reader = Reader::redis(cluster.connect().await, "airlock");
        let verifier = Verifier::new(Span::FromStart).expecting(receipts);
        let result = reader.verify(Some(verifier)).await.unwrap();
        assert_eq!(result.faults, []);
        assert_eq!(result.chains.len(), 6);
        assert!(result.chains.iter().all(|chain| chain.closed && chain.records == 31));
        assert_eq!(reader.tail(1000, &Filter::default()).await.unwrap().len(), 6 * 31);
    }
}
