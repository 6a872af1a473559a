//! For each kind that is known by its name or its place: what is replaced, and what stays. The
//! reference page shows them, and a test runs them.

/// One kind. In `matches` the secret stands between `«` and `»`.
pub(crate) struct Examples {
    pub(crate) kind: &'static str,
    pub(crate) matches: &'static [&'static str],
    pub(crate) leaves: &'static [&'static str],
}

const fn of(
    kind: &'static str,
    matches: &'static [&'static str],
    leaves: &'static [&'static str],
) -> Examples {
    Examples { kind, matches, leaves }
}

pub(crate) const EXAMPLES: &[Examples] = &[
    of(
        "password",
        &[
            "PASSWORD=«tr0ub4dor»",
            "{\"db_password\": \"«tr0ub4dor»\"}",
            "[password] => «tr0ub4dor»",
            "<Pass encoding=\"plain\">«tr0ub4dor»</Pass>",
            "CREATE USER app IDENTIFIED BY '«tr0ub4dor-7»';",
            "storePassword \"«x7tr0ub4dor»\"",
            "const auto password{\"«x7tr0ub4dor»\"};",
            "- name: DB_PASSWORD\n  value: «x7tr0ub4dor»",
            "[\"--db-password\", \"«x7tr0ub4dor»\"]",
            "the password is «x7tr0ub4d0r»",
            "mysql -u root -p«x7tr0ub4dor» shop",
            "redis-cli -h cache -a «x7tr0ub4dor» ping",
            "machine h login ada password «x7tr0ub4dor»",
            "db:5432:orders:app:«x7tr0ub4dor»",
            "curl -u ada:«x7tr0ub4dor» https://h",
        ],
        &[
            "password: String,",
            "password = getpass(\"Password: \")",
            "password=${DB_PASSWORD}",
            "password_file=/etc/app/password",
            "the password is required",
            "mysql -p -u root",
            "PASSWORD_MIN_LENGTH=12",
        ],
    ),
    of(
        "secret",
        &[
            "CLIENT_SECRET=«x7tr0ub4dor»",
            "client_secret: «9f8e7d6c5b4a»",
            "{clientSecret: '«x7tr0ub4dor»'}",
        ],
        &[
            "secretName: web-tls",
            "checksum/secret: 9f8e7d6c5b4a9f8e7d6c5b4a",
            "secret = var.secret",
        ],
    ),
    of(
        "token",
        &[
            "token=«a8f3kd92ls0»",
            "api_token: Some(\"«a8f3kd92ls0»\")",
            "if token == \"«a8f3kd92ls0»\" {",
        ],
        &["token: Option<String>", "max_tokens=4096", "unexpected token: RPAREN"],
    ),
    of(
        "api_key",
        &["api_key: «a8f3kd92ls0»", "apiKey=\"«a8f3kd92ls0»\"", "--api-key «a8f3kd92ls0»"],
        &["api_key = os.environ[\"API_KEY\"]", "apiKey: ApiKey;"],
    ),
    of(
        "access_key",
        &["accessKey: '«a8f3kd92ls0»'", "access_key: «a8f3kd92ls0»"],
        &["aws_access_key_id = ${KEY}", "access_key_rotation: enabled"],
    ),
    of(
        "private_key",
        &[
            "private_key = «a8f3kd92ls0x»",
            "-----BEGIN PRIVATE KEY-----\n«MIIEvQIBADANBgkqhkiG9w0BAQ»\n-----END PRIVATE KEY-----\n",
        ],
        &[
            "private_key_id: 9f8e7d6c5b4a9f8e7d6c5b4a",
            "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n-----END PUBLIC KEY-----",
        ],
    ),
    of(
        "credential",
        &["credential: «a8f3kd92ls0»"],
        &["credentials: include", "credential_process = aws-vault"],
    ),
    of("auth", &["_auth=«YWRhOmh1bnRlcjI3»"], &["auth: oauth2", "auth_type=basic"]),
    of("session", &["sessionid=«a8f3kd92ls0»"], &["session_timeout=1800", "session: 12 messages"]),
    of(
        "cookie",
        &["Cookie: «sid=a8f3kd92ls0; theme=dark»", "Set-Cookie: «sid=a8f3kd92ls0»; Path=/"],
        &["Cookies: enabled", "cookie_policy=strict"],
    ),
    of(
        "authorization",
        &["Authorization: token «a8f3kd92ls0»", "{'Authorization': 'Bearer «a8f3kd92ls0»'}"],
        &[
            "Access-Control-Allow-Headers: Authorization, Content-Type",
            "Authorization: Bearer ${TOKEN}",
        ],
    ),
    of(
        "bearer_token",
        &["sent bearer «a8f3kd92ls0a8f3kd92»"],
        &["bearer of good news", "token_type=bearer"],
    ),
    of(
        "basic_auth",
        &["sent Basic «YWRhOmh1bnRlcjI=»"],
        &["Basic realm=\"x\"", "basic understanding"],
    ),
    of(
        "url_password",
        &["postgres://app:«tr0ub4dor»@db:5432/app"],
        &["postgres://app@db:5432/app", "http://localhost:8080/a@b"],
    ),
    of("url_parameter", &["/geo?key=«a8f3kd92ls0a8f3kd92»"], &["/search?key=name&page=2"]),
    of(
        "url_signature",
        &["?sp=r&sig=«a8f3kd92ls0a8f3kd92%3D»"],
        &["sig=SIGTERM", "signature=fn(a)"],
    ),
    of(
        "jwt",
        &["«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2lnbmF0dXJl»"],
        &["{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "eyJ2ZXJzaW9uIjozfQ=="],
    ),
    of(
        "discord_token",
        &["«MTA4NDU2Nzg5MDEyMzQ1Njc4.GhIjKl.abcdefghijklmnopqrstuvwxyz0123456789AB»"],
        &["MTA4NDU2Nzg5.GhIjKl.abc"],
    ),
    of("known_value", &[], &[]),
];

#[test]
fn every_kind_replaces_and_leaves_what_it_says() {
    let redactor = crate::Redactor::builtin();
    let mut wrong = Vec::new();
    for Examples { kind, matches, leaves } in EXAMPLES {
        for example in *matches {
            let text = example.replace(['«', '»'], "");
            let (head, tail) = example.split_once('«').expect("a secret");
            let (secret, tail) = tail.split_once('»').expect("an end");
            let (clean, report) = redactor.redact_report(&text);
            let whole = clean.starts_with(head) && clean.ends_with(tail);
            let right = !clean.contains(secret) && report.counts.contains_key(*kind);
            if !right || !(whole || text.contains("-----BEGIN")) {
                wrong.push(format!("{kind}: {example} -> {clean}"));
            }
        }
        for text in *leaves {
            let clean = redactor.redact(text);
            if clean != *text {
                wrong.push(format!("{kind} leaves: {text} -> {clean}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_that_is_no_shape_has_examples() {
    let compiled = &crate::compiled::BUILTIN;
    for anchor in compiled.index.anchors() {
        let kind = compiled.kind(anchor.kind);
        let shape = matches!(anchor.rule, crate::index::Rule::Shape(_));
        assert!(shape || EXAMPLES.iter().any(|e| e.kind == kind), "{kind}");
    }
}
