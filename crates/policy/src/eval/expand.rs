//! Expanding words: tilde, braces, parameters, substitutions, splitting.

use super::{Arg, Eval, Flow, Shell, Taint, UNKNOWN};
use crate::shell::{Part, Word, expand_braces};

/// Fields one command may have; more are dropped and noted.
const MAX_FIELDS: usize = 2_000;

// Fields being put together.
#[derive(Default)]
struct Fields {
    done: Vec<Arg>,
    current: Arg,
    open: bool,
}

impl Fields {
    fn text(&mut self, text: &str, taint: &Taint) {
        self.current.text.push_str(text);
        if *taint != Taint::None {
            self.current.taint = std::mem::take(&mut self.current.taint).worse(taint.clone());
        }
        self.open = true;
    }

    fn cut(&mut self) {
        if std::mem::take(&mut self.open) {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    // Unquoted expansions split at the separators.
    fn split(&mut self, text: &str, taint: &Taint, separators: &[char]) {
        let mut first = true;
        for piece in text.split(|c: char| separators.contains(&c)) {
            if !std::mem::take(&mut first) {
                self.cut();
            }
            if !piece.is_empty() {
                self.text(piece, taint);
            }
        }
    }
}

impl Eval<'_> {
    /// Expands words to arguments.
    pub(crate) fn words(&mut self, shell: &mut Shell, words: &[Word]) -> Vec<Arg> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            if out.len() > MAX_FIELDS {
                self.unanalysed(super::Unanalysed::Fuel);
                break;
            }
            match expand_braces(&word.parts) {
                None => self.fields(shell, &word.parts, word.span, &mut out),
                Some(words) => {
                    for parts in words {
                        self.fields(shell, &parts, word.span, &mut out);
                    }
                }
            }
        }
        out
    }

    /// Expands a word to one value: no splitting, as in assignments and redirections.
    pub(crate) fn one(&mut self, shell: &mut Shell, word: &Word) -> Arg {
        let mut arg = Arg::new("", word.span);
        for (at, part) in word.parts.iter().enumerate() {
            let (values, taint) = self.part(shell, part, at == 0);
            arg.text.push_str(&values.join(" "));
            arg.taint = arg.taint.worse(taint);
        }
        arg
    }

    fn fields(
        &mut self,
        shell: &mut Shell,
        parts: &[Part],
        span: crate::shell::Span,
        out: &mut Vec<Arg>,
    ) {
        let separators: Vec<char> = match shell.vars.get("IFS").and_then(|v| v.values.first()) {
            Some(ifs) if !ifs.is_empty() => ifs.chars().collect(),
            _ => vec![' ', '\t', '\n'],
        };
        let mut fields = Fields::default();
        for (at, part) in parts.iter().enumerate() {
            let (values, taint) = self.part(shell, part, at == 0);
            match part {
                Part::Text { .. } | Part::Process { .. } | Part::Arithmetic { .. } => {
                    for value in &values {
                        fields.text(value, &taint);
                    }
                }
                Part::Param { quoted, .. } | Part::Command { quoted, .. } => {
                    // `"$@"` and `"${a[@]}"` keep their elements apart.
                    for (i, value) in values.iter().enumerate() {
                        if i > 0 {
                            fields.cut();
                        }
                        if *quoted {
                            fields.text(value, &taint);
                        } else {
                            fields.split(value, &taint, &separators);
                        }
                    }
                }
            }
        }
        fields.cut();
        out.extend(fields.done.into_iter().map(|mut arg| {
            arg.span = span;
            arg
        }));
    }

    // Text is the common case and needs no guard; everything else may hold more words.
    fn part(&mut self, shell: &mut Shell, part: &Part, first: bool) -> (Vec<String>, Taint) {
        if matches!(part, Part::Text { .. }) {
            return self.expansion(shell, part, first);
        }
        self.enter(|eval| eval.expansion(shell, part, first))
            .unwrap_or_else(|| (vec![UNKNOWN.to_string()], Taint::None))
    }

    fn expansion(&mut self, shell: &mut Shell, part: &Part, first: bool) -> (Vec<String>, Taint) {
        match part {
            Part::Text { text, quoted } => {
                let text = if first && !quoted && text.starts_with('~') {
                    self.tilde(shell, text)
                } else {
                    text.clone()
                };
                (vec![text], Taint::None)
            }
            Part::Param { param, .. } => self.param(shell, param),
            Part::Command { body, .. } => {
                let cwd = shell.cwd.clone();
                self.captured += 1;
                let flow = self.seq(shell, body, &Flow::empty());
                self.captured -= 1;
                shell.cwd = cwd;
                substituted(&flow)
            }
            Part::Process { body, input } => {
                let cwd = shell.cwd.clone();
                let stdin = self.stdin.clone();
                let flow = self.seq(shell, body, &stdin);
                shell.cwd = cwd;
                let path = format!("/dev/fd/{}", 63 + self.files.len());
                if *input {
                    self.files.insert(path.clone(), flow);
                }
                (vec![path], Taint::None)
            }
            Part::Arithmetic { text, words } => {
                for word in words.iter() {
                    self.one(shell, word);
                }
                let number = text.trim();
                let known = number.bytes().all(|b| b.is_ascii_digit()) && !number.is_empty();
                (vec![if known { number.to_owned() } else { super::SOME.to_string() }], Taint::None)
            }
        }
    }

    fn tilde(&self, shell: &Shell, text: &str) -> String {
        let (user, rest) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let base = match user {
            "~" => match shell.vars.get("HOME").and_then(|home| home.values.first()) {
                Some(home) => home.clone(),
                None => self.home.clone(),
            },
            "~+" => shell.cwd.clone(),
            "~-" => UNKNOWN.to_string(),
            "~root" => "/root".to_owned(),
            named => format!("/home/{}", named.trim_start_matches('~')),
        };
        base + rest
    }
}

// What a command substitution becomes.
fn substituted(flow: &Flow) -> (Vec<String>, Taint) {
    if let Some(text) = &flow.text {
        return (vec![text.trim_end_matches('\n').to_owned()], flow.taint.clone());
    }
    if !flow.paths.is_empty() {
        return (vec![flow.paths.join("\n")], Taint::None);
    }
    (vec![UNKNOWN.to_string()], flow.taint.clone())
}

/// The values that a flow gives to `xargs` and the like, one a word.
pub(crate) fn items(flow: &Flow, delimiter: Option<char>) -> Vec<Arg> {
    let spread = |text: &str| -> Vec<Arg> {
        let cut: Vec<&str> = match delimiter {
            Some(c) => text.split(c).collect(),
            None => text.split_whitespace().collect(),
        };
        cut.into_iter()
            .filter(|item| !item.is_empty())
            .take(64)
            .map(|item| Arg::new(item.trim_matches(['\'', '"', '\n']), (0, 0)))
            .collect()
    };
    match &flow.text {
        Some(text) => spread(text),
        None if !flow.paths.is_empty() => {
            flow.paths.iter().map(|path| Arg::new(path.as_str(), (0, 0))).collect()
        }
        None => vec![Arg { text: UNKNOWN.to_string(), span: (0, 0), taint: flow.taint.clone() }],
    }
}
