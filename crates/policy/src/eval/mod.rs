//! Static evaluation: what a script would do, without doing any of it.
//!
//! The evaluator walks the syntax tree once, carries constants through variables, loops,
//! functions, `cd` and pipelines, and hands every simple command to [`crate::effects`].
//! Invariants: fuel bounds the steps, `depth` bounds the recursion, text inside commands
//! (`bash -c`, `eval`) is parsed at a shallow stack only - deeper ones wait in a queue.

mod expand;
mod fold;
mod param;
mod script;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

pub(crate) use expand::items;
pub(crate) use fold::{decode_base64, fold, is_filter, unescape, unhex};
pub(crate) use param::is_secret_name;
pub(crate) use value::{Arg, Flow, SOME, Shell, Taint, UNKNOWN, Var, is_unknown};

use crate::effect::{Certainty, Effect, EffectKind};
use crate::shell::{self, Problem, Span};

/// Evaluation steps for one decision.
const FUEL: u32 = 12_000;
/// Recursion of the evaluator (nested lists, functions, wrappers).
const MAX_DEPTH: u32 = 90;
/// Above this depth nested text is not parsed at once but queued.
const PARSE_DEPTH: u32 = 24;
/// Texts within texts (`bash -c "bash -c ..."`).
const MAX_NESTED: usize = 64;
/// Effects kept for one decision, and one of each class beyond.
const MAX_EFFECTS: usize = 512;

/// Why something could not be analysed, with its reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unanalysed {
    Syntax,
    Depth,
    Fuel,
    Length,
    Language,
    Nul,
}

impl Unanalysed {
    pub(crate) const ALL: [Self; 6] =
        [Self::Syntax, Self::Depth, Self::Fuel, Self::Length, Self::Language, Self::Nul];

    /// The reason code, a key of `[env.*.unanalysed]`.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Depth => "depth",
            Self::Fuel => "fuel",
            Self::Length => "length",
            Self::Language => "language",
            Self::Nul => "nul",
        }
    }

    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Syntax => "the command could not be parsed as shell",
            Self::Depth => "the command is nested too deeply to analyse",
            Self::Fuel => "the command is too complex to analyse",
            Self::Length => "the command is longer than 64 KiB",
            Self::Language => "code in this language cannot be analysed",
            Self::Nul => "it holds NUL bytes, which shells drop",
        }
    }
}

impl From<Problem> for Unanalysed {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Syntax => Self::Syntax,
            Problem::Depth => Self::Depth,
            Problem::Fuel => Self::Fuel,
        }
    }
}

/// What analysis found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) effects: Vec<Effect>,
    pub(crate) unseen: Vec<String>,
    pub(crate) unanalysed: Vec<Unanalysed>,
}

/// One analysis.
#[derive(Debug)]
pub(crate) struct Eval<'r> {
    pub(crate) found: Findings,
    pub(crate) home: String,
    /// The workspace: the directory the command starts in.
    pub(crate) root: String,
    pub(crate) environment: &'r BTreeMap<String, String>,
    /// Files this very command writes, and what it writes into them.
    pub(crate) files: HashMap<String, Flow>,
    /// Standard input at the place that is being expanded.
    pub(crate) stdin: Flow,
    /// How many command substitutions surround the current place: what is printed there stays
    /// in the shell, and is followed by its taint.
    pub(crate) captured: u32,
    /// Functions being called, innermost last.
    pub(crate) calls: Vec<String>,
    /// How many pipelines and background lists surround the current place.
    pub(crate) forks: u32,
    span: Option<Span>,
    fuel: u32,
    depth: u32,
    nested: usize,
    queue: Vec<(Shell, Rc<str>, Span, Flow)>,
}

impl<'r> Eval<'r> {
    pub(crate) fn new(cwd: Option<&str>, environment: &'r BTreeMap<String, String>) -> Self {
        let home = environment
            .get("HOME")
            .filter(|home| home.starts_with('/') && home.len() > 1)
            .map_or("/home/user", String::as_str);
        let root = match cwd {
            Some(cwd) if cwd.starts_with('/') => cwd,
            _ => "/workspace/project",
        };
        Self {
            found: Findings::default(),
            home: home.trim_end_matches('/').to_owned(),
            root: crate::paths::normalize(root, "/"),
            environment,
            files: HashMap::new(),
            stdin: Flow::empty(),
            captured: 0,
            calls: Vec::new(),
            forks: 0,
            span: None,
            fuel: FUEL,
            depth: 0,
            nested: 0,
            queue: Vec::new(),
        }
    }

    /// Analyses a whole command text.
    pub(crate) fn script(&mut self, text: &str, stdin: Option<&str>) {
        let mut shell = Shell { cwd: self.root.clone(), ..Shell::default() };
        let script = shell::parse(text);
        if let Some(problem) = script.problem {
            self.unanalysed(problem.into());
        }
        let stdin = stdin.map_or_else(Flow::empty, Flow::text);
        self.seq(&mut shell, &script.body, &stdin);
        self.drain();
    }

    /// A fresh shell in the workspace.
    pub(crate) fn shell(&self) -> Shell {
        Shell { cwd: self.root.clone(), ..Shell::default() }
    }

    /// Works off the texts that waited for a shallow stack.
    pub(crate) fn drain(&mut self) {
        while let Some((mut shell, text, span, stdin)) = self.queue.pop() {
            self.depth = 0;
            self.text(&mut shell, &text, span, &stdin);
        }
    }

    /// Analyses a text that a command would run as shell; effects point at `span`.
    pub(crate) fn text(&mut self, shell: &mut Shell, text: &str, span: Span, stdin: &Flow) -> Flow {
        if text.trim().is_empty() {
            return Flow::empty();
        }
        self.nested += 1;
        if self.nested > MAX_NESTED || text.len() > crate::MAX_COMMAND_BYTES {
            self.unanalysed(Unanalysed::Depth);
            return Flow::default();
        }
        if self.depth > PARSE_DEPTH {
            self.queue.push((shell.clone(), Rc::from(text), span, stdin.clone()));
            return Flow::default();
        }
        let script = shell::parse(text);
        if script.problem.is_some() && is_unknown(text) {
            self.push_at(EffectKind::ExecOpaque, "unknown-code", text, span);
        } else if let Some(problem) = script.problem {
            self.unanalysed(problem.into());
        }
        let outer = self.span.replace(span);
        let flow = self.seq(shell, &script.body, stdin);
        self.span = outer;
        flow
    }

    /// Runs `inside` with effects pointing at `span`, unless an outer text has its own.
    pub(crate) fn at<T>(&mut self, span: Span, inside: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.span;
        self.span = outer.or(Some(span));
        let result = inside(self);
        self.span = outer;
        result
    }

    /// Records an effect; its certainty follows from the target.
    pub(crate) fn push(&mut self, kind: EffectKind, class: &'static str, target: &str) {
        self.push_at(kind, class, target, (0, 0));
    }

    pub(crate) fn push_at(
        &mut self,
        kind: EffectKind,
        class: &'static str,
        target: &str,
        span: Span,
    ) {
        self.push_port(kind, class, target, None, span);
    }

    /// Records that a host is reached, on the port its address implies.
    pub(crate) fn push_host(
        &mut self,
        class: &'static str,
        target: &str,
        port: Option<u16>,
        span: Span,
    ) {
        self.push_port(EffectKind::NetEgress, class, target, port, span);
    }

    fn push_port(
        &mut self,
        kind: EffectKind,
        class: &'static str,
        target: &str,
        port: Option<u16>,
        span: Span,
    ) {
        debug_assert!(kind.classes().contains(&class), "{kind} has no class {class}");
        let certainty = match target.find([UNKNOWN, SOME]) {
            None => Certainty::Exact,
            Some(0) => Certainty::Unknown,
            Some(_) => Certainty::Prefix,
        };
        let target: String =
            target.chars().take(200).map(|c| if is_mark(c) { '*' } else { c }).collect();
        let span = self.span.unwrap_or(span);
        let effect = Effect { kind, class, target, span, certainty, port };
        let effects = &mut self.found.effects;
        let full = effects.len() >= MAX_EFFECTS;
        let told = full && self.found.unanalysed.contains(&Unanalysed::Fuel);
        if !told && effects.contains(&effect) {
            return;
        }
        if !full {
            effects.push(effect);
            return;
        }
        // What comes late must not hide behind what came first: a class that was not seen yet
        // is always kept, and that others were dropped is said.
        if !effects.iter().any(|e| e.kind == kind && e.class == class) {
            effects.push(effect);
        }
        self.unanalysed(Unanalysed::Fuel);
    }

    /// Notes something the gate cannot look into.
    pub(crate) fn unseen(&mut self, what: &str) {
        let what: String =
            what.chars().take(200).map(|c| if is_mark(c) { '*' } else { c }).collect();
        if self.found.unseen.len() < 32 && !self.found.unseen.contains(&what) {
            self.found.unseen.push(what);
        }
    }

    pub(crate) fn unanalysed(&mut self, why: Unanalysed) {
        if !self.found.unanalysed.contains(&why) {
            self.found.unanalysed.push(why);
        }
    }

    // One step of work; false when there is nothing left to spend.
    fn step(&mut self) -> bool {
        if self.fuel == 0 {
            self.unanalysed(Unanalysed::Fuel);
            return false;
        }
        self.fuel -= 1;
        true
    }

    /// Whether an outer text already says where effects point.
    pub(crate) fn has_span(&self) -> bool {
        self.span.is_some()
    }

    /// One command deeper, at the cost of a step; `None` when nothing is left.
    pub(crate) fn enter<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.step() { self.deeper(inside) } else { None }
    }

    // One level deeper; `None` at the bottom.
    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            self.unanalysed(Unanalysed::Depth);
            return None;
        }
        self.depth += 1;
        let result = inside(self);
        self.depth = self.depth.saturating_sub(1);
        Some(result)
    }
}

fn is_mark(c: char) -> bool {
    c == UNKNOWN || c == SOME
}
