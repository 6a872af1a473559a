//! Commands that reach hosts: where to, and what they send.

use crate::effect::EffectKind;
use crate::eval::{Arg, Eval, Flow, Shell, Taint};
use crate::hosts;
use crate::shell::Span;

use super::opts::{Opts, command_start, raw};

/// Records that a host is reached; `address` is a URL, `user@host:path`, `host` or `host:port`.
pub(crate) fn egress(eval: &mut Eval<'_>, address: &str, class: &'static str, span: Span) {
    if address.starts_with("file:") || address.is_empty() {
        return;
    }
    let target = hosts::of_url(address).unwrap_or_else(|| address.to_owned());
    let name = hosts::split_port(&target).map_or_else(|| target.clone(), |(name, _)| name);
    let class = match class {
        _ if hosts::is_metadata(&name) => "metadata",
        "upload" if hosts::is_drop_site(&name) => "drop-site",
        other => other,
    };
    if hosts::is_local(&name) && !matches!(class, "shell" | "tunnel") {
        return;
    }
    eval.push_host(class, &target, hosts::implied_port(address), span);
}

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
    stdin: &Flow,
) -> Option<Flow> {
    match name {
        "curl" | "wget" | "http" | "https" | "xh" | "curlie" | "aria2c" | "axel"
        | "lwp-request" | "GET" | "POST" | "fetch" | "wget2" | "httpie" | "lynx" | "w3m"
        | "links" | "iwr" | "Invoke-WebRequest" | "hurl" => {
            Some(http(eval, shell, name, args, stdin))
        }
        "nc" | "ncat" | "netcat" | "socat" | "telnet" | "nc.traditional" | "nc.openbsd"
        | "cryptcat" => Some(socket(eval, shell, name, args, stdin)),
        "ssh" | "mosh" | "autossh" | "sshpass" => Some(ssh(eval, shell, name, args, stdin)),
        "scp" | "sftp" | "rsync" | "ftp" | "lftp" | "rclone" | "ncftp" | "ncftpput" | "tftp"
        | "smbclient" | "croc" | "magic-wormhole" | "wormhole" => {
            Some(copy(eval, name, args, stdin))
        }
        "dig" | "nslookup" | "host" | "drill" | "kdig" | "ping" | "ping6" | "traceroute"
        | "tracepath" | "mtr" | "nmap" | "masscan" | "zmap" | "hping3" | "whois" | "ab" | "wrk"
        | "hey" | "siege" | "slowloris" | "fping" | "arping" | "nikto" | "sqlmap" | "hydra" => {
            Some(probe(eval, name, args))
        }
        "mail" | "mailx" | "sendmail" | "mutt" | "swaks" | "msmtp" | "ssmtp" => {
            mail(eval, name, args, stdin);
            Some(Flow::program(name))
        }
        "ngrok" | "cloudflared" | "localtunnel" | "lt" | "bore" | "chisel" | "frpc"
        | "tailscale" | "zrok" | "pagekite" => {
            if !raw(args, &["version", "status", "update", "--version", "help", "config"]) {
                eval.push(EffectKind::NetEgress, "tunnel", name);
            }
            Some(Flow::program(name))
        }
        "openssl" if raw(args, &["s_client"]) => {
            let opts = Opts::scan(args, &["-connect", "-host", "-servername"]);
            if let Some(host) = opts.value(&["-connect", "-host"]) {
                egress(eval, &host.text.clone(), class_of(&stdin.taint, "connect"), host.span);
            }
            Some(Flow::program(name))
        }
        "wscat" | "websocat" | "grpcurl" | "youtube-dl" | "yt-dlp" | "gallery-dl" | "httrack"
        | "grpc_cli" | "w3mimg" => {
            for arg in args.iter().skip(1).filter(|a| a.text.contains("://")) {
                egress(eval, &arg.text.clone(), "connect", arg.span);
            }
            Some(Flow::program(name))
        }
        _ => None,
    }
}

/// Addresses among the words of a tool we know nothing about.
pub(super) fn urls(eval: &mut Eval<'_>, args: &[Arg]) {
    for arg in args.iter().skip(1) {
        let web = arg.text.starts_with("https://") || arg.text.starts_with("http://");
        if web && !arg.text.contains(char::is_whitespace) {
            egress(eval, &arg.text.clone(), "connect", arg.span);
        }
    }
}

fn class_of(taint: &Taint, other: &'static str) -> &'static str {
    match taint {
        Taint::Secret(_) => "secret",
        Taint::File(_) | Taint::Program(_) => "upload",
        _ => other,
    }
}

const CURL_TAKES: &[&str] = &[
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
    "--form-string",
    "-T",
    "--upload-file",
    "-H",
    "--header",
    "-o",
    "--output",
    "-X",
    "--request",
    "-u",
    "--user",
    "-A",
    "--user-agent",
    "-e",
    "--referer",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "-K",
    "--config",
    "-x",
    "--proxy",
    "-w",
    "--write-out",
    "-m",
    "--max-time",
    "--connect-timeout",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "-E",
    "--cert",
    "--key",
    "--cacert",
    "--capath",
    "-r",
    "--range",
    "--resolve",
    "--connect-to",
    "--unix-socket",
    "--interface",
    "-y",
    "-Y",
    "-z",
    "-C",
    "--limit-rate",
    "-D",
    "--dump-header",
    "--url",
    "--socks5",
    "--max-redirs",
    "-t",
    "--ciphers",
    "--dns-servers",
    "--output-dir",
    "--trace",
    "--trace-ascii",
    "-P",
    "-Q",
    "--oauth2-bearer",
    "--aws-sigv4",
    "--noproxy",
    "--preproxy",
    "--variable",
    "--max-filesize",
];
const WGET_TAKES: &[&str] = &[
    "-O",
    "--output-document",
    "-P",
    "--directory-prefix",
    "--post-data",
    "--post-file",
    "--body-data",
    "--body-file",
    "--method",
    "--header",
    "-U",
    "--user-agent",
    "-t",
    "--tries",
    "-T",
    "--timeout",
    "-i",
    "--input-file",
    "-o",
    "--output-file",
    "-a",
    "--user",
    "--password",
    "--load-cookies",
    "--save-cookies",
    "-e",
    "--execute",
    "--referer",
    "-w",
    "--wait",
    "-l",
    "--level",
    "-A",
    "-R",
    "-D",
    "-Q",
    "--limit-rate",
    "--ca-certificate",
    "--certificate",
    "--private-key",
    "-I",
    "-X",
    "--bind-address",
    "-B",
    "--read-timeout",
    "--connect-timeout",
    "--dns-timeout",
    "--use-askpass",
];

const BODY: &[&str] = &[
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--data-urlencode",
    "--json",
    "-F",
    "--form",
    "--form-string",
    "-T",
    "--upload-file",
    "--post-data",
    "--post-file",
    "--body-data",
    "--body-file",
];

fn http(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
    let wget = name.starts_with("wget");
    let opts = Opts::scan(args, if wget { WGET_TAKES } else { CURL_TAKES });
    let class = payload(eval, shell, &opts, args, stdin, wget);
    let mut urls: Vec<Arg> = opts.words.iter().map(|w| (*w).clone()).collect();
    urls.extend(opts.all(&["--url"]).cloned());
    if matches!(name, "http" | "https" | "xh" | "httpie" | "hurl" | "lwp-request" | "curlie") {
        urls.retain(|u| {
            !u.text.chars().all(|c| c.is_ascii_uppercase())
                && (u.text.contains(['.', '/']) || u.text.starts_with([':', 'l']))
                && !u.text.contains('=')
        });
    }
    let mut last = String::new();
    for url in &urls {
        let text = url.text.as_str();
        if let Some(path) = text.strip_prefix("file://") {
            super::creds::check(eval, shell, path, url.span);
            continue;
        }
        if text.starts_with([':', '/']) || text.is_empty() {
            continue;
        }
        let class = if let Taint::Secret(_) = url.taint { "secret" } else { class };
        egress(eval, text, class, url.span);
        services(eval, &opts, text, url.span);
        last = hosts::of_url(text).unwrap_or_default();
    }
    if let Some(socket) = opts.value(&["--unix-socket"])
        && socket.text.contains("docker")
    {
        eval.push(EffectKind::Privilege, "container", &socket.text.clone());
    }
    let taint = if hosts::is_local(last.split(':').next().unwrap_or_default()) {
        Taint::Program(name.into())
    } else {
        Taint::Remote(last.as_str().into())
    };
    downloaded(eval, shell, &opts, &urls, Flow::tainted(taint), wget)
}

// What is sent, and the class that makes.
fn payload(
    eval: &mut Eval<'_>,
    shell: &Shell,
    opts: &Opts<'_>,
    args: &[Arg],
    stdin: &Flow,
    wget: bool,
) -> &'static str {
    let mut class = "connect";
    let mut files: Vec<Arg> = Vec::new();
    for value in opts.all(BODY) {
        if matches!(value.taint, Taint::Secret(_)) {
            class = "secret";
        } else if let Taint::File(path) = &value.taint {
            files.push(Arg::new(path.to_string(), value.span));
        } else if class == "connect" && matches!(value.taint, Taint::Program(_)) {
            class = "upload";
        }
        let text = value.text.as_str();
        let after = text.split_once('=').map_or(text, |(_, v)| v);
        // `--data-urlencode name@file`.
        let named = text.split_once('@').filter(|(name, _)| {
            !name.is_empty()
                && opts.has(&["--data-urlencode"])
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        if let Some((_, file)) = named {
            files.push(Arg::new(file, value.span));
        }
        let file = text.strip_prefix('@').or_else(|| after.strip_prefix(['@', '<']));
        if let Some(file) = file {
            files.push(Arg::new(file.split(';').next().unwrap_or(file), value.span));
        }
    }
    files.extend(opts.all(&["-T", "--upload-file", "--post-file", "--body-file"]).cloned());
    // HTTPie: `field@file`, `field=@file`, `@file`.
    files.extend(args.iter().skip(1).filter_map(|a| {
        let (_, file) = a.text.split_once('@')?;
        let plain = !a.text.contains("://")
            && !a.text.starts_with('-')
            && a.text.split('@').next().is_some_and(|f| !f.contains('/'));
        (plain && !wget && opts.words.iter().any(|w| w.text == a.text))
            .then(|| Arg::new(file, a.span))
    }));
    for file in files {
        if file.text == "-" || file.text == "." {
            class = worse(class, class_of(&stdin.taint, "connect"));
            continue;
        }
        let normal = crate::paths::normalize(&file.text, &shell.cwd);
        let flow = eval.files.get(&normal).cloned();
        let secret = super::creds::check(eval, shell, &file.text, file.span)
            || flow.is_some_and(|f| matches!(f.taint, Taint::Secret(_)))
            || normal == "/etc/passwd"
            || normal == "/proc/self/environ";
        class = worse(class, if secret { "secret" } else { "upload" });
    }
    for value in opts.all(&["-H", "--header", "-b", "--cookie", "-A", "-u", "--user"]) {
        // A token in a header is how one signs in; a file's content is not.
        if let Taint::Secret(from) = &value.taint
            && from.starts_with('/')
        {
            class = "secret";
        }
    }
    class
}

fn worse(a: &'static str, b: &'static str) -> &'static str {
    let rank = |class: &str| match class {
        "secret" => 2,
        "upload" => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

// Where the answer goes.
fn downloaded(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    opts: &Opts<'_>,
    urls: &[Arg],
    flow: Flow,
    wget: bool,
) -> Flow {
    let file_of = |url: &Arg| {
        url.text
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let output = if wget {
        let named = opts.value(&["-O", "--output-document"]).map(|a| a.text.clone());
        let dir = opts.value(&["-P", "--directory-prefix"]).map(|a| a.text.clone());
        let plain = urls.first().map(file_of).filter(|f| !f.is_empty());
        named.or_else(|| {
            plain.map(|file| dir.map_or_else(|| file.clone(), |d| format!("{d}/{file}")))
        })
    } else if let Some(output) = opts.value(&["-o", "--output"]) {
        Some(output.text.clone())
    } else if opts.has(&["-O", "--remote-name", "--remote-name-all"]) {
        urls.first().map(file_of)
    } else {
        None
    };
    match output.as_deref() {
        None | Some("-" | "/dev/stdout") => flow,
        Some("/dev/null" | "") => Flow::program("curl"),
        Some(path) => {
            let path = path.to_owned();
            super::write_path(eval, shell, &path, (0, 0), Some((&flow, false)));
            Flow::empty()
        }
    }
}

// Well-known services behind a URL.
fn services(eval: &mut Eval<'_>, opts: &Opts<'_>, url: &str, span: Span) {
    let method = opts.value(&["-X", "--request", "--method"]).map_or("", |a| a.text.as_str());
    let writes = matches!(method, "POST" | "PUT" | "PATCH") || opts.has(BODY);
    if method.eq_ignore_ascii_case("delete")
        && (url.contains(":9200")
            || url.contains("/_all")
            || url.contains(":5984")
            || url.contains(":8500/v1/kv")
            || url.contains(":6333"))
    {
        eval.push_at(EffectKind::DbStatement, "drop", url, span);
    } else if writes && (url.contains("_delete_by_query") || url.contains("/_flush_all")) {
        eval.push_at(EffectKind::DbStatement, "unbounded", url, span);
    } else if method.eq_ignore_ascii_case("delete")
        && !hosts::is_local(
            hosts::of_url(url).unwrap_or_default().split(':').next().unwrap_or_default(),
        )
    {
        eval.push_at(EffectKind::CloudMutate, "remove", url, span);
    }
    if writes
        && [
            "api.stripe.com",
            "api.paypal.com",
            "api-m.paypal.com",
            "api.braintreegateway.com",
            "api.razorpay.com",
            "connect.squareup.com",
        ]
        .iter()
        .any(|h| url.contains(h))
    {
        eval.push_at(EffectKind::Billing, "object", url, span);
    }
}

fn socket(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
    if name == "socat" {
        return socat(eval, shell, args, stdin);
    }
    let takes = [
        "-e",
        "-c",
        "-p",
        "-s",
        "-w",
        "-q",
        "-i",
        "-x",
        "-X",
        "--exec",
        "--sh-exec",
        "--lua-exec",
        "-I",
        "-O",
        "-T",
        "-P",
        "--proxy",
        "--source",
    ];
    let opts = Opts::scan(args, &takes);
    let runs = opts.value(&["-e", "-c", "--exec", "--sh-exec", "--lua-exec"]).cloned();
    let listens = opts.has(&["-l", "--listen"]);
    let host = opts.word(0).to_owned();
    let port = opts.word(1);
    let target =
        if port.is_empty() || port.contains('-') { host.clone() } else { format!("{host}:{port}") };
    let span = super::opts::span_of(args);
    if runs.is_some() {
        let target = if listens { "any host" } else { target.as_str() };
        eval.push_at(EffectKind::NetEgress, "shell", target, span);
    } else if listens {
        eval.push_at(EffectKind::NetEgress, "listen", port, span);
    } else if !host.is_empty() {
        let class = if opts.has(&["-z"]) { "connect" } else { class_of(&stdin.taint, "connect") };
        egress(eval, &target, class, span);
    }
    // A shell whose output goes to a host is a remote shell, if its input comes from there too.
    if let Taint::Program(from) = &stdin.taint
        && matches!(&**from, "script" | "bash" | "sh")
        && !host.is_empty()
        && eval.found.effects.iter().all(|e| e.kind != EffectKind::ExecRemote)
        && !hosts::is_local(&host)
    {
        eval.push_at(EffectKind::NetEgress, "shell", &target, span);
    }
    let local = hosts::is_local(&host);
    if local && !listens {
        Flow::program(name)
    } else {
        Flow::tainted(Taint::Remote(host.as_str().into()))
    }
}

fn socat(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg], stdin: &Flow) -> Flow {
    let words: Vec<&Arg> =
        args.iter().skip(1).filter(|a| !a.text.starts_with('-') || a.text == "-").collect();
    let lower: Vec<String> = words.iter().map(|a| a.text.to_ascii_lowercase()).collect();
    let runs = lower.iter().any(|w| w.starts_with("exec:") || w.starts_with("system:"));
    let mut host = String::new();
    for (word, lower) in words.iter().zip(&lower) {
        for scheme in [
            "tcp:",
            "tcp4:",
            "tcp6:",
            "tcp-connect:",
            "udp:",
            "openssl:",
            "ssl:",
            "openssl-connect:",
            "udp-connect:",
        ] {
            if lower.starts_with(scheme) {
                let rest = word.text.get(scheme.len()..).unwrap_or_default();
                rest.split(',').next().unwrap_or_default().clone_into(&mut host);
            }
        }
        if lower.starts_with("file:") || lower.starts_with("open:") {
            let path = word
                .text
                .split_once(':')
                .map_or("", |(_, p)| p.split(',').next().unwrap_or(p))
                .to_owned();
            super::creds::check(eval, shell, &path, word.span);
        }
    }
    let listens = lower.iter().any(|w| w.contains("listen:"));
    let span = super::opts::span_of(args);
    if runs && (listens || !host.is_empty()) {
        let target = if host.is_empty() { "any host" } else { &host };
        eval.push_at(EffectKind::NetEgress, "shell", target, span);
    } else if !host.is_empty() {
        egress(eval, &host, class_of(&stdin.taint, "connect"), span);
    }
    Flow::tainted(Taint::Remote(host.as_str().into()))
}

fn ssh(eval: &mut Eval<'_>, shell: &mut Shell, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
    if name == "sshpass" {
        let at = command_start(args, &["-p", "-f", "-e", "-P"], 0);
        return eval.run(shell, args.get(at..).unwrap_or_default(), stdin);
    }
    let takes = [
        "-b", "-c", "-D", "-E", "-e", "-F", "-I", "-i", "-J", "-L", "-l", "-m", "-O", "-o", "-p",
        "-Q", "-R", "-S", "-W", "-w", "-M",
    ];
    let at = command_start(args, &takes, 0);
    let opts = Opts::scan(args.get(..at).unwrap_or_default(), &takes);
    let settings: Vec<Arg> = opts.all(&["-o"]).cloned().collect();
    for setting in settings {
        if let Some((key, command)) = setting.text.split_once(['=', ' '])
            && (key.eq_ignore_ascii_case("proxycommand")
                || key.eq_ignore_ascii_case("localcommand"))
        {
            eval.text(shell, command, setting.span, &Flow::empty());
        }
    }
    if opts.has(&["-R"]) {
        eval.push(EffectKind::NetEgress, "tunnel", args.get(at).map_or("", |a| &a.text));
    }
    let Some(host) = args.get(at) else { return Flow::program(name) };
    let command = args.get(at + 1..).unwrap_or_default();
    let class = if command.is_empty() { "connect" } else { class_of(&stdin.taint, "connect") };
    egress(eval, &format!("ssh://{}", host.text.trim_start_matches("ssh://")), class, host.span);
    let words: Vec<&str> = command.iter().map(|a| a.text.as_str()).collect();
    let line = words.join(" ");
    let span = super::opts::span_of(command);
    // The other machine's shell starts in its own home, with nothing of ours.
    let mut remote = Shell { cwd: shell.cwd.clone(), ..Shell::default() };
    if line.is_empty() {
        if let Some(text) = stdin.known().map(str::to_owned) {
            eval.text(&mut remote, &text, host.span, &Flow::empty());
        }
    } else {
        eval.text(&mut remote, &line, span, stdin);
    }
    Flow::tainted(Taint::Remote(host.text.as_str().into()))
}

/// The host of `host:path` or of a URL.
pub(super) fn remote_spec(text: &str) -> Option<String> {
    if text.contains("://") {
        return hosts::of_url(text);
    }
    let (host, _) = text.split_once(':')?;
    let host = host.rsplit('@').next()?;
    (!host.is_empty() && !host.contains('/') && host.len() > 1).then(|| host.to_owned())
}

fn copy(eval: &mut Eval<'_>, name: &str, args: &[Arg], stdin: &Flow) -> Flow {
    let takes = [
        "-i",
        "-P",
        "-p-",
        "-o",
        "-F",
        "-c",
        "-l",
        "-S",
        "-J",
        "-e",
        "--rsh",
        "--exclude",
        "--include",
        "-b",
        "-f",
        "--filter",
        "--files-from",
        "-u",
        "--exclude-from",
        "-D",
    ];
    let opts = Opts::scan(args, &takes);
    if opts.has(&["-n", "--dry-run", "--list-only"]) {
        return Flow::program(name);
    }
    let last = opts.words.len().saturating_sub(1);
    let secret = eval.found.effects.iter().any(|e| e.kind == EffectKind::CredentialRead);
    for (at, word) in opts.words.iter().enumerate() {
        let Some(host) = remote_spec(&word.text) else { continue };
        if name == "rclone" {
            continue;
        }
        let sends = at == last && opts.words.len() > 1;
        let class = if sends && secret {
            "secret"
        } else if sends {
            "upload"
        } else {
            "connect"
        };
        egress(eval, &format!("ssh://{host}"), class, word.span);
    }
    if name == "rclone" && raw(args, &["delete", "purge", "deletefile", "rmdirs"]) {
        eval.push(EffectKind::CloudMutate, "destroy", args.last().map_or("", |a| &a.text));
    } else if name == "rclone" && raw(args, &["copy", "sync", "move", "copyto"]) {
        let class = if secret { "secret" } else { "upload" };
        eval.push(EffectKind::NetEgress, class, args.last().map_or("", |a| &a.text));
    }
    if matches!(name, "ftp" | "lftp" | "ncftpput" | "tftp" | "smbclient" | "sftp")
        && let Some(host) = opts.words.first()
        && remote_spec(&host.text).is_none()
    {
        egress(eval, &host.text.clone(), class_of(&stdin.taint, "upload"), host.span);
    }
    if matches!(name, "croc" | "wormhole" | "magic-wormhole") && raw(args, &["send"]) {
        eval.push(EffectKind::NetEgress, if secret { "secret" } else { "upload" }, name);
    }
    Flow::program(name)
}

fn probe(eval: &mut Eval<'_>, name: &str, args: &[Arg]) -> Flow {
    let takes = [
        "-c",
        "-i",
        "-t",
        "-W",
        "-w",
        "-s",
        "-p",
        "-n",
        "-x",
        "-m",
        "-q",
        "-I",
        "-oN",
        "-oX",
        "--top-ports",
        "-T",
        "-d",
        "-l",
        "-L",
        "-P",
        "-k",
        "-H",
        "-C",
        "-A",
        "-z",
        "-U",
        "-u",
    ];
    let takes: &[&str] = if matches!(name, "dig" | "host" | "nslookup" | "drill") {
        &["-t", "-p", "-x", "-c", "-b", "-k"]
    } else {
        &takes
    };
    let opts = Opts::scan(args, takes);
    let flood = matches!(name, "ping" | "ping6" | "fping") && opts.has(&["-f"])
        || matches!(name, "hping3" | "slowloris")
            && (raw(args, &["--flood"]) || name == "slowloris");
    if flood {
        eval.push(EffectKind::Process, "exhaust", opts.word(0));
    }
    let scans = matches!(name, "nmap" | "masscan" | "zmap" | "nikto" | "sqlmap" | "hydra");
    for word in &opts.words {
        let text = word.text.trim_start_matches(['@', '+']);
        if word.text.starts_with('+')
            || !text.contains(['.', ':', '/']) && !crate::eval::is_unknown(text)
        {
            continue;
        }
        let class = match &word.taint {
            Taint::Secret(_) | Taint::File(_) => "secret",
            _ if scans => "scan",
            _ if matches!(name, "dig" | "nslookup" | "host" | "drill" | "kdig") => "dns",
            _ => "connect",
        };
        if matches!(name, "dig" | "nslookup" | "host" | "drill" | "kdig" | "ping" | "whois")
            && class == "dns"
            && !text.contains("://")
            && hosts::address(text).is_some_and(|_| word.text.starts_with('@'))
        {
            continue;
        }
        egress(eval, text, class, word.span);
    }
    Flow::program(name)
}

fn mail(eval: &mut Eval<'_>, name: &str, args: &[Arg], stdin: &Flow) {
    let secret = matches!(stdin.taint, Taint::Secret(_))
        || eval.found.effects.iter().any(|e| e.kind == EffectKind::CredentialRead);
    let to = args.iter().rev().find(|a| a.text.contains('@')).map_or(name, |a| a.text.as_str());
    let host = to.rsplit('@').next().unwrap_or(to).to_owned();
    eval.push(EffectKind::NetEgress, if secret { "secret" } else { "upload" }, &host);
}
