//! Processes over the Connect protocol: exact bytes in, events or errors out.

use std::time::{Duration, Instant};

use airlock_e2b::{Client, Error, ProcessEvent, Sandbox, Selector, Signal, StartProcess};
use airlock_proto::process as wire;
use axum::body::Body;
use prost::Message;
use rstest::rstest;
use wire::process_event::{DataEvent, EndEvent, Event, KeepAlive, StartEvent, data_event::Output};

use crate::support::{Asked, Server, chunks, cut, envelope, hang, proto, reply, streaming};

fn event(event: Event) -> Vec<u8> {
    let event = Some(wire::ProcessEvent { event: Some(event) });
    envelope(0, &wire::StartResponse { event }.encode_to_vec())
}

fn started() -> Vec<u8> {
    event(Event::Start(StartEvent { pid: 42 }))
}

fn stdout(text: &'static str) -> Vec<u8> {
    event(Event::Data(DataEvent { output: Some(Output::Stdout(text.into())) }))
}

fn stderr(text: &'static str) -> Vec<u8> {
    event(Event::Data(DataEvent { output: Some(Output::Stderr(text.into())) }))
}

fn exited(exit_code: i32) -> Vec<u8> {
    let status = format!("exit status {exit_code}");
    let error = Some(status.clone()).filter(|_| exit_code != 0);
    event(Event::End(EndEvent { exit_code, exited: true, status, error }))
}

fn end() -> Vec<u8> {
    envelope(2, b"{}")
}

async fn serve(body: impl Fn() -> Body + Send + Sync + 'static) -> Server {
    Server::start(move |_, _| streaming(body())).await
}

fn impatient(server: &Server) -> Sandbox {
    let mut config = server.config();
    config.timeouts.keepalive = Duration::from_secs(1);
    config.timeouts.idle = Duration::from_secs(2);
    config.timeouts.request = Duration::from_secs(1);
    config.limits.stream_message = 1000;
    Client::new(config).unwrap().attach("i1", "token".to_owned().into(), None)
}

#[tokio::test]
async fn a_run_gives_exit_code_and_both_outputs() {
    let mut server = serve(|| {
        let keepalive = event(Event::Keepalive(KeepAlive {}));
        let all = [started(), stdout("a"), keepalive, stderr("e"), stdout("b"), exited(3), end()];
        // One byte at a time: cutting must not matter.
        chunks(all.concat().into_iter().map(|byte| vec![byte]).collect())
    })
    .await;
    let mut process = StartProcess::shell("make");
    process.user = Some("root".to_owned());
    process.envs.insert("K".to_owned(), "v".to_owned());
    process.timeout = Some(Duration::from_secs(7));
    let output = server.sandbox().run(&process, 100).await.unwrap();
    assert_eq!((output.exit_code, output.exited, output.truncated), (3, true, false));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"ab"[..], &b"e"[..]));
    assert_eq!(output.status, "exit status 3");

    let asked = &server.asked()[0];
    assert_eq!(asked.target, "/process.Process/Start");
    for (name, value) in [
        ("content-type", "application/connect+proto"),
        ("connect-protocol-version", "1"),
        ("connect-timeout-ms", "7000"),
        ("keepalive-ping-interval", "50"),
        ("e2b-sandbox-id", "i1"),
        ("e2b-sandbox-port", "49983"),
        ("x-access-token", "token"),
        ("authorization", "Basic cm9vdDo="),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
    assert_eq!(asked.header("x-api-key"), None);
    let request = wire::StartRequest::decode(&asked.body[5..]).unwrap();
    assert_eq!(&asked.body[..5], &envelope(0, &request.encode_to_vec())[..5]);
    assert_eq!(request.stdin, Some(false));
    assert_eq!(request.process.unwrap().args, ["-l", "-c", "make"]);
}

#[tokio::test]
async fn output_over_the_cap_is_dropped_and_said_so() {
    let server = serve(|| {
        chunks(vec![started(), stdout("12345"), stdout("678"), stderr("1"), exited(0), end()])
    })
    .await;
    let output = server.sandbox().run(&StartProcess::shell("x"), 6).await.unwrap();
    assert_eq!((&output.stdout[..], output.truncated), (&b"123456"[..], true));
}

#[tokio::test]
async fn a_stream_without_its_end_message_is_cut() {
    let bodies: [fn() -> Body; 3] = [
        || chunks(vec![started(), stdout("a"), exited(0)]),
        || cut(vec![started(), stdout("a"), exited(0)]),
        || chunks(vec![started(), stdout("a"), exited(0), end()[..4].to_vec()]),
    ];
    for body in bodies {
        let server = serve(body).await;
        let mut stream = server.sandbox().start(&StartProcess::shell("x")).await.unwrap();
        assert_eq!(stream.pid(), Some(42));
        assert_eq!(stream.next().await.unwrap(), Some(ProcessEvent::Stdout("a".into())));
        let ended = stream.next().await.unwrap();
        assert!(matches!(ended, Some(ProcessEvent::End { exit_code: 0, .. })), "{ended:?}");
        let error = stream.next().await.unwrap_err();
        assert!(matches!(error, Error::Cut { .. }) && error.is_retryable(), "{error:?}");
        assert_eq!(stream.next().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_run_cut_at_any_byte_is_never_a_success() {
    let all = [started(), stdout("out"), stderr("err"), exited(0), end()].concat();
    let whole = all.len();
    let server = Server::start(move |n, _| streaming(chunks(vec![all[..n].to_vec()]))).await;
    let sandbox = server.sandbox();
    for n in 0..whole {
        let result = sandbox.run(&StartProcess::shell("x"), 100).await;
        let is_cut = matches!(result, Err(Error::Cut { .. }));
        assert!(is_cut, "cut at byte {n} of {whole}: {result:?}");
    }
    assert_eq!(sandbox.run(&StartProcess::shell("x"), 100).await.unwrap().exit_code, 0);
}

#[rstest]
#[case::too_large(envelope(0, &[0; 1001]), |e: &Error| matches!(e, Error::TooLarge { limit: 1000, .. }))]
#[case::huge_length(vec![0, 0xff, 0xff, 0xff, 0xff], |e: &Error| matches!(e, Error::TooLarge { .. }))]
#[case::compressed(envelope(1, b"x"), |e: &Error| matches!(e, Error::Protocol { .. }))]
#[case::unknown_flag(envelope(0x40, b"x"), |e: &Error| matches!(e, Error::Protocol { .. }))]
#[case::no_protobuf(envelope(0, b"\xff\xff\xff"), |e: &Error| matches!(e, Error::Protocol { .. }))]
#[case::second_start(started(), |e: &Error| matches!(e, Error::Protocol { .. }))]
#[case::end_is_no_json(envelope(2, b"{"), |e: &Error| matches!(e, Error::Protocol { .. }))]
#[case::silence(vec![], |e: &Error| matches!(e, Error::Timeout { .. }))]
#[tokio::test]
async fn a_bad_stream_is_an_error_and_then_over(
    #[case] bad: Vec<u8>,
    #[case] is_right: fn(&Error) -> bool,
) {
    let server = serve(move || hang(vec![started(), bad.clone()])).await;
    let mut stream = impatient(&server).start(&StartProcess::shell("x")).await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert!(is_right(&error), "{error:?}");
    assert_eq!(stream.next().await.unwrap(), None);
}

#[rstest]
#[case("not_found", |e: &Error| matches!(e, Error::NotFound { .. }))]
#[case("invalid_argument", |e: &Error| matches!(e, Error::InvalidArgument { .. }))]
#[case("unauthenticated", |e: &Error| matches!(e, Error::Auth { .. }))]
#[case("deadline_exceeded", |e: &Error| matches!(e, Error::Timeout { .. }))]
#[case("resource_exhausted", |e: &Error| matches!(e, Error::RateLimited { .. }))]
#[case("unavailable", |e: &Error| matches!(e, Error::Unavailable { .. }))]
#[case("unimplemented", |e: &Error| matches!(e, Error::Protocol { .. }))]
#[tokio::test]
async fn an_error_in_the_end_message_fails_the_start(
    #[case] code: &'static str,
    #[case] is_right: fn(&Error) -> bool,
) {
    let payload = format!(r#"{{"error":{{"code":"{code}","message":"s3cret"}}}}"#);
    let server = serve(move || chunks(vec![envelope(2, payload.as_bytes())])).await;
    let error = server.sandbox().start(&StartProcess::shell("x")).await.unwrap_err();
    assert!(is_right(&error), "{error:?}");
    assert_eq!(
        (error.detail().code(), error.detail().foreign_text()),
        (Some(code), Some("s3cret"))
    );
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_start_that_never_answers_is_left_in_time() {
    for body in
        [|| hang(vec![]), || hang(vec![event(Event::Start(StartEvent { pid: 1 }))[..3].to_vec()])]
    {
        let server = serve(body).await;
        let began = Instant::now();
        let error = impatient(&server).start(&StartProcess::shell("x")).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_sandbox_that_is_gone_is_told_from_one_that_does_not_listen() {
    let gone = r#"{"sandboxId":"i1","message":"The sandbox was not found","code":502}"#;
    let closed = r#"{"sandboxId":"i1","message":"The sandbox is running but port is not open",
        "port":49983,"code":502}"#;
    let server = Server::start(move |_, _| reply(502, gone)).await;
    let error = server.sandbox().start(&StartProcess::shell("x")).await.unwrap_err();
    assert!(matches!(error, Error::Gone { .. }) && !error.is_retryable(), "{error:?}");
    assert!(!server.sandbox().is_running().await.unwrap());
    let error = server.sandbox().stat(None, "/").await.unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error:?}");

    let server = Server::start(move |_, _| reply(502, closed)).await;
    let error = server.sandbox().is_running().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");

    let server = Server::start(move |_, _| reply(204, "")).await;
    assert!(server.sandbox().is_running().await.unwrap());
}

#[tokio::test]
async fn a_wrong_content_type_or_encoding_is_refused() {
    let server = Server::start(|_, _| reply(200, "{}")).await;
    let error = server.sandbox().start(&StartProcess::shell("x")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let error = server.sandbox().processes(None).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let server = Server::start(|_, _| {
        let mut response = proto(&wire::ListResponse::default());
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    let error = server.sandbox().processes(None).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

fn list(tag: &str) -> wire::ListResponse {
    let process = |pid, tag: &str| wire::ProcessInfo {
        pid,
        tag: Some(tag.to_owned()),
        config: Some(wire::ProcessConfig {
            cmd: "sh".into(),
            envs: [("K".to_owned(), "s3cret".to_owned())].into(),
            ..wire::ProcessConfig::default()
        }),
    };
    wire::ListResponse { processes: vec![process(6, "other"), process(7, tag)] }
}

#[tokio::test]
async fn a_tag_is_looked_up_in_the_list_and_signalled_by_pid() {
    let mut server = Server::start(|_, asked: &Asked| match asked.target.as_str() {
        "/process.Process/List" => proto(&list("mine")),
        _ => proto(&wire::SendSignalResponse {}),
    })
    .await;
    let sandbox = server.sandbox();
    let mine = Selector::Tag("mine".to_owned());
    assert!(sandbox.signal(Some("root"), &mine, Signal::Term).await.unwrap());
    let infos = sandbox.processes(None).await.unwrap();
    assert!(!format!("{infos:?}").contains("s3cret"));
    let asked = server.asked();
    let request = wire::SendSignalRequest::decode(asked[1].body.clone()).unwrap();
    assert_eq!(request.signal(), wire::Signal::Sigterm);
    let selector = request.process.unwrap().selector.unwrap();
    assert_eq!(selector, wire::process_selector::Selector::Pid(7));
}

#[tokio::test]
async fn a_process_that_is_not_there_is_told_from_a_server_that_is_not_envd() {
    let server = Server::start(|_, _| reply(404, r#"{"code":"not_found","message":"x"}"#)).await;
    let sandbox = server.sandbox();
    assert!(!sandbox.signal(None, &Selector::Pid(1), Signal::Kill).await.unwrap());
    let server = Server::start(|_, _| reply(404, "404 page not found")).await;
    let error = server.sandbox().signal(None, &Selector::Pid(1), Signal::Kill).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_next_that_is_dropped_loses_nothing() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let server = serve(move || {
        let receiver = receiver.clone();
        Body::from_stream(futures_util::stream::unfold((), move |()| {
            let receiver = receiver.clone();
            async move {
                let chunk = receiver.lock().await.recv().await?;
                Some((Ok::<_, std::io::Error>(chunk), ()))
            }
        }))
    })
    .await;
    sender.send(started()).unwrap();
    let mut stream = server.sandbox().start(&StartProcess::shell("x")).await.unwrap();
    let mut wire = [stdout("one"), stdout("two"), exited(0), end()].concat();
    let mut seen = Vec::new();
    while !wire.is_empty() {
        sender.send(wire.drain(..wire.len().min(3)).collect()).unwrap();
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(5), stream.next()).await {
            match event.unwrap() {
                Some(ProcessEvent::Stdout(bytes)) => seen.push(bytes),
                Some(_) => {}
                None => break,
            }
        }
    }
    assert_eq!(seen, ["one", "two"]);
    // The end message came, the end of the body did not: asking again and again still ends well.
    let end = async {
        loop {
            if let Ok(end) = tokio::time::timeout(Duration::from_millis(5), stream.next()).await {
                break end;
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(5), end).await.unwrap();
    assert_eq!(end.unwrap(), None);
    drop(sender);
}

#[tokio::test]
async fn many_long_streams_do_not_hold_up_a_short_call() {
    let server = Server::start(|_, asked: &Asked| match asked.target.as_str() {
        "/process.Process/List" => proto(&wire::ListResponse::default()),
        _ => streaming(hang(vec![started()])),
    })
    .await;
    let sandbox = server.sandbox();
    let mut streams = Vec::new();
    for _ in 0..150 {
        streams.push(sandbox.start(&StartProcess::shell("sleep")).await.unwrap());
    }
    let began = Instant::now();
    sandbox.processes(None).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(streams.len(), 150);
}

#[tokio::test]
async fn input_is_sent_in_order_and_in_pieces() {
    let mut server = Server::start(|_, _| proto(&wire::SendInputResponse {})).await;
    let data: Vec<u8> = (0..(1 << 20) + 5).map(|n: u32| n.to_le_bytes()[0]).collect();
    let sandbox = server.sandbox();
    sandbox.send_stdin(None, &Selector::Pid(1), data.clone().into()).await.unwrap();
    let sent: Vec<u8> = server
        .asked()
        .into_iter()
        .flat_map(|asked| {
            let request = wire::SendInputRequest::decode(asked.body).unwrap();
            match request.input.unwrap().input.unwrap() {
                wire::process_input::Input::Stdin(bytes) => bytes,
                wire::process_input::Input::Pty(_) => panic!("not a terminal"),
            }
        })
        .collect();
    assert_eq!(sent, data);
}
