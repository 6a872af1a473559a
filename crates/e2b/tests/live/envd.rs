//! What envd must do, whoever wrote it.

use std::time::{Duration, Instant};

use airlock_e2b::{
    Error, EventType, FileOperation, FileType, ProcessEvent, ProcessStream, PtySize, Selector,
    Signal, StartProcess, WatchOptions,
};
use bytes::Bytes;

use crate::place::Place;

const CAP: usize = 1 << 20;

impl Place {
    pub(crate) fn shell(&self, line: &str) -> StartProcess {
        StartProcess {
            user: Some(self.user.to_owned()),
            cwd: Some(self.dir.clone()),
            ..StartProcess::shell(line)
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }
}

/// Reads until the end; gives what was written and the exit code and words of the end.
async fn rest(stream: &mut ProcessStream) -> (Vec<u8>, i32, String) {
    let (mut out, mut end) = (Vec::new(), None);
    while let Some(event) = stream.next().await.unwrap() {
        match event {
            ProcessEvent::Stdout(b) | ProcessEvent::Stderr(b) | ProcessEvent::Pty(b) => {
                out.extend(b);
            }
            ProcessEvent::End { exit_code, status, .. } => end = Some((exit_code, status)),
        }
    }
    let (exit_code, status) = end.unwrap();
    (out, exit_code, status)
}

pub(crate) async fn processes(place: &Place) {
    let sandbox = &place.sandbox;
    assert!(sandbox.is_running().await.unwrap());
    let mut process = place.shell("echo $A; pwd; echo err >&2; exit 3");
    process.envs.insert("A".to_owned(), "a b".to_owned());
    let output = sandbox.run(&process, CAP).await.unwrap();
    assert_eq!((output.exit_code, output.exited, output.truncated), (3, true, false));
    assert_eq!(output.status, "exit status 3");
    let stdout = String::from_utf8(output.stdout.to_vec()).unwrap();
    assert_eq!(stdout, format!("a b\n{}\n", place.dir));
    assert_eq!(&output.stderr[..], b"err\n");

    let output = sandbox.run(&place.shell("true"), CAP).await.unwrap();
    assert_eq!((output.exit_code, output.stdout.len()), (0, 0));

    let missing =
        StartProcess { user: Some(place.user.to_owned()), ..StartProcess::new("/no/such", [""]) };
    let output = sandbox.run(&missing, CAP).await.unwrap();
    assert_eq!(output.exit_code, 127, "{output:?}");

    // Without `stdin`, standard input is empty: reading it ends at once.
    let output = sandbox.run(&place.shell("cat; echo done"), CAP).await.unwrap();
    assert_eq!(&output.stdout[..], b"done\n");
}

pub(crate) async fn refusals(place: &Place) {
    let mut process = place.shell("true");
    process.cwd = Some("/no/such/directory".to_owned());
    let error = place.sandbox.start(&process).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
    let mut process = place.shell("true");
    process.user = Some("nobody-here".to_owned());
    let error = place.sandbox.start(&process).await.unwrap_err();
    assert!(matches!(error, Error::Auth { .. }), "{error:?}");
    let gone = Selector::Pid(4_000_000);
    let error = place.sandbox.connect_process(gone.clone()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let signalled = place.sandbox.signal(Some(place.user), &gone, Signal::Kill).await.unwrap();
    assert!(!signalled);
}

pub(crate) async fn streams_and_input(place: &Place) {
    let sandbox = &place.sandbox;
    let mut process = place.shell("echo ready; cat");
    process.stdin = true;
    let mut stream = sandbox.start(&process).await.unwrap();
    // It arrives while the process still waits: nothing is held back until the end.
    assert_eq!(stream.next().await.unwrap(), Some(ProcessEvent::Stdout("ready\n".into())));
    let selector = Selector::Pid(stream.pid().unwrap());
    let user = Some(place.user);
    sandbox.send_stdin(user, &selector, "one\n".into()).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(ProcessEvent::Stdout("one\n".into())));
    sandbox.send_stdin(user, &selector, "two".into()).await.unwrap();
    sandbox.close_stdin(user, &selector).await.unwrap();
    let (out, exit_code, _) = rest(&mut stream).await;
    assert_eq!((&out[..], exit_code), (&b"two"[..], 0));
}

pub(crate) async fn streamed_input(place: &Place) {
    let sandbox = &place.sandbox;
    let mut process = place.shell("wc -c; exit 7");
    process.stdin = true;
    let mut stream = sandbox.start(&process).await.unwrap();
    let selector = Selector::Pid(stream.pid().unwrap());
    let user = Some(place.user);
    // More than a pipe holds, and more than one message: the process must read meanwhile.
    let pieces = (0..40).map(|n| Bytes::from(vec![b'a' + n % 26; 100_003]));
    let input = futures_util::stream::iter(pieces);
    sandbox.stream_stdin(user, &selector, input).await.unwrap();
    // The input is still open: what ends a request ends no input.
    sandbox.send_stdin(user, &selector, "more".into()).await.unwrap();
    sandbox.close_stdin(user, &selector).await.unwrap();
    let (out, exit_code, _) = rest(&mut stream).await;
    assert_eq!((String::from_utf8_lossy(&out).trim(), exit_code), ("4000124", 7));
    let gone = Selector::Pid(4_000_000);
    let input = futures_util::stream::iter([Bytes::from("x")]);
    let error = sandbox.stream_stdin(user, &gone, input).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn signals(place: &Place) {
    let sandbox = &place.sandbox;
    let user = Some(place.user);
    let mut process = place.shell("exec sleep 100");
    for (tag, signal, words) in
        [("one", Signal::Term, "signal: terminated"), ("two", Signal::Kill, "signal: killed")]
    {
        process.tag = Some(tag.to_owned());
        let mut stream = sandbox.start(&process).await.unwrap();
        let other = StartProcess { tag: Some("other".to_owned()), ..process.clone() };
        let other = sandbox.start(&other).await.unwrap();
        let selector = Selector::Tag(tag.to_owned());
        let listed = sandbox.processes(user).await.unwrap();
        assert!(
            listed.iter().any(|p| p.tag.as_deref() == Some(tag) && Some(p.pid) == stream.pid())
        );
        assert!(sandbox.signal(user, &selector, signal).await.unwrap());
        let mut end = None;
        while let Some(event) = stream.next().await.unwrap() {
            end = Some(event);
        }
        let expected = ProcessEvent::End {
            exit_code: -1,
            exited: false,
            status: words.to_owned(),
            error: Some(words.to_owned()),
        };
        assert_eq!(end, Some(expected));
        let other = Selector::Pid(other.pid().unwrap());
        assert!(sandbox.signal(user, &other, Signal::Kill).await.unwrap());
    }
}

pub(crate) async fn lifetime(place: &Place) {
    let mut process = place.shell("echo begun; exec sleep 100");
    process.timeout = Some(Duration::from_secs(1));
    let began = Instant::now();
    let mut stream = place.sandbox.start(&process).await.unwrap();
    let pid = stream.pid().unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(ProcessEvent::Stdout("begun\n".into())));
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if the process had"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let mut alive = true;
    for _ in 0..100 {
        alive =
            place.sandbox.processes(Some(place.user)).await.unwrap().iter().any(|p| p.pid == pid);
        if !alive {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!alive, "the process outlived its timeout");
}

pub(crate) async fn connecting(place: &Place) {
    let sandbox = &place.sandbox;
    let mut process = place.shell("read line; echo $line; exit 4");
    process.stdin = true;
    process.tag = Some("followed".to_owned());
    let first = sandbox.start(&process).await.unwrap();
    let selector = Selector::Pid(first.pid().unwrap());
    drop(first);
    let mut second = sandbox.connect_process(Selector::Tag("followed".to_owned())).await.unwrap();
    assert_eq!(Selector::Pid(second.pid().unwrap()), selector);
    sandbox.send_stdin(Some(place.user), &selector, "hello\n".into()).await.unwrap();
    let (out, exit_code, _) = rest(&mut second).await;
    assert_eq!((&out[..], exit_code), (&b"hello\n"[..], 4));
    // The end is kept for those who come late.
    let mut late = sandbox.connect_process(selector).await.unwrap();
    let (out, exit_code, status) = rest(&mut late).await;
    assert_eq!((out.len(), exit_code, status.as_str()), (0, 4, "exit status 4"));
}

pub(crate) async fn terminals(place: &Place) {
    let sandbox = &place.sandbox;
    let mut process = place.shell("");
    process.args = vec!["--norc".to_owned(), "-i".to_owned()];
    process.envs.insert("TERM".to_owned(), "dumb".to_owned());
    process.pty = Some(PtySize { cols: 80, rows: 24 });
    let mut stream = sandbox.start(&process).await.unwrap();
    let selector = Selector::Pid(stream.pid().unwrap());
    let user = Some(place.user);
    sandbox.resize_pty(user, &selector, PtySize { cols: 101, rows: 33 }).await.unwrap();
    sandbox.send_pty(user, &selector, "stty size; exit 5\n".into()).await.unwrap();
    let (out, exit_code, _) = rest(&mut stream).await;
    let out = String::from_utf8_lossy(&out);
    assert!(out.contains("33 101"), "{out}");
    assert_eq!(exit_code, 5);
}

pub(crate) async fn large_output(place: &Place) {
    let process =
        place.shell("head -c 20000000 /dev/zero; head -c 300000 /dev/urandom | tee r >&2");
    let output = place.sandbox.run(&process, CAP).await.unwrap();
    assert_eq!((output.exit_code, output.truncated, output.stdout.len()), (0, true, CAP));
    let file = place.path("r");
    let written = place.sandbox.read_file(Some(place.user), &file, None, CAP as u64).await.unwrap();
    assert_eq!(written.len(), 300_000);
    assert_eq!(output.stderr, written);
}

pub(crate) async fn files(place: &Place) {
    let (sandbox, user) = (&place.sandbox, Some(place.user));
    let odd = place.path("new/dir/ä \"b\" & c?#%2f.txt");
    sandbox.write_file(user, &odd, "0123456789".into()).await.unwrap();
    for (range, expected) in [
        (None, "0123456789"),
        (Some(2..4), "23"),
        (Some(8..1000), "89"),
        (Some(10..1000), ""),
        (Some(50..60), ""),
    ] {
        let read = sandbox.read_file(user, &odd, range.clone(), 10).await.unwrap();
        assert_eq!(read, expected, "{range:?}");
    }
    let error = sandbox.read_file(user, &odd, None, 9).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 9, .. }), "{error:?}");

    let empty = place.path("empty");
    sandbox.write_file(user, &empty, Bytes::new()).await.unwrap();
    assert!(sandbox.read_file(user, &empty, None, 0).await.unwrap().is_empty());
    assert!(sandbox.read_file(user, &empty, Some(0..9), 9).await.unwrap().is_empty());

    let error = sandbox.read_file(user, &place.path("missing"), None, 9).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let error = sandbox.read_file(user, &place.dir, None, 9).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
    let error = sandbox.write_file(user, &place.dir, "x".into()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");

    let big: Bytes = (0..5_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    let many = [("m/1", "one".into()), ("m/sub/2", "two".into()), ("m/b ig", big.clone())];
    let many = many.map(|(name, data): (&str, Bytes)| (place.path(name), data));
    sandbox.write_files(user, many.clone()).await.unwrap();
    for (path, data) in many {
        assert_eq!(sandbox.read_file(user, &path, None, 10_000_000).await.unwrap(), data, "{path}");
    }
}

pub(crate) async fn directories(place: &Place) {
    let (sandbox, user) = (&place.sandbox, Some(place.user));
    let dir = place.path("d/e");
    assert!(sandbox.make_dir(user, &dir).await.unwrap());
    assert!(!sandbox.make_dir(user, &dir).await.unwrap());
    let file = place.path("d/e/f");
    sandbox.write_file(user, &file, "text".into()).await.unwrap();
    let error = sandbox.make_dir(user, &file).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");

    let info = sandbox.stat(user, &file).await.unwrap();
    assert_eq!((info.name.as_str(), info.kind, info.size), ("f", FileType::File, 4));
    assert_eq!((info.path.as_str(), info.owner.as_str()), (file.as_str(), place.user));
    assert!(info.permissions.starts_with("-rw") && info.modified_at.is_some(), "{info:?}");

    let flat = sandbox.list_dir(user, &place.path("d"), 0).await.unwrap();
    let names = |entries: &[airlock_e2b::EntryInfo]| {
        entries.iter().map(|e| (e.name.clone(), e.kind)).collect::<Vec<_>>()
    };
    assert_eq!(names(&flat), [("e".to_owned(), FileType::Directory)]);
    let deep = sandbox.list_dir(user, &place.path("d"), 2).await.unwrap();
    assert_eq!(
        names(&deep),
        [("e".to_owned(), FileType::Directory), ("f".to_owned(), FileType::File)]
    );
    let error = sandbox.list_dir(user, &file, 1).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");

    let moved = sandbox.move_(user, &file, &place.path("x/y")).await.unwrap();
    assert_eq!(moved.path, place.path("x/y"));
    let error = sandbox.stat(user, &file).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let error = sandbox.move_(user, &file, &place.path("z")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    for _ in 0..2 {
        sandbox.remove(user, &place.path("x")).await.unwrap();
    }
    let error = sandbox.list_dir(user, &place.path("x"), 1).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

pub(crate) async fn watching(place: &Place) {
    let (sandbox, user) = (&place.sandbox, Some(place.user));
    let dir = place.path("watched");
    sandbox.make_dir(user, &dir).await.unwrap();
    let options = WatchOptions { recursive: true, include_entry: true, ..WatchOptions::default() };
    let mut watch = sandbox.watch_dir(user, &dir, options).await.unwrap();
    sandbox.write_file(user, &format!("{dir}/new"), "text".into()).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!((event.name.as_str(), event.kind), ("new", EventType::Create));
    assert_eq!(event.entry.unwrap().kind, FileType::File);
    sandbox.remove(user, &format!("{dir}/new")).await.unwrap();
    loop {
        let event = watch.next().await.unwrap().unwrap();
        if event.kind == EventType::Remove {
            assert_eq!(event.name, "new");
            break;
        }
    }
    let file = place.path("file");
    sandbox.write_file(user, &file, Bytes::new()).await.unwrap();
    let error = sandbox.watch_dir(user, &file, options).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");
}

pub(crate) async fn signed_links(place: &Place) {
    let (sandbox, user) = (&place.sandbox, Some(place.user));
    let path = place.path("signed file");
    sandbox.write_file(user, &path, "signed".into()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let later = jiff::Timestamp::now() + Duration::from_mins(1);
    let url = sandbox.signed_url(FileOperation::Read, &path, user, Some(later)).unwrap();
    let answer = http.get(url.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), "signed");
    let answer = http.post(url).header("content-type", "application/octet-stream").body("x");
    assert_eq!(answer.send().await.unwrap().status(), 401);
    let before = jiff::Timestamp::now() - Duration::from_mins(1);
    let url = sandbox.signed_url(FileOperation::Read, &path, user, Some(before)).unwrap();
    assert_eq!(http.get(url).send().await.unwrap().status(), 401);
}

pub(crate) async fn wrong_token(place: &Place) {
    let id = place.sandbox.id();
    let stranger = place.client.attach(id, "wrong".to_owned().into(), place.sandbox.domain());
    let errors = [
        stranger.start(&place.shell("true")).await.unwrap_err(),
        stranger.processes(None).await.unwrap_err(),
        stranger.read_file(None, "/etc/hostname", None, CAP as u64).await.unwrap_err(),
        stranger.write_file(None, &place.path("w"), "x".into()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::Auth { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong"));
    }
}
