//! Command-line options as tools read them.

use crate::eval::Arg;
use crate::shell::Span;

/// Options and words of a command.
#[derive(Debug, Default)]
pub(crate) struct Opts<'a> {
    /// `-r`, `--force`; of `--key=value` the `--key`.
    pub(crate) flags: Vec<String>,
    /// Options with their values.
    pub(crate) values: Vec<(String, Arg)>,
    /// Everything else.
    pub(crate) words: Vec<&'a Arg>,
}

impl<'a> Opts<'a> {
    /// Reads the arguments after the command's name. `takes` names the options with a value.
    pub(crate) fn scan(args: &'a [Arg], takes: &[&str]) -> Self {
        let mut out = Self::default();
        let mut rest = args.iter().skip(1);
        while let Some(arg) = rest.next() {
            if arg.text == "--" {
                out.words.extend(rest);
                break;
            }
            out.option(arg, &mut rest, takes);
        }
        out
    }

    fn option(&mut self, arg: &'a Arg, rest: &mut impl Iterator<Item = &'a Arg>, takes: &[&str]) {
        let text = arg.text.as_str();
        if !text.starts_with('-') || text == "-" {
            self.words.push(arg);
            return;
        }
        if text.starts_with("--") || takes.contains(&text) {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) if text.starts_with("--") => (name, Some(value)),
                _ => (text, None),
            };
            self.flags.push(name.to_owned());
            if let Some(value) = value {
                let value =
                    Arg { text: value.to_owned(), span: arg.span, taint: arg.taint.clone() };
                self.values.push((name.to_owned(), value));
            } else if takes.contains(&name)
                && let Some(value) = rest.next()
            {
                self.values.push((name.to_owned(), value.clone()));
            }
            return;
        }
        self.cluster(arg, rest, takes);
    }

    // `-rf`, `-n5`, `-ofile`.
    fn cluster(&mut self, arg: &'a Arg, rest: &mut impl Iterator<Item = &'a Arg>, takes: &[&str]) {
        let body = arg.text.get(1..).unwrap_or_default();
        for (at, c) in body.char_indices() {
            let name = format!("-{c}");
            let takes_value = takes.contains(&name.as_str());
            self.flags.push(name.clone());
            if takes_value {
                let tail = body.get(at + c.len_utf8()..).unwrap_or_default();
                let value = if tail.is_empty() {
                    rest.next().cloned()
                } else {
                    Some(Arg { text: tail.to_owned(), span: arg.span, taint: arg.taint.clone() })
                };
                self.values.extend(value.map(|value| (name, value)));
                return;
            }
        }
    }

    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.flags.iter().any(|flag| names.contains(&flag.as_str()))
    }

    /// The values of any of these options.
    pub(crate) fn all<'s>(&'s self, names: &'s [&str]) -> impl Iterator<Item = &'s Arg> {
        self.values.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, v)| v)
    }

    pub(crate) fn value(&self, names: &[&str]) -> Option<&Arg> {
        self.values.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, v)| v)
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |arg| arg.text.as_str())
    }
}

/// Where the options of a wrapper end and its command begins.
pub(crate) fn command_start(args: &[Arg], takes: &[&str], skip: usize) -> usize {
    let mut at = 1;
    let mut skip = skip;
    while let Some(arg) = args.get(at) {
        let text = arg.text.as_str();
        if text == "--" {
            at += 1 + skip;
            break;
        }
        if text.starts_with('-') && text.len() > 1 {
            let name = text.split('=').next().unwrap_or(text);
            let alone = takes.contains(&name) && !text.contains('=');
            // `-xyu NAME`: the last letter of a cluster takes the value.
            let last = text.chars().last().map(|c| format!("-{c}")).unwrap_or_default();
            let in_cluster =
                !text.starts_with("--") && text.len() > 2 && takes.contains(&last.as_str());
            let short_joined = !text.starts_with("--")
                && text.get(..2).is_some_and(|two| takes.contains(&two) && text.len() > 2);
            at += if alone || in_cluster && !short_joined { 2 } else { 1 };
        } else if skip > 0 {
            skip -= 1;
            at += 1;
        } else {
            break;
        }
    }
    at.min(args.len())
}

/// Whether any argument is exactly one of these.
pub(crate) fn raw(args: &[Arg], names: &[&str]) -> bool {
    args.iter().any(|arg| names.contains(&arg.text.as_str()))
}

/// The span of all the arguments.
pub(crate) fn span_of(args: &[Arg]) -> Span {
    let start = args.first().map_or(0, |a| a.span.0);
    let end = args.iter().map(|a| a.span.1).max().unwrap_or(start);
    (start, end.max(start))
}
