//! The kinds that must never get through, in the places where they are printed.

use airlock_redaction::{Redactor, Stream};

/// A body of a token, always the same, of the wanted alphabet.
fn body(alphabet: &str, length: usize, seed: u64) -> String {
    let letters = alphabet.as_bytes();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(letters[usize::try_from(state >> 40).unwrap_or(0) % letters.len()])
        })
        .collect()
}

const A: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const W: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
const H: &str = "0123456789abcdef";
const B32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const B64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn tokens(seed: u64) -> Vec<(&'static str, String)> {
    let b = |alphabet, length| body(alphabet, length, seed);
    vec![
        ("openai_key", format!("sk-{}T3BlbkFJ{}", b(A, 20), body(A, 20, seed + 1))),
        ("openai_key", format!("sk-proj-{}T3BlbkFJ{}", b(W, 74), body(W, 74, seed + 1))),
        ("anthropic_key", format!("sk-ant-api03-{}AA", b(W, 93))),
        ("e2b_key", format!("e2b_{}", b(H, 40))),
        ("github_token", format!("ghp_{}", b(A, 36))),
        ("github_token", format!("github_pat_{}_{}", b(A, 22), b(A, 59))),
        ("aws_access_key", format!("AKIA{}", b(B32, 16))),
        ("google_api_key", format!("AIza{}", b(W, 35))),
        ("slack_token", format!("xoxb-123456789012-1234567890123-{}", b(A, 24))),
        ("stripe_key", format!("sk_live_{}", b(A, 24))),
        ("npm_token", format!("npm_{}", b(A, 36))),
        (
            "jwt",
            format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI{}.{}", b(A, 30), b(W, 43)),
        ),
    ]
}

/// Places in which a token is printed.
const PLACES: &[&str] = &[
    "{}",
    "key {} end",
    "KEY={}\n",
    "export KEY=\"{}\"\n",
    "{\"key\": \"{}\"}",
    "'{}'",
    "line\n{}\nline",
    "{\\\"k\\\":\\\"{}\\\"}",
    "a\\n{}\\nb",
    "\u{1b}[32m{}\u{1b}[0m",
    "x=%22{}%22",
    "({})",
    "<k>{}</k>",
    "k: {}, v: 1",
    "https://h/p?x={}&y=1",
    "`{}`",
    "token={}",
    "Bearer {}",
    "Authorization: Bearer {}",
];

fn stream(redactor: &Redactor, text: &[u8], size: usize) -> Vec<u8> {
    let mut stream: Stream = redactor.stream();
    let mut out = Vec::new();
    for chunk in text.chunks(size) {
        stream.push(chunk, &mut out);
    }
    stream.finish(&mut out);
    out
}

fn leaks(out: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let least = secret.len().min(8);
    secret.windows(least).any(|w| out.as_bytes().windows(least).any(|o| o == w))
}

#[test]
fn every_named_token_is_replaced_in_every_place() {
    let redactor = Redactor::builtin();
    for seed in 1..20 {
        for (kind, token) in tokens(seed) {
            for place in PLACES {
                let text = place.replace("{}", &token);
                let out = redactor.redact(&text);
                assert_eq!(out, place.replace("{}", &format!("[REDACTED:{kind}]")), "{text}");
            }
        }
    }
}

#[test]
fn the_cut_into_chunks_changes_nothing() {
    let redactor = Redactor::builtin();
    let mut text = String::new();
    for (at, (_, token)) in tokens(7).iter().enumerate() {
        text += &PLACES[at % PLACES.len()].replace("{}", token);
        text += "\nsome ordinary output in between, of no interest\n";
    }
    let whole = redactor.redact(&text).into_owned();
    for size in [1, 2, 3, 5, 7, 16, 64, 127, 128, 1000] {
        let out = String::from_utf8(stream(&redactor, text.as_bytes(), size)).unwrap();
        assert_eq!(out, whole, "chunks of {size}");
    }
}

#[test]
fn named_values_are_replaced() {
    let redactor = Redactor::builtin();
    let secret = body(B64, 40, 3);
    let basic = "dXNlcjpodW50ZXIyaHVudGVyMg==";
    let pass = body(A, 16, 4);
    for (text, secret) in [
        (format!("AWS_SECRET_ACCESS_KEY={secret}"), &*secret),
        (format!("aws_secret_access_key = {secret}\n"), &secret),
        (format!("\"SecretAccessKey\": \"{secret}\","), &secret),
        (format!("AWS Secret Access Key: {secret}"), &secret),
        (format!("Authorization: Basic {basic}"), basic),
        (format!("curl -H 'Authorization: Basic {basic}' https://x"), basic),
        (format!("{{\"authorization\": \"Bearer {pass}\"}}"), &pass),
        (format!("authorization: token {pass}\r\n"), &pass),
        (format!("postgres://app:{pass}@db.internal:5432/app?x=1"), &pass),
        (format!("redis://:{pass}@localhost"), &pass),
        (format!("DB_PASSWORD={pass}\n"), &pass),
        (format!("export MY_SECRET='{pass}'\n"), &pass),
        (format!("SOME_KEY={pass}\n"), &pass),
        ("PASSWORD=swordfish\n".to_owned(), "swordfish"),
        (format!("password: {pass}\n"), &pass),
        (format!("--password {pass} --verbose"), &pass),
        (format!("--password={pass}"), &pass),
        (format!("X-Api-Key: {pass}"), &pass),
        (format!("PRIVATE-TOKEN: {pass}"), &pass),
        (format!("https://x/y?access_token={pass}&z=1"), &pass),
        (format!("<password>{pass}</password>"), &pass),
        (format!("password => '{pass}',"), &pass),
        (format!("//registry.npmjs.org/:_authToken={pass}"), &pass),
        (format!("Cookie: sid={pass}; theme=dark\r\n"), &pass),
        (format!("Set-Cookie: sid={pass}; Path=/\r\n"), &pass),
        (format!("machine h login me password {pass}"), &pass),
    ] {
        let out = redactor.redact(&text);
        assert!(!leaks(&out, secret), "{text}\n-> {out}");
        assert!(out.contains("[REDACTED:"), "{text}\n-> {out}");
    }
}

#[test]
fn private_keys_are_dropped_and_what_follows_stays() {
    let redactor = Redactor::builtin();
    let lines: Vec<String> = (0..20).map(|n| body(B64, 64, n + 1)).collect();
    for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
        for join in ["\n", "\\n", "\r\n", "\\\\n"] {
            let key = format!(
                "-----BEGIN {kind}-----{join}{}{join}abc={join}-----END {kind}-----",
                lines.join(join)
            );
            let text = format!("before \"{key}\" after\n");
            assert_eq!(
                redactor.redact(&text),
                "before \"[REDACTED:private_key]\" after\n",
                "{text}"
            );
            for size in [1, 7, 64, 1000] {
                let out = stream(&redactor, text.as_bytes(), size);
                assert_eq!(
                    String::from_utf8(out).unwrap(),
                    "before \"[REDACTED:private_key]\" after\n"
                );
            }
        }
    }
    let cut =
        format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n$ ls -la\nfoo\n", lines[..3].join("\n"));
    assert_eq!(redactor.redact(&cut), "[REDACTED:private_key]\n$ ls -la\nfoo\n");
}

#[test]
fn known_values_are_replaced_in_every_encoding() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let value = "s3cr?t/valu>e+\"q\"&'x' \u{e4}";
    let redactor = Redactor::builder().known_value("X", value.to_owned().into()).build().unwrap();
    let hex = value.bytes().fold(String::new(), |hex, b| hex + &format!("{b:02X}"));
    let mut forms = vec![
        value.to_owned(),
        hex,
        serde_json::to_string(value).unwrap(),
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
            .to_string(),
    ];
    for lead in ["", "a", "ab", "user:"] {
        forms.push(STANDARD.encode(format!("{lead}{value}")));
        forms.push(URL_SAFE.encode(format!("{lead}{value}tail")));
    }
    for form in forms {
        let text = format!("out {form} out");
        let out = redactor.redact(&text);
        assert!(out.contains("[REDACTED:known_value]"), "{text} -> {out}");
        assert!(out.len() < 60, "{text} -> {out}");
    }
}

#[test]
fn ordinary_text_is_borrowed() {
    let redactor = Redactor::builtin();
    for text in [
        "",
        "a",
        "ab",
        "abc",
        "commit 4a5e1e4baab89f3a32518a88c31bc87f618f7667",
        "integrity sha512-q1BnC8OYdbmnBGB9BBHUA9qwNS1AvV9H6BhAvZ1c1kHk8lG0fZg4n5Q==",
        "pk_live_51H8abcDEFghiJKLmnoPQRstu",
        "password = os.environ['PASSWORD']",
        "password=self.password",
        "type=\"password\"",
        "Password: must be at least 8 characters",
        "max_tokens: 4096",
        "token_type=bearer",
        "WWW-Authenticate: Bearer realm=\"x\"",
        "PASSWORD=$PASSWORD",
        "PASSWORD=<your password>",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
        "fn password(&self) -> &str { &self.password }",
        "let token = lexer.next_token();",
        "http://localhost:8080/path",
        "git@github.com:owner/repo.git",
        "secret_name: db-credentials",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let out = redactor.redact(text);
        assert_eq!(out, text);
        assert!(matches!(out, std::borrow::Cow::Borrowed(_)), "{text}");
    }
}
