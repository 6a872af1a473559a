//! `find` and its kin: what they delete and what they run.

use crate::eval::{Arg, Eval, Flow, SOME, Shell};

use super::fs::delete_path;

pub(super) fn run(
    eval: &mut Eval<'_>,
    shell: &mut Shell,
    name: &str,
    args: &[Arg],
) -> Option<Flow> {
    match name {
        "find" | "gfind" | "bfs" => Some(find(eval, shell, args)),
        "fd" | "fdfind" => fd(eval, shell, args),
        _ => None,
    }
}

const FILTERS: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-regex",
    "-iregex",
    "-mtime",
    "-mmin",
    "-newer",
    "-size",
    "-empty",
    "-user",
    "-ctime",
    "-cmin",
    "-atime",
    "-amin",
    "-group",
    "-nouser",
    "-lname",
    "-links",
    "-samefile",
    "-inum",
    "-newermt",
];

fn find(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) -> Flow {
    let mut at = 1;
    while args
        .get(at)
        .is_some_and(|a| matches!(a.text.as_str(), "-H" | "-L" | "-P") || a.text.starts_with("-O"))
    {
        at += 1;
    }
    let mut starts: Vec<&Arg> = Vec::new();
    while let Some(arg) = args.get(at) {
        if arg.text.starts_with(['-', '(', '!']) {
            break;
        }
        starts.push(arg);
        at += 1;
    }
    let expression = args.get(at..).unwrap_or_default();
    let items = items(&starts, expression);
    let mut rest = expression.iter().enumerate();
    let mut silent = false;
    while let Some((at, arg)) = rest.next() {
        match arg.text.as_str() {
            "-delete" => {
                for (item, span) in &items {
                    delete_path(eval, shell, item, true, *span);
                }
                silent = true;
            }
            "-exec" | "-execdir" | "-ok" | "-okdir" => {
                let tail = expression.get(at + 1..).unwrap_or_default();
                let end =
                    tail.iter().position(|a| a.text == ";" || a.text == "+").unwrap_or(tail.len());
                let command = tail.get(..end).unwrap_or_default();
                for (item, _) in &items {
                    let line = substitute(command, item);
                    eval.run(shell, &line, &Flow::empty());
                }
                if end > 0 {
                    rest.nth(end - 1);
                }
            }
            "-fprint" | "-fprintf" | "-fls" | "-fprint0" => {
                if let Some(file) = expression.get(at + 1) {
                    super::write_path(eval, shell, &file.text.clone(), file.span, None);
                }
            }
            _ => {}
        }
    }
    if silent {
        return Flow::empty();
    }
    Flow::paths(items.into_iter().map(|(item, _)| item).collect())
}

// The paths the expression would touch: a start path itself, or something below it.
fn items(starts: &[&Arg], expression: &[Arg]) -> Vec<(String, crate::shell::Span)> {
    let mut negated = false;
    let mut filters = Vec::new();
    let mut excludes = false;
    let mut below_only = false;
    for (at, arg) in expression.iter().enumerate() {
        match arg.text.as_str() {
            "!" | "-not" => negated = true,
            text if FILTERS.contains(&text) => {
                if std::mem::take(&mut negated) {
                    excludes = true;
                } else {
                    filters.push((text, expression.get(at + 1).map_or("", |a| a.text.as_str())));
                }
            }
            "-mindepth" => below_only = true,
            _ => {}
        }
    }
    // A filter that everything passes is none.
    filters
        .retain(|(name, value)| !(name.contains("name") && matches!(*value, "*" | "**" | "*.*")));
    let dot = Arg::new(".", (0, 0));
    let starts: Vec<&Arg> = if starts.is_empty() { vec![&dot] } else { starts.to_vec() };
    let mut out = Vec::new();
    for start in starts {
        let base = start.text.trim_end_matches('/');
        if filters.is_empty() {
            let whole =
                if excludes || below_only { format!("{base}/*") } else { start.text.clone() };
            out.push((whole, start.span));
            continue;
        }
        let names: Vec<&str> = filters
            .iter()
            .filter(|(name, value)| name.ends_with("name") && !value.contains(['*', '?', '[']))
            .map(|(_, value)| *value)
            .collect();
        if names.is_empty() {
            out.push((format!("{base}/{SOME}"), start.span));
        }
        for name in names {
            out.push((format!("{base}/{SOME}/{name}"), start.span));
        }
    }
    out
}

fn substitute(command: &[Arg], item: &str) -> Vec<Arg> {
    command
        .iter()
        .map(|arg| Arg {
            text: arg.text.replace("{}", item),
            span: arg.span,
            taint: arg.taint.clone(),
        })
        .collect()
}

fn fd(eval: &mut Eval<'_>, shell: &mut Shell, args: &[Arg]) -> Option<Flow> {
    let at = args
        .iter()
        .position(|a| matches!(a.text.as_str(), "-x" | "--exec" | "-X" | "--exec-batch"))?;
    let roots: Vec<&Arg> = args
        .get(1..at)
        .unwrap_or_default()
        .iter()
        .filter(|a| !a.text.starts_with('-'))
        .skip(1)
        .collect();
    let base = roots.first().map_or("./", |a| a.text.as_str());
    let item = format!("{}/{SOME}", base.trim_end_matches('/'));
    let mut command = substitute(args.get(at + 1..).unwrap_or_default(), &item);
    if !args.iter().any(|a| a.text.contains("{}")) {
        command.push(Arg::new(item, (0, 0)));
    }
    Some(eval.run(shell, &command, &Flow::empty()))
}
