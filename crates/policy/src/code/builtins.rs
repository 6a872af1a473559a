//! Functions and methods whose result is known: texts, paths, decoding.

use super::value::{Args, Value};
use crate::eval::{Taint, UNKNOWN, decode_base64, unhex};

/// The home directory of the sandbox's user.
const HOME: &str = "/home/user";

/// The result of a function by its name; unknown where it is not in here.
pub(super) fn function(name: &str, args: &Args) -> Value {
    let first = args.first();
    let taint = args.taint();
    let last = name.rsplit('.').next().unwrap_or(name);
    let known = match last {
        "expanduser" | "expand_path" | "expandvars" => Some(home(first)),
        "homedir" | "home" | "UserHomeDir" => Some(HOME.to_owned()),
        "getcwd" | "cwd" | "pwd" => Some(".".to_owned()),
        "getenv" | "get" if first == "HOME" => Some(HOME.to_owned()),
        "gettempdir" | "tmpdir" | "mkdtemp" | "mkdtempSync" | "TemporaryDirectory" => {
            Some("/tmp/code".to_owned())
        }
        "b64decode" | "atob" | "decode64" | "base64_decode" | "urlsafe_b64decode"
        | "strict_decode64" | "decodebytes" | "a2b_base64" | "b32decode" => decode_base64(first),
        "fromhex" | "unhexlify" | "hex2bin" | "a2b_hex" => unhex(first),
        "chr" | "fromCharCode" | "bytes" | "bytearray" if numbers(args).is_some() => numbers(args),
        "from" if args.get(1).is_some_and(|e| e.first() == "base64") => decode_base64(first),
        "from" if args.get(1).is_some_and(|e| e.first() == "hex") => unhex(first),
        "decode" if args.get(1).is_some_and(|e| e.first().starts_with("rot")) => Some(rot13(first)),
        "str_rot13" => Some(rot13(first)),
        "strrev" | "reverse" => Some(first.chars().rev().collect()),
        _ => None,
    };
    if let Some(text) = known {
        return Value { taint, of: name.to_owned(), ..Value::text(text) };
    }
    match last {
        "join" | "resolve" | "joinpath" | "Join" if args.texts().len() > 1 => {
            let path = join(&args.texts());
            Value { taint, of: name.to_owned(), ..Value::text(path) }
        }
        // The same text in another dress.
        "Path" | "PurePath" | "PosixPath" | "abspath" | "realpath" | "normpath" | "String"
        | "str" | "b" | "resolve" | "URL" | "Request" | "text" | "glob" | "iglob" | "quote"
        | "bytes" | "encode" | "compile" | "unquote" | "sorted" | "list" | "tuple" | "set"
        | "scandir" | "walk" | "fspath" | "from" | "format" | "from_str" | "c_str" | "dirname"
        | "values" | "Buffer" | "reversed" => {
            let of = if matches!(last, "Path" | "PurePath" | "PosixPath") { "Path" } else { name };
            let value = args.get(0).cloned().unwrap_or_else(|| Value::text("."));
            Value { taint, of: of.to_owned(), ..value }
        }
        "decompress" | "inflate" | "gzinflate" | "gunzipSync" | "inflateSync" | "gzuncompress"
        | "b85decode" | "a85decode" | "uudecode" | "decrypt" | "fernet" => {
            let taint = taint.worse(Taint::Decoded);
            Value { taint, ..Value::unknown() }
        }
        // A decoding that could not be followed.
        "b64decode" | "atob" | "decode64" | "base64_decode" | "fromhex" | "unhexlify"
        | "hex2bin" | "urlsafe_b64decode" | "loads"
            if last != "loads" || name.contains("marshal") =>
        {
            let taint = taint.worse(Taint::Decoded);
            Value { taint, ..Value::unknown() }
        }
        _ => Value { taint, of: name.to_owned(), ..Value::unknown() },
    }
}

/// The result of a method on a value, if it is one on texts or paths.
pub(super) fn method(on: &Value, name: &str, args: &Args) -> Option<Value> {
    let is_path = on.of == "Path";
    let value = match name {
        "decode" | "encode" | "strip" | "trim" | "toString" | "to_s" | "chomp" | "resolve"
        | "absolute" | "rstrip" | "lstrip" | "as_posix" | "as_str" | "clone" | "copy"
        | "to_string" | "unwrap" | "expect" | "read" | "text" | "json" | "body" | "content"
        | "readlines" | "String" | "as_bytes" | "tobytes" | "getvalue" | "toLowerCase"
        | "splitlines" => {
            if name.starts_with("toLower") {
                on.each(str::to_lowercase)
            } else {
                on.clone()
            }
        }
        "lower" | "downcase" => on.each(str::to_lowercase),
        "upper" | "toUpperCase" | "upcase" => on.each(str::to_uppercase),
        "expanduser" => on.each(home),
        "reverse" if on.list => on.with(on.texts.iter().rev().cloned().collect()),
        "reverse" => on.each(|text| text.chars().rev().collect()),
        "format" => on.each(|text| fill(text, &args.texts())),
        "replace" | "gsub" | "sub" | "replaceAll" if args.texts().len() > 1 && !is_path => {
            let (from, to) = (args.first().to_owned(), args.texts().get(1).cloned());
            if from.is_empty() {
                return Some(on.clone());
            }
            on.each(|text| text.replace(&from, to.as_deref().unwrap_or_default()))
        }
        "concat" => on.clone().then(args.get(0).cloned().unwrap_or_default()),
        // `" ".join(list)` in Python, `list.join(" ")` elsewhere.
        "join" if on.list => {
            let by = if args.plain.is_empty() { "," } else { args.first() };
            Value { taint: on.taint.clone(), ..Value::text(on.texts.join(by)) }
        }
        "join" if args.plain.iter().any(|value| value.list) => {
            let texts = args.texts();
            Value { taint: args.taint(), ..Value::text(texts.join(on.first())) }
        }
        "joinpath" | "join" | "with_name" | "resolveSibling" => {
            let mut parts = vec![on.first().to_owned()];
            parts.extend(args.texts());
            on.with(vec![join(&parts)])
        }
        "split" | "shellsplit" | "split_whitespace" => {
            let by = if args.first().is_empty() { " " } else { args.first() };
            let texts = on.first().split(by).filter(|part| !part.is_empty());
            Value { list: true, ..on.with(texts.map(str::to_owned).collect()) }
        }
        "iterdir" | "rglob" | "glob" | "children" => {
            let pattern = if args.first().is_empty() { "*" } else { args.first() };
            Value { list: true, ..on.each(|text| join(&[text.to_owned(), pattern.to_owned()])) }
        }
        _ => return None,
    };
    Some(value)
}

fn home(text: &str) -> String {
    text.replacen("$HOME", HOME, 1)
        .strip_prefix('~')
        .map_or_else(|| text.replacen("$HOME", HOME, 1), |rest| format!("{HOME}{rest}"))
}

fn join(parts: &[String]) -> String {
    let from = parts.iter().rposition(|part| part.starts_with('/')).unwrap_or(0);
    let mut out = String::new();
    for part in parts.get(from..).unwrap_or_default() {
        if !out.is_empty() && !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(part);
    }
    out
}

fn numbers(args: &Args) -> Option<String> {
    let texts = args.texts();
    let code = |text: &String| {
        let digits = text.strip_prefix("0x");
        let number = match digits {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        number.and_then(char::from_u32)
    };
    if texts.is_empty() { None } else { texts.iter().map(code).collect() }
}

fn rot13(text: &str) -> String {
    let turn =
        |c: char, from: u8| u8::try_from(c).map_or(c, |b| char::from((b - from + 13) % 26 + from));
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            other => other,
        })
        .collect()
}

/// `%s` and `{}` in order of the arguments.
pub(super) fn fill(text: &str, with: &[String]) -> String {
    let mut out = String::new();
    let mut next = with.iter();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let unknown = UNKNOWN.to_string();
        if c == '%' && matches!(chars.peek(), Some('s' | 'd' | 'r')) {
            chars.next();
            out.push_str(next.next().unwrap_or(&unknown));
        } else if c == '{' {
            let inner: String = chars.by_ref().take_while(|c| *c != '}').collect();
            let value = match inner.parse::<usize>() {
                Ok(at) => with.get(at),
                Err(_) => next.next(),
            };
            out.push_str(value.unwrap_or(&unknown));
        } else {
            out.push(c);
        }
    }
    out
}
