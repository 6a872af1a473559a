//! Text tools whose output is known when their input is: what they print can be analysed.

use std::rc::Rc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Arg, Flow, SOME, Taint, UNKNOWN, is_unknown};

/// Longest text that is folded.
const MAX_TEXT: usize = 65_536;

/// What a text tool prints, if it is one of those we can follow.
pub(crate) fn fold(name: &str, args: &[Arg], stdin: &Flow) -> Option<Flow> {
    let rest = args.get(1..).unwrap_or_default();
    let taint = rest.iter().fold(Taint::None, |taint, arg| taint.worse(arg.taint.clone()));
    let flow = match name {
        "echo" => Flow::text(echo(rest)),
        "printf" => Flow::text(printf(rest)?),
        "true" | ":" | "false" | "cd" => Flow::empty(),
        "yes" => Flow::program("yes"),
        "seq" => Flow::text(seq(rest)?),
        "basename" => Flow::text(basename(rest)?),
        "dirname" => Flow::text(dirname(rest)?),
        "base64" | "base32" | "xxd" | "rev" | "tr" | "sed" | "cut" | "head" | "tail" | "sort"
        | "uniq" | "tac" | "fold" | "awk" | "gawk" | "hex" | "od" | "openssl" | "gunzip"
        | "zcat" | "gzip" | "bzip2" | "bunzip2" | "xz" | "unxz" | "zstd" | "lz4" | "brotli"
        | "uudecode" | "iconv" | "hexdump" | "gpg" | "grep" | "paste" | "column" | "fmt" | "nl"
        | "strings" | "envsubst" | "sponge" | "pv" | "cat" | "tee" | "jq" | "yq" | "xargs"
        | "perl" | "dos2unix" | "expand" | "rot13" | "basenc" | "tac-" | "egrep" | "rg"
        | "mbuffer" | "buffer" => filter(name, rest, stdin)?,
        _ => return None,
    };
    Some(Flow { taint: flow.taint.clone().worse(taint), ..flow })
}

/// Whether the command passes on what it reads.
pub(crate) fn is_filter(name: &str) -> bool {
    !matches!(
        name,
        "wc" | "sha256sum"
            | "md5sum"
            | "sha1sum"
            | "shasum"
            | "cksum"
            | "sum"
            | "b2sum"
            | "test"
            | "true"
            | "false"
            | "echo"
            | "printf"
    )
}

fn filter(name: &str, args: &[Arg], stdin: &Flow) -> Option<Flow> {
    let flags: Vec<&str> = args.iter().map(|a| a.text.as_str()).collect();
    let short =
        |c: char| flags.iter().any(|f| f.starts_with('-') && !f.starts_with("--") && f.contains(c));
    let long = |name: &str| flags.iter().any(|f| f.starts_with(name));
    let decodes = match name {
        "base64" | "base32" | "basenc" => short('d') || short('D') || long("--d"),
        "xxd" => short('r'),
        "openssl" => short('d') || flags.contains(&"-d"),
        "gunzip" | "zcat" | "bunzip2" | "unxz" | "uudecode" => true,
        "gzip" | "bzip2" | "xz" | "zstd" | "lz4" | "brotli" | "gpg" => short('d') || long("--d"),
        _ => false,
    };
    let text = stdin.text.as_deref();
    let known = text.filter(|text| text.len() <= MAX_TEXT);
    let out = match (name, known) {
        ("base64", Some(text)) if decodes => decode_base64(text),
        ("base32" | "basenc", Some(_)) if decodes => None,
        ("base64", Some(text)) => {
            Some(base64::engine::general_purpose::STANDARD.encode(text.as_bytes()) + "\n")
        }
        ("xxd", Some(text)) if decodes => unhex(text),
        ("openssl", Some(text)) if decodes && long("base64") | long("enc") => decode_base64(text),
        ("rev", Some(text)) => Some(
            text.lines().map(|l| l.chars().rev().collect::<String>() + "\n").collect::<String>(),
        ),
        ("tac", Some(text)) => Some(text.lines().rev().flat_map(|l| [l, "\n"]).collect::<String>()),
        ("tr", Some(text)) => translate(&flags, text),
        (
            "cat" | "tee" | "sponge" | "pv" | "fmt" | "iconv" | "dos2unix" | "envsubst" | "buffer",
            Some(text),
        ) if args.iter().all(|a| a.text.starts_with('-') || name == "tee") => Some(text.to_owned()),
        (
            "head" | "tail" | "sort" | "uniq" | "grep" | "egrep" | "cut" | "sed" | "awk",
            Some(text),
        ) => edit(name, &flags, text),
        _ => None,
    };
    if let Some(out) = out {
        return Some(Flow { text: Some(Rc::from(out)), ..stdin.clone() });
    }
    // A file argument brings data of its own.
    let taint = if decodes && (stdin.taint != Taint::None || text.is_some()) {
        stdin.taint.clone().worse(Taint::Decoded)
    } else if decodes {
        Taint::Decoded
    } else if text == Some("") {
        return None;
    } else {
        stdin.taint.clone().worse(Taint::Program(Rc::from(name)))
    };
    let paths = if decodes { Vec::new() } else { stdin.paths.clone() };
    Some(Flow { text: None, taint, paths })
}

fn echo(args: &[Arg]) -> String {
    let mut newline = true;
    let mut escapes = false;
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        match arg.text.strip_prefix('-') {
            Some(f) if !f.is_empty() && f.chars().all(|c| matches!(c, 'n' | 'e' | 'E')) => {
                newline &= !f.contains('n');
                escapes |= f.contains('e');
                at += 1;
            }
            _ => break,
        }
    }
    let words: Vec<&str> =
        args.get(at..).unwrap_or_default().iter().map(|a| a.text.as_str()).collect();
    let mut text = words.join(" ");
    if escapes {
        text = unescape(&text);
    }
    if newline {
        text.push('\n');
    }
    text
}

/// Backslash escapes as `echo -e`, `printf` and `$'...'` read them.
pub(crate) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escaped) = chars.next() else {
            out.push('\\');
            break;
        };
        let (radix, longest) = match escaped {
            'n' => {
                out.push('\n');
                continue;
            }
            't' => {
                out.push('\t');
                continue;
            }
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => (8, if escaped == '0' { 3 } else { 2 }),
            'a' | 'b' | 'c' | 'e' | 'f' | 'r' | 'v' => continue,
            other => {
                if other != '\\' && other != '"' && other != '\'' {
                    out.push('\\');
                }
                out.push(other);
                continue;
            }
        };
        let mut value = escaped.to_digit(8).filter(|_| radix == 8).unwrap_or(0);
        for _ in 0..longest {
            match chars.peek().and_then(|c| c.to_digit(radix)) {
                Some(digit) => {
                    value = value.wrapping_mul(radix).wrapping_add(digit);
                    chars.next();
                }
                None => break,
            }
        }
        out.push(char::from_u32(value).unwrap_or(SOME));
    }
    out
}

fn printf(args: &[Arg]) -> Option<String> {
    let mut args = args;
    if let [flag, ..] = args
        && flag.text == "-v"
    {
        return Some(String::new());
    }
    if let [flag, rest @ ..] = args
        && flag.text == "--"
    {
        args = rest;
    }
    let (format, values) = args.split_first()?;
    if is_unknown(&format.text) && format.text.starts_with(UNKNOWN) {
        return None;
    }
    let mut out = String::new();
    let mut values = values.iter();
    let rounds = values.len().clamp(1, 64);
    for _ in 0..rounds {
        let before = values.len();
        let mut chars = format.text.chars().peekable();
        let mut literal = String::new();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            out.push_str(&unescape(&std::mem::take(&mut literal)));
            if chars.peek() == Some(&'%') {
                chars.next();
                out.push('%');
                continue;
            }
            let mut conversion = chars.next();
            while conversion.is_some_and(|c| c.is_ascii_digit() || "-+ #.*'".contains(c)) {
                conversion = chars.next();
            }
            let value = values.next().map_or("", |arg| arg.text.as_str());
            match conversion {
                Some('b') => out.push_str(&unescape(value)),
                _ => out.push_str(value),
            }
            if out.len() > MAX_TEXT {
                return None;
            }
        }
        out.push_str(&unescape(&literal));
        if values.len() == 0 || values.len() == before {
            break;
        }
    }
    Some(out)
}

fn seq(args: &[Arg]) -> Option<String> {
    let numbers: Vec<i64> = args.iter().filter_map(|a| a.text.parse().ok()).collect();
    let (from, to) = match numbers.as_slice() {
        [to] => (1, *to),
        [from, to] | [from, _, to] => (*from, *to),
        _ => return None,
    };
    let lines: Vec<String> = (from..=to).take(16).map(|n| n.to_string()).collect();
    Some(lines.join("\n") + "\n")
}

fn basename(args: &[Arg]) -> Option<String> {
    let path = &args.iter().find(|a| !a.text.starts_with('-'))?.text;
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    Some(format!("{name}\n"))
}

fn dirname(args: &[Arg]) -> Option<String> {
    let path = &args.first()?.text;
    let cut = path.trim_end_matches('/').rsplit_once('/');
    Some(match cut {
        Some(("", _)) => "/\n".into(),
        Some((dir, _)) => format!("{dir}\n"),
        None => ".\n".into(),
    })
}

/// Base64 in any usual spelling, if the outcome is text.
pub(crate) fn decode_base64(text: &str) -> Option<String> {
    let clean: String = text.chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    if clean.is_empty() || clean.len() > MAX_TEXT {
        return None;
    }
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let config = config.with_decode_allow_trailing_bits(true);
    let alphabet = if clean.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    let bytes = GeneralPurpose::new(&alphabet, config).decode(clean).ok()?;
    String::from_utf8(bytes).ok()
}

/// Hexadecimal digits to text.
pub(crate) fn unhex(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    String::from_utf8(hex::decode(digits).ok()?).ok()
}

fn char_set(set: &str) -> Option<Vec<char>> {
    let expanded = unescape(set)
        .replace("[:lower:]", "a-z")
        .replace("[:upper:]", "A-Z")
        .replace("[:digit:]", "0-9")
        .replace("[:space:]", " \n\t");
    let chars: Vec<char> = expanded.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(&end)) if end >= c => {
                out.extend(c..=end);
                at += 3;
            }
            _ => {
                out.push(c);
                at += 1;
            }
        }
        if out.len() > 512 {
            return None;
        }
    }
    Some(out)
}

fn translate(flags: &[&str], text: &str) -> Option<String> {
    let sets: Vec<&str> =
        flags.iter().copied().filter(|f| !f.starts_with('-') || f.len() == 1).collect();
    let delete = flags.iter().any(|f| f.starts_with('-') && f.len() > 1 && f.contains('d'));
    if flags.iter().any(|f| matches!(*f, "-c" | "-C" | "-cd" | "-dc")) {
        return None;
    }
    let from = char_set(sets.first()?)?;
    if delete {
        return Some(text.chars().filter(|c| !from.contains(c)).collect());
    }
    let to = char_set(sets.get(1)?)?;
    let last = *to.last()?;
    Some(
        text.chars()
            .map(|c| match from.iter().position(|f| *f == c) {
                Some(at) => to.get(at).copied().unwrap_or(last),
                None => c,
            })
            .collect(),
    )
}

// Line tools: an outcome where it is easy to know, `None` otherwise.
fn edit(name: &str, flags: &[&str], text: &str) -> Option<String> {
    match name {
        "sort" | "uniq" | "tail" | "head" if text.lines().count() <= 1 => {
            flags.iter().all(|f| !f.contains('c')).then(|| text.to_owned())
        }
        "sed" => {
            let script = flags.iter().find(|f| !f.starts_with('-'))?;
            let mut chars = script.strip_prefix('s')?.chars();
            let delimiter = chars.next()?;
            let body = chars.as_str();
            let mut parts = body.split(delimiter);
            let (from, to, options) = (parts.next()?, parts.next()?, parts.next()?);
            let plain = |t: &str| !t.contains(['\\', '.', '*', '[', '^', '$', '&']);
            if from.is_empty() || !plain(from) || !plain(to) || parts.next().is_some() {
                return None;
            }
            Some(if options.contains('g') {
                text.replace(from, to)
            } else {
                text.lines().map(|l| l.replacen(from, to, 1) + "\n").collect()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, args: &[&str], stdin: &str) -> Option<String> {
        let mut all = vec![Arg::new(name, (0, 0))];
        all.extend(args.iter().map(|a| Arg::new(*a, (0, 0))));
        fold(name, &all, &Flow::text(stdin)).and_then(|f| f.text).map(|t| t.to_string())
    }

    #[test]
    fn text_tools_fold() {
        for (name, args, stdin, expected) in [
            ("echo", &["-n", "a", "b"][..], "", Some("a b")),
            ("echo", &["-e", r"\x72m"], "", Some("rm\n")),
            ("printf", &["%s-%s", "a", "b"], "", Some("a-b")),
            ("printf", &[r"\162\155"], "", Some("rm")),
            ("base64", &["-d"], "cm0=", Some("rm")),
            ("base64", &["--decode"], "cm0", Some("rm")),
            ("xxd", &["-r", "-p"], "726d", Some("rm")),
            ("rev", &[], "mr", Some("rm\n")),
            ("tr", &["a-y", "b-z"], "ql", Some("rm")),
            ("tr", &["-d", "x"], "rxm", Some("rm")),
            ("sed", &["s/X/m/"], "rX", Some("rm\n")),
        ] {
            assert_eq!(run(name, args, stdin).as_deref(), expected, "{name} {args:?}");
        }
    }
}
