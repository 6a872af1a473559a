//! Walking the tree: lists, pipelines, loops, functions, redirections, simple commands.

use std::rc::Rc;

use super::{Arg, Eval, Flow, Shell, Taint, UNKNOWN, Var};
use crate::effect::EffectKind;
use crate::effects;
use crate::shell::{AssignValue, Node, Redirect, RedirectKind, Seq, Simple, Word};

/// Iterations of a loop that are looked at.
const MAX_ITERATIONS: usize = 24;

impl Eval<'_> {
    pub(crate) fn seq(&mut self, shell: &mut Shell, seq: &Seq, stdin: &Flow) -> Flow {
        let mut out = Flow::empty();
        for node in seq {
            if !self.step() {
                return Flow::default();
            }
            let flow = self.deeper(|eval| eval.node(shell, node, stdin)).unwrap_or_default();
            out = out.then(flow);
        }
        out
    }

    fn node(&mut self, shell: &mut Shell, node: &Node, stdin: &Flow) -> Flow {
        match node {
            Node::Simple(simple) => self.simple(shell, simple, stdin),
            Node::Pipeline(stages) => self.pipeline(shell, stages, stdin),
            Node::Group(body) => self.seq(shell, body, stdin),
            Node::Subshell(body) => {
                let mut inner = shell.clone();
                self.seq(&mut inner, body, stdin)
            }
            Node::Branch(parts) => {
                parts.iter().fold(Flow::empty(), |out, part| out.then(self.seq(shell, part, stdin)))
            }
            Node::For { name, words, body } => {
                self.for_loop(shell, name, words.as_ref(), body, stdin)
            }
            Node::While { condition, body } => self.while_loop(shell, condition, body, stdin),
            Node::Case { word, arms } => {
                let value = self.one(shell, word).text;
                let mut out = Flow::empty();
                for (patterns, body) in arms {
                    let known = !super::is_unknown(&value);
                    if known && !patterns.iter().any(|p| crate::glob::matches(p, &value)) {
                        continue;
                    }
                    out = out.then(self.seq(shell, body, stdin));
                }
                out
            }
            Node::Function { name, body } => {
                shell.functions.insert(name.clone(), Rc::clone(body));
                Flow::empty()
            }
            Node::Words(words) => {
                for word in words {
                    self.one(shell, word);
                }
                Flow::empty()
            }
            Node::Redirected { node, redirects } => self.redirected(shell, node, redirects, stdin),
            Node::Background(inner) => {
                self.forks += 1;
                self.node(shell, inner, stdin);
                self.forks -= 1;
                Flow::empty()
            }
        }
    }

    fn pipeline(&mut self, shell: &mut Shell, stages: &[Node], stdin: &Flow) -> Flow {
        self.forks += 1;
        let mut flow = stdin.clone();
        for stage in stages {
            let cwd = shell.cwd.clone();
            flow = self.node(shell, stage, &flow);
            shell.cwd = cwd;
        }
        self.forks -= 1;
        flow
    }

    fn for_loop(
        &mut self,
        shell: &mut Shell,
        name: &str,
        words: Option<&Vec<Word>>,
        body: &Rc<Seq>,
        stdin: &Flow,
    ) -> Flow {
        let values = match words {
            Some(words) => self.words(shell, words),
            None => shell.params.clone(),
        };
        let mut out = Flow::empty();
        for value in values.into_iter().take(MAX_ITERATIONS) {
            shell.vars.insert(name.to_owned(), Var::scalar(value.text, value.taint));
            out = out.then(self.seq(shell, body, stdin));
        }
        out
    }

    fn while_loop(
        &mut self,
        shell: &mut Shell,
        condition: &Rc<Seq>,
        body: &Rc<Seq>,
        stdin: &Flow,
    ) -> Flow {
        self.seq(shell, condition, stdin);
        if endless(condition) && spawns(body) {
            self.push(EffectKind::Process, "exhaust", "an endless loop that starts processes");
        }
        let Some(names) = read_names(condition) else {
            return self.seq(shell, body, stdin);
        };
        let lines: Vec<(String, Taint)> = match stdin.known() {
            Some(text) => text
                .lines()
                .take(MAX_ITERATIONS)
                .map(|line| (line.to_owned(), stdin.taint.clone()))
                .collect(),
            None if !stdin.paths.is_empty() => {
                stdin.paths.iter().map(|path| (path.clone(), Taint::None)).collect()
            }
            None => vec![(UNKNOWN.to_string(), stdin.taint.clone())],
        };
        let mut out = Flow::empty();
        for (line, taint) in lines {
            bind_fields(shell, &names, &line, &taint);
            out = out.then(self.seq(shell, body, stdin));
        }
        out
    }

    /// Calls a shell function.
    pub(crate) fn call(
        &mut self,
        shell: &mut Shell,
        name: &str,
        body: &Rc<Seq>,
        args: &[Arg],
        stdin: &Flow,
    ) -> Flow {
        let active = self.calls.iter().filter(|active| *active == name).count();
        if active > 0 && self.forks > 0 {
            self.push(EffectKind::Process, "bomb", name);
        }
        if active > 1 {
            return Flow::default();
        }
        let outer = std::mem::replace(&mut shell.params, args.to_vec());
        self.calls.push(name.to_owned());
        let flow = self.seq(shell, body, stdin);
        self.calls.pop();
        shell.params = outer;
        flow
    }

    fn simple(&mut self, shell: &mut Shell, simple: &Simple, stdin: &Flow) -> Flow {
        let outer = std::mem::replace(&mut self.stdin, stdin.clone());
        let args = self.words(shell, &simple.words);
        self.stdin = outer;
        if args.is_empty() {
            let mut out = Flow::empty();
            for assign in &simple.assigns {
                self.assign(shell, assign);
            }
            // `$(...)` alone in command position: its output is the command.
            if !simple.words.is_empty() {
                out = Flow::default();
            }
            return out;
        }
        if simple.assigns.is_empty() {
            return self.run(shell, &args, stdin);
        }
        // Prefix assignments hold for this command only.
        let saved: Vec<(String, Option<Var>)> = simple
            .assigns
            .iter()
            .map(|assign| (assign.name.clone(), shell.vars.get(&assign.name).cloned()))
            .collect();
        for assign in &simple.assigns {
            self.assign(shell, assign);
            effects::environment(self, shell, &assign.name, simple.span);
        }
        let flow = self.run(shell, &args, stdin);
        for (name, value) in saved {
            match value {
                Some(value) => shell.vars.insert(name, value),
                None => shell.vars.remove(&name),
            };
        }
        flow
    }

    fn assign(&mut self, shell: &mut Shell, assign: &crate::shell::Assign) {
        match &assign.value {
            AssignValue::Scalar(word) => {
                let value = self.one(shell, word);
                if matches!(assign.name.as_str(), "HISTFILE" | "HISTSIZE" | "HISTFILESIZE")
                    && matches!(value.text.as_str(), "" | "/dev/null" | "0")
                {
                    self.push(EffectKind::System, "history", &assign.name);
                }
                let (mut text, mut taint) = (value.text, value.taint);
                if assign.append
                    && let Some(old) = shell.vars.get(&assign.name)
                {
                    let old_text = old.values.first().map_or("", String::as_str);
                    text.insert_str(0, old_text);
                    taint = taint.worse(old.taint.clone());
                }
                text.truncate(floor(&text, 65_536));
                shell.vars.insert(assign.name.clone(), Var::scalar(text, taint));
            }
            AssignValue::Element(key, word) => {
                let value = self.one(shell, word);
                let var = shell.vars.entry(assign.name.clone()).or_default();
                var.taint = std::mem::take(&mut var.taint).worse(value.taint);
                if let Some(at) = var.keys.iter().position(|k| k == key) {
                    if let Some(slot) = var.values.get_mut(at) {
                        *slot = value.text;
                    }
                } else if var.values.len() < 256 {
                    while var.keys.len() < var.values.len() {
                        var.keys.push(var.keys.len().to_string());
                    }
                    var.keys.push(key.clone());
                    var.values.push(value.text);
                }
            }
            AssignValue::Array(elements) => {
                let mut var = if assign.append {
                    shell.vars.remove(&assign.name).unwrap_or_default()
                } else {
                    Var::default()
                };
                for (key, word) in elements.iter().take(256) {
                    for value in self.words(shell, std::slice::from_ref(word)) {
                        var.taint = std::mem::take(&mut var.taint).worse(value.taint);
                        if let Some(key) = key {
                            while var.keys.len() < var.values.len() {
                                var.keys.push(var.keys.len().to_string());
                            }
                            var.keys.push(key.clone());
                        }
                        var.values.push(value.text);
                    }
                }
                shell.vars.insert(assign.name.clone(), var);
            }
        }
    }

    fn redirected(
        &mut self,
        shell: &mut Shell,
        node: &Node,
        redirects: &[Redirect],
        stdin: &Flow,
    ) -> Flow {
        let mut input = stdin.clone();
        let mut outputs = Vec::new();
        for redirect in redirects {
            let target = self.one(shell, &redirect.target);
            match redirect.kind {
                RedirectKind::Here => {
                    input = Flow { text: Some(Rc::from(target.text)), ..Flow::default() };
                    input.taint = target.taint;
                }
                RedirectKind::Read | RedirectKind::ReadWrite => {
                    let span = redirect.span;
                    let read = self.at(span, |eval| effects::read_redirect(eval, shell, &target));
                    if redirect.fd.unwrap_or(0) == 0 {
                        input = read;
                    }
                    if redirect.kind == RedirectKind::ReadWrite {
                        outputs.push((target, redirect, false));
                    }
                }
                RedirectKind::Write | RedirectKind::Append => {
                    outputs.push((target, redirect, redirect.kind == RedirectKind::Append));
                }
                RedirectKind::Duplicate => {}
            }
        }
        let flow = self.node(shell, node, &input);
        let mut rest = flow.clone();
        for (target, redirect, append) in outputs {
            let shellish = runs_shell(node);
            self.at(redirect.span, |eval| {
                effects::write_redirect(eval, shell, &target, append, &flow, shellish);
            });
            if redirect.fd.unwrap_or(1) == 1 {
                rest = Flow::empty();
            }
        }
        rest
    }
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn bind_fields(shell: &mut Shell, names: &[String], line: &str, taint: &Taint) {
    let mut rest = line.trim();
    for (at, name) in names.iter().enumerate() {
        let value = if at + 1 == names.len() {
            rest
        } else {
            let (first, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = tail.trim_start();
            first
        };
        shell.vars.insert(name.clone(), Var::scalar(value, taint.clone()));
    }
}

// The variables of `read` in a loop's condition.
fn read_names(condition: &Seq) -> Option<Vec<String>> {
    condition.iter().rev().find_map(|node| {
        let simple = match node {
            Node::Simple(simple) => simple,
            Node::Redirected { node, .. } => match &**node {
                Node::Simple(simple) => simple,
                _ => return None,
            },
            _ => return None,
        };
        let texts: Vec<String> = simple.words.iter().map(Word::plain).collect();
        if texts.first().map(String::as_str) != Some("read") {
            return None;
        }
        let mut names = Vec::new();
        let mut skip = false;
        for text in texts.iter().skip(1) {
            if std::mem::take(&mut skip) {
                continue;
            }
            if let Some(flags) = text.strip_prefix('-') {
                skip = flags.ends_with(['d', 'n', 'N', 'p', 't', 'u', 'i']);
            } else {
                names.push(text.clone());
            }
        }
        if names.is_empty() {
            names.push("REPLY".into());
        }
        Some(names)
    })
}

fn endless(condition: &Seq) -> bool {
    matches!(condition.as_slice(), [Node::Simple(simple)]
        if matches!(simple.words.first().map(Word::plain).as_deref(), Some("true" | ":")))
        || condition.is_empty()
}

fn spawns(body: &Seq) -> bool {
    body.iter().any(|node| match node {
        Node::Background(inner) => !matches!(&**inner, Node::Simple(s)
            if s.words.first().map(Word::plain).as_deref() == Some("sleep")),
        _ => false,
    }) && !body.iter().any(|node| {
        matches!(node, Node::Simple(s)
            if matches!(s.words.first().map(Word::plain).as_deref(), Some("sleep" | "wait")))
    })
}

fn runs_shell(node: &Node) -> bool {
    match node {
        Node::Simple(simple) => simple.words.first().is_some_and(|word| {
            let name = word.plain();
            let name = name.rsplit('/').next().unwrap_or_default();
            matches!(name, "bash" | "sh" | "dash" | "zsh" | "ksh" | "exec" | "ash")
        }),
        Node::Group(body) | Node::Subshell(body) => body.iter().any(runs_shell),
        Node::Pipeline(stages) => stages.iter().any(runs_shell),
        Node::While { .. } => true,
        Node::Redirected { node, .. } | Node::Background(node) => runs_shell(node),
        _ => false,
    }
}

impl Word {
    /// The text of the word as far as it is literal.
    pub(crate) fn plain(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                crate::shell::Part::Text { text, .. } => text.as_str(),
                _ => "",
            })
            .collect()
    }
}
