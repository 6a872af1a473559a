//! The reference page of the rules, written from the tables and compared by a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::compiled::SPECIALS;
use crate::context::WORDS;
use crate::examples::EXAMPLES;
use crate::shapes::SHAPES;

/// Why the rules that are code replace what they replace, by kind.
const MEANINGS: &[(&str, &str)] = &[
    ("authorization", "the credential of an `Authorization` header, after its scheme"),
    ("basic_auth", "base64 of `user:password` after `Basic`"),
    ("bearer_token", "a token after `Bearer`"),
    ("cookie", "a `Cookie` header's value, and of `Set-Cookie` the cookie's value"),
    ("discord_token", "base64 of a bot's number, a time and a code, joined by dots"),
    ("jwt", "three parts in base64url of which the first names an algorithm"),
    ("known_value", "a value this process knows, in every usual encoding"),
    (
        "password",
        "`login X password Y`, `-u user:password`, `host:5432:db:user:password`, `sshpass -p`, \
         `requirepass X`, `mysql -pX`, `redis-cli -a X`, `ldapsearch -w X`, `sqlcmd -P X`, \
         `mosquitto_pub -P X`",
    ),
    (
        "private_key",
        "from `-----BEGIN ... PRIVATE KEY-----` to its end, also with escaped line breaks",
    ),
    ("url_parameter", "a long value of `key=` or `code=` in a query"),
    ("url_password", "the password of `scheme://user:password@host`"),
    ("url_signature", "a value of `sig=` or `signature=` in a query"),
];

const HEAD: &str = "\
# Redaction rules

Written from the rules' tables in `crates/redaction`; a test compares. Do not edit by hand:
`AIRLOCK_REGENERATE=1 cargo test -p airlock-redaction page` writes it anew.

A secret is replaced by `[REDACTED:kind]`. What may be the beginning of one is held back,
usually under 128 bytes and never over 16 KiB, and the result does not depend on how the
bytes arrived.

";

const SHAPES_HEAD: &str = "\
## Known by their look

A body is written as a class and a length: `a` letters and digits, `l` lower case and digits,
`u` upper case and digits, `h` hexadecimal, `d` digits, `w` letters, digits, `_` and `-`, `b`
base64, `B` base32, `L` letters, `t` and `p` tokens with `.~` or `%`, `.` as `w` with dots.
`a36+` is at least 36 of them, `h32` exactly 32, `w20-64` a range; `'x'` stands for itself.
A token must not begin in the middle of a word, and a body made of few different bytes or of
`xxxxx` and the like is a placeholder and stays.

| kind | begins with | then |
|---|---|---|
";

const WORDS_HEAD: &str = "
## Known by their name

A name that holds one of these words, where what follows the word in it does not make it
harmless (`_file`, `_path`, `_name`, `_ttl`, ...), a separator, and a value. Words in capitals
count in capitals only. The value must not be a placeholder, a variable, a path, a call, a
type, a number in code or an ordinary word; in an environment's `NAME=value` any other value
counts. Separators:

| separator | the value |
|---|---|
| `name=value`, `name = value`, `name: value`, `\"name\": \"value\"`, `name => value`, `name := value`, `name: type = value`, `--name value`, `\\| name \\| value`, `[name] => value`, `name [default]: value` | as above |
| `<name>value</name>`, `<name attribute>value</name>`, `<key>name</key> <string>value</string>` | up to the closing tag |
| `name \"value\"`, `name(\"value\")`, `name{\"value\"}`, `name == \"value\"`, `\"name\", \"value\"`, `name is value`, `name: X` and `value: Y` one after the other, a form's part | must also look like nothing else: no word, no path, no name in code |

A value may stand in quotes, escaped quotes, after `b`, `r`, `f` or `$`, in `Some(...)`,
`String::from(...)` and the like, over a line's end too; terminal colours between the parts are
skipped.

| kind | words |
|---|---|
";

const SPECIALS_HEAD: &str = "
## Known by where they stand

| kind | what is replaced |
|---|---|
";

const TAIL: &str = "
## Known values

The worker's own secrets, `secretEnv`, and environment variables whose names say so are masked
wherever they stand, in these encodings; each line of twelve bytes or more alone, and from
sixteen bytes on over line breaks (wrapped base64).

| encoding | forms |
|---|---|
| none | the bytes |
| base64, base64url | at each of the three alignments, without what depends on neighbours; also percent-encoded |
| hexadecimal | either case |
| percent-encoded | RFC 3986, JavaScript's `encodeURIComponent`, Python's `quote`, `+` for blanks; either case |
| JSON | escaped once and twice, `\\/`, `\\u` for what is not ASCII, `\\u003c` as in HTML |
| shell | single quotes, double quotes, back slashes |
| XML, HTML | `&amp;` and its like, named and numbered |

A secret that this process does not know and that a command encodes itself (`base64 < key`)
looks like nothing and passes. Values under six bytes, numbers, ordinary words, paths and hosts
are not: they would hide ordinary text.

## Patterns of your own

A pattern has a `name` (the kind), a `regex` (the `regex` crate's syntax, one line at a time,
linear time), and optionally `max_length` (bytes, at most 4096, 1024 unless set), `matches` and
`leaves`: examples that are tried when the configuration is loaded. Group 1, if there is one,
is the secret; otherwise the whole match is. At most 64 patterns.

## What stays

Public keys and certificates, hashes, UUIDs, lock files' integrity values, digests, publishable
keys (`pk_live_`, `sb_publishable_`, `pk.eyJ`), account ids (`AC`, `AROA`, `AIDA`), placeholders,
and source code that speaks of passwords without holding one.
";

const EXAMPLES_HEAD: &str = "
## Examples

Each is run by a test. What is replaced stands between « and ».

| kind | replaced | stays |
|---|---|---|
";

fn code(text: &str) -> String {
    format!("`{}`", text.replace('\t', "\\t").replace('|', "\\|"))
}

fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(code).collect::<Vec<_>>().join(" ")
}

fn page() -> String {
    let mut page = format!("{HEAD}{SHAPES_HEAD}");
    for row in SHAPES {
        let before = row.before.map(|before| format!("{} before ", code(before)));
        let mut notes = String::new();
        for (holds, note) in [
            (row.strict, "; not inside of base64"),
            (row.mixed, "; of two sorts of letters and digits at least"),
            (row.keep, "; what it begins with stays"),
        ] {
            notes += if holds { note } else { "" };
        }
        let anchors = codes(row.anchors.iter().copied());
        let before = before.unwrap_or_default();
        let _ = writeln!(page, "| {} | {before}{anchors} | {}{notes} |", row.kind, code(row.body));
    }
    page += WORDS_HEAD;
    let mut words = BTreeMap::<&str, Vec<&str>>::new();
    for word in WORDS {
        words.entry(word.kind).or_default().push(word.literal);
    }
    for (kind, words) in words {
        let _ = writeln!(page, "| {kind} | {} |", codes(words));
    }
    page += SPECIALS_HEAD;
    for (kind, meaning) in MEANINGS {
        let _ = writeln!(page, "| {kind} | {meaning} |");
    }
    page += EXAMPLES_HEAD;
    let cell = |texts: &[&str]| {
        let shown = |text: &&str| format!("`{}`", text.replace('\n', "\\n").replace('|', "\\|"));
        texts.iter().map(shown).collect::<Vec<_>>().join("<br>")
    };
    for examples in EXAMPLES.iter().filter(|e| !e.matches.is_empty()) {
        let (matches, leaves) = (cell(examples.matches), cell(examples.leaves));
        let _ = writeln!(page, "| {} | {matches} | {leaves} |", examples.kind);
    }
    page + TAIL
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/redaction.md");
    if std::env::var_os("AIRLOCK_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("docs/reference");
        std::fs::write(&path, page()).expect("docs/reference/redaction.md");
    }
    let written = std::fs::read_to_string(&path).expect("docs/reference/redaction.md");
    assert!(written == page(), "AIRLOCK_REGENERATE=1 cargo test -p airlock-redaction page");
}

#[test]
fn every_kind_is_on_the_page() {
    let page = page();
    let compiled = &crate::compiled::BUILTIN;
    for anchor in compiled.index.anchors() {
        let kind = compiled.kind(anchor.kind);
        assert!(page.contains(&format!("\n| {kind} |")), "{kind}");
    }
    for (_, _, kind, _) in SPECIALS {
        assert!(MEANINGS.iter().any(|(named, _)| named == kind), "{kind}");
    }
}
