//! Parameter expansion on values that are known, or not.

use super::{Eval, SOME, Shell, Taint, UNKNOWN, Var, is_unknown};
use std::rc::Rc;

use crate::glob;
use crate::shell::{Index, Param, ParamOp};

impl Eval<'_> {
    pub(super) fn param(&mut self, shell: &mut Shell, param: &Param) -> (Vec<String>, Taint) {
        let (values, taint) = self.lookup(shell, param);
        let unset = values.is_none();
        let values = values.unwrap_or_default();
        let empty = values.iter().all(String::is_empty);
        match &param.op {
            ParamOp::Value => (if unset { unknown() } else { values }, taint),
            ParamOp::Default(word) | ParamOp::Assign(word) => {
                if !unset && !empty {
                    return (values, taint);
                }
                let value = self.one(shell, word);
                if matches!(param.op, ParamOp::Assign(_)) {
                    let var = Var::scalar(value.text.clone(), value.taint.clone());
                    shell.vars.insert(param.name.clone(), var);
                }
                (vec![value.text], value.taint)
            }
            ParamOp::Alternative(word) => {
                // An unset variable may still come from the environment: take the alternative.
                if !unset && empty {
                    return (vec![String::new()], Taint::None);
                }
                let value = self.one(shell, word);
                (vec![value.text], value.taint)
            }
            ParamOp::Required if unset => (vec![SOME.to_string()], taint),
            ParamOp::Required => (values, taint),
            ParamOp::Length => (vec![SOME.to_string()], Taint::None),
            ParamOp::Indirect => self.indirect(shell, values.first().map_or("", String::as_str)),
            ParamOp::Other => (unknown(), taint),
            _ if unset => (unknown(), taint),
            op => {
                let with = match op {
                    ParamOp::Replace { with, .. } => self.one(shell, with).text,
                    _ => String::new(),
                };
                (values.iter().map(|value| apply(op, value, &with)).collect(), taint)
            }
        }
    }

    fn indirect(&mut self, shell: &mut Shell, name: &str) -> (Vec<String>, Taint) {
        if name.is_empty() || is_unknown(name) {
            return (unknown(), Taint::None);
        }
        let param = Param { name: name.to_owned(), index: Index::None, op: ParamOp::Value };
        let (values, taint) = self.lookup(shell, &param);
        (values.unwrap_or_else(unknown), taint)
    }

    // `None`: not set as far as we know.
    fn lookup(&self, shell: &Shell, param: &Param) -> (Option<Vec<String>>, Taint) {
        if let Some(var) = shell.vars.get(&param.name) {
            let values = match &param.index {
                Index::All => var.values.clone(),
                Index::None => var.values.first().cloned().into_iter().collect(),
                Index::At(index) => match element(var, index.trim()) {
                    Some(value) => vec![value],
                    // An index that depends on the run may be any of them.
                    None => vec![if var.values.is_empty() { UNKNOWN } else { SOME }.to_string()],
                },
            };
            return (Some(values), var.taint.clone());
        }
        let known = |text: &str| (Some(vec![text.to_owned()]), Taint::None);
        match param.name.as_str() {
            "@" | "*" => {
                let taint = shell.params.iter().fold(Taint::None, |t, p| t.worse(p.taint.clone()));
                (Some(shell.params.iter().map(|p| p.text.clone()).collect()), taint)
            }
            "0" => known("bash"),
            "HOME" => known(&self.home),
            "PWD" => known(&shell.cwd),
            "IFS" => known(" \t\n"),
            "?" => known("0"),
            "#" | "$" | "!" | "RANDOM" | "SECONDS" | "UID" | "EUID" | "PPID" | "LINENO"
            | "HOSTNAME" | "EPOCHSECONDS" | "BASHPID" | "-" => known(&SOME.to_string()),
            name if name.bytes().all(|b| b.is_ascii_digit()) => {
                let at = name.parse::<usize>().unwrap_or(usize::MAX).wrapping_sub(1);
                match shell.params.get(at) {
                    Some(arg) => (Some(vec![arg.text.clone()]), arg.taint.clone()),
                    None => (None, Taint::None),
                }
            }
            name => match self.environment.get(name) {
                Some(value) => known(value),
                None => match name {
                    "TMPDIR" | "TMP" | "TEMP" | "RUNNER_TEMP" => known("/tmp"),
                    "USER" | "LOGNAME" => known("user"),
                    "SHELL" | "BASH" => known("/bin/bash"),
                    "GITHUB_WORKSPACE" | "CI_PROJECT_DIR" | "WORKSPACE" => known(&self.root),
                    _ if is_secret_name(name) => {
                        (Some(vec![SOME.to_string()]), Taint::Secret(Rc::from(name)))
                    }
                    _ => (None, Taint::None),
                },
            },
        }
    }
}

/// Whether a variable of this name usually holds a credential.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "API_KEY",
        "APIKEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
    ]
    .iter()
    .any(|mark| name.contains(mark))
}

fn unknown() -> Vec<String> {
    vec![UNKNOWN.to_string()]
}

fn element(var: &Var, index: &str) -> Option<String> {
    if let Some(at) = var.keys.iter().position(|key| key == index) {
        return var.values.get(at).cloned();
    }
    let at = match index.parse::<i64>() {
        Ok(at) if at >= 0 => usize::try_from(at).ok()?,
        Ok(at) => var.values.len().checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?,
        Err(_) => return None,
    };
    var.values.get(at).cloned()
}

fn apply(op: &ParamOp, value: &str, with: &str) -> String {
    match op {
        ParamOp::Trim { pattern, suffix, longest } => trim(value, pattern, *suffix, *longest),
        ParamOp::Replace { pattern, all, .. } => replace(value, pattern, with, *all),
        ParamOp::Slice { offset, length } => slice(value, offset, length.as_deref()),
        ParamOp::Case { upper, all } => recase(value, *upper, *all),
        _ => value.to_owned(),
    }
}

fn trim(value: &str, pattern: &str, suffix: bool, longest: bool) -> String {
    if value.len() > 4096 {
        return value.to_owned();
    }
    let mut cuts: Vec<usize> = value.char_indices().map(|(at, _)| at).collect();
    cuts.push(value.len());
    // Shortest first: for a suffix from the end, for a prefix from the start.
    if suffix != longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (head, tail) = value.split_at(cut);
        let (candidate, rest) = if suffix { (tail, head) } else { (head, tail) };
        if glob::matches(pattern, candidate) {
            return rest.to_owned();
        }
    }
    value.to_owned()
}

fn replace(value: &str, pattern: &str, with: &str, all: bool) -> String {
    let (anchor, pattern) = match pattern.chars().next() {
        Some(c @ ('#' | '%')) => (Some(c), pattern.get(1..).unwrap_or_default()),
        _ => (None, pattern),
    };
    if pattern.is_empty() && anchor.is_none() {
        return value.to_owned();
    }
    if glob::is_glob(pattern) {
        return if anchor.is_none() && pattern.chars().all(|c| c == '*') {
            with.to_owned()
        } else {
            format!("{value}{SOME}")
        };
    }
    match anchor {
        Some('#') => {
            value.strip_prefix(pattern).map_or_else(|| value.to_owned(), |r| format!("{with}{r}"))
        }
        Some(_) => {
            value.strip_suffix(pattern).map_or_else(|| value.to_owned(), |r| format!("{r}{with}"))
        }
        None if all => value.replace(pattern, with),
        None => value.replacen(pattern, with, 1),
    }
}

fn slice(value: &str, offset: &str, length: Option<&str>) -> String {
    if is_unknown(value) {
        return UNKNOWN.to_string();
    }
    let chars: Vec<char> = value.chars().collect();
    let at = |text: &str, base: usize| -> Option<usize> {
        let number = text.trim().parse::<i64>().ok()?;
        if number >= 0 {
            usize::try_from(number).ok().map(|n| (base + n).min(chars.len()))
        } else {
            chars.len().checked_sub(usize::try_from(number.unsigned_abs()).ok()?)
        }
    };
    let Some(start) = at(offset, 0) else { return UNKNOWN.to_string() };
    let end = match length {
        None => chars.len(),
        Some(length) => match at(length, start) {
            Some(end) => end,
            None => return UNKNOWN.to_string(),
        },
    };
    chars.get(start..end.max(start)).unwrap_or_default().iter().collect()
}

fn recase(value: &str, upper: bool, all: bool) -> String {
    let convert = |text: &str| if upper { text.to_uppercase() } else { text.to_lowercase() };
    if all {
        return convert(value);
    }
    let mut chars = value.chars();
    match chars.next() {
        Some(first) => convert(first.encode_utf8(&mut [0; 4])) + chars.as_str(),
        None => String::new(),
    }
}
