//! A program, followed without running it: constants through assignments, functions, loops and
//! methods to the calls that do something.
//!
//! The tokens are walked in order, three times: the first two learn what functions are called
//! with and what they return, the last one turns calls into effects. There is no grammar: what
//! does not look like an expression is stepped over, so nothing fails and nothing recurses
//! deeper than [`MAX_NESTING`]. Work is bounded by `fuel`.

use std::collections::HashMap;

use super::act;
use super::apis::find;
use super::builtins;
use super::scan::{Program, Token};
use super::value::{Args, MAX_TEXTS, Value};
use crate::eval::{Eval, Flow, Shell, UNKNOWN, Unanalysed};

/// Nesting of expressions that is followed.
const MAX_NESTING: usize = 14;
/// Expressions that are followed in one program; each 64 bytes of text that they handle count as
/// one more.
const FUEL: u32 = 40_000;
const BYTES_A_STEP: usize = 64;
/// With more names than this, no list is followed that grows in place.
const MAX_HOLDERS: usize = 256;
/// Walks: what is learnt in one is used in the next.
const WALKS: usize = 3;

/// A program being followed.
pub(super) struct Interp<'i, 'r> {
    pub(super) eval: &'i mut Eval<'r>,
    pub(super) shell: &'i mut Shell,
    pub(super) language: &'i str,
    pub(super) program: &'i Program,
    names: HashMap<String, Value>,
    /// Functions of the program: their parameters.
    functions: HashMap<String, Vec<String>>,
    /// What each parameter was called with.
    passed: HashMap<(String, usize), Value>,
    returned: HashMap<String, Value>,
    inside: String,
    /// Whether calls have effects by now.
    pub(super) loud: bool,
    /// Whether the whole environment is handed to something.
    pub(super) hands_environment: bool,
    fuel: u32,
}

/// Follows a program and records what it would do.
pub(super) fn follow(eval: &mut Eval<'_>, shell: &mut Shell, language: &str, program: &Program) {
    let mut interp = Interp {
        eval,
        shell,
        language,
        program,
        names: HashMap::new(),
        functions: HashMap::new(),
        passed: HashMap::new(),
        returned: HashMap::new(),
        inside: String::new(),
        loud: false,
        hands_environment: act::hands_environment(program),
        fuel: FUEL,
    };
    for walk in 1..=WALKS {
        interp.loud = walk == WALKS;
        interp.inside.clear();
        interp.walk();
    }
    if interp.fuel == 0 {
        interp.eval.unanalysed(Unanalysed::Fuel);
    }
}

impl Interp<'_, '_> {
    pub(super) fn token(&self, at: usize) -> Option<&Token> {
        self.program.tokens.get(at)
    }

    fn name_at(&self, at: usize) -> &str {
        match self.token(at) {
            Some(Token::Name(name)) => name,
            _ => "",
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        self.token(at) == Some(&Token::Sign(sign))
    }

    fn walk(&mut self) {
        let mut at = 0;
        while at < self.program.tokens.len() && self.fuel > 0 {
            at = self.statement(at).max(at + 1);
        }
    }

    /// One statement, or the beginning of one; where it ends.
    fn statement(&mut self, at: usize) -> usize {
        match self.token(at) {
            Some(Token::Name(name)) => match name.as_str() {
                "def" | "function" | "func" | "fn" | "sub" | "defp" => self.definition(at + 1),
                "for" | "foreach" => self.loop_head(at + 1),
                "return" => {
                    let (value, next) = self.expr(at + 1, 0);
                    let before = self.returned.remove(&self.inside).unwrap_or_default();
                    self.returned.insert(self.inside.clone(), before.or(value));
                    next
                }
                "import" | "from" | "class" | "if" | "while" | "const" | "let" | "var" | "my"
                | "async" | "public" | "static" | "private" | "export" | "default" | "try"
                | "else" | "elif" | "with" | "in" | "of" | "do" | "then" | "end" | "use"
                | "using" | "local" | "mut" | "final" | "package" | "await" | "yield" => at + 1,
                _ => self.assignment(at).unwrap_or_else(|| {
                    let (value, next) = self.expr(at, 0);
                    // `with open(path) as f`.
                    if self.name_at(next) == "as" && !self.name_at(next + 1).is_empty() {
                        let name = self.name_at(next + 1).to_owned();
                        self.names.insert(name, value);
                        return next + 2;
                    }
                    next
                }),
            },
            Some(Token::Command(_) | Token::Text(_)) => self.expr(at, 0).1,
            Some(Token::Number(_) | Token::Sign(_)) | None => at + 1,
        }
    }

    /// `name = value`, `name: type = value`, `name := value`, `name <- value`, `name += value`.
    fn assignment(&mut self, at: usize) -> Option<usize> {
        let name = self.name_at(at).to_owned();
        let mut sign = at + 1;
        if self.is(sign, ':') && !self.is(sign + 1, '=') {
            // A type stands between; it ends at `=` on the same line.
            let end = (sign + 1..sign + 8).find(|at| {
                !matches!(
                    self.token(*at),
                    Some(Token::Name(_) | Token::Sign('[' | ']' | '|' | '<'))
                )
            })?;
            sign = end;
        }
        let (from, adds) = match (self.token(sign)?, self.token(sign + 1)?) {
            (Token::Sign('='), Token::Sign('=' | '~' | '>')) => return None,
            (Token::Sign('='), _) => (sign + 1, false),
            (Token::Sign(':'), Token::Sign('=')) => (sign + 2, false),
            (Token::Sign('<'), Token::Sign('-')) if self.language == "r" => (sign + 2, false),
            (Token::Sign('+' | '.'), Token::Sign('=')) => (sign + 2, true),
            _ => return None,
        };
        if self.arrow(from, &name) {
            return Some(from);
        }
        let (mut value, next) = self.expr(from, 0);
        if adds && let Some(old) = self.names.get(&name) {
            value = old.clone().then(value);
        }
        // What was a name of somebody else's is now one of the program's own.
        self.names.insert(name, value);
        Some(next)
    }

    /// `(a, b) => ...`, `a => ...`, `async (a) => ...` given a name.
    fn arrow(&mut self, from: usize, name: &str) -> bool {
        let at = if self.name_at(from) == "async" { from + 1 } else { from };
        let (names, end) = match self.token(at) {
            Some(Token::Name(one)) if one == "function" => {
                let open = if self.is(at + 1, '(') { at + 1 } else { at + 2 };
                let (names, end) = self.parameters(open);
                self.define(name, names);
                return self.is(open, '(') && end > open;
            }
            Some(Token::Name(one)) => (vec![one.clone()], at + 1),
            Some(Token::Sign('(')) => self.parameters(at),
            _ => return false,
        };
        let is_arrow = self.is(end, '=') && self.is(end + 1, '>');
        if is_arrow {
            self.define(name, names);
        }
        is_arrow
    }

    fn definition(&mut self, at: usize) -> usize {
        let name = self.name_at(at).rsplit('.').next().unwrap_or_default().to_owned();
        let open = if name.is_empty() { at } else { at + 1 };
        if !self.is(open, '(') {
            return at + 1;
        }
        let (names, end) = self.parameters(open);
        self.define(&name, names);
        end
    }

    /// Binds the parameters to what the function is called with.
    fn define(&mut self, name: &str, parameters: Vec<String>) {
        for (at, parameter) in parameters.iter().enumerate() {
            let value = self.passed.get(&(name.to_owned(), at)).cloned();
            self.names.insert(parameter.clone(), value.unwrap_or_else(Value::unknown));
        }
        name.clone_into(&mut self.inside);
        self.functions.insert(name.to_owned(), parameters);
    }

    /// The names between parentheses, and the place after them.
    fn parameters(&self, open: usize) -> (Vec<String>, usize) {
        let (mut names, mut at, mut depth) = (Vec::new(), open + 1, 0usize);
        let mut fresh = true;
        while let Some(token) = self.token(at) {
            match token {
                Token::Sign(')') if depth == 0 => return (names, at + 1),
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Token::Sign(',') if depth == 0 => fresh = true,
                Token::Name(name) if fresh && !matches!(name.as_str(), "self" | "mut") => {
                    names.push(name.clone());
                    fresh = false;
                }
                Token::Name(name) if name == "self" => {
                    fresh = false;
                }
                _ => {}
            }
            at += 1;
            if at > open + 256 {
                break;
            }
        }
        (names, open + 1)
    }

    /// `x in values`, `(const x of values)`, `root, dirs, files in walk(...)`.
    fn loop_head(&mut self, at: usize) -> usize {
        let within = (at..at + 12).find(|at| matches!(self.name_at(*at), "in" | "of"));
        let Some(within) = within else { return at };
        let names: Vec<String> = (at..within)
            .map(|at| self.name_at(at).to_owned())
            .filter(|name| !matches!(name.as_str(), "" | "const" | "let" | "var" | "my"))
            .collect();
        let (value, next) = self.expr(within + 1, 0);
        let mut each = Value { list: false, ..value };
        for name in names {
            self.names.insert(name, each.clone());
            each = Value { taint: each.taint.clone(), ..Value::unknown() };
        }
        next
    }

    /// The expression at a place, and where it ends.
    pub(super) fn expr(&mut self, at: usize, depth: usize) -> (Value, usize) {
        if depth > MAX_NESTING || self.fuel == 0 {
            return (Value::unknown(), at + 1);
        }
        self.fuel -= 1;
        let (mut out, mut at) = self.operand(at, depth);
        loop {
            self.charge(&out);
            at = self.chain(&mut out, at, depth);
            match (self.token(at), self.token(at + 1)) {
                (Some(Token::Sign('+' | '*' | '%' | '/' | '.')), Some(Token::Sign('='))) => break,
                (Some(Token::Sign('+')), _) => {
                    let (more, next) = self.term(at + 1, depth);
                    (out, at) = (out.then(more), next);
                }
                (Some(Token::Sign('.')), _) if matches!(self.language, "php" | "perl" | "lua") => {
                    let from = if self.is(at + 1, '.') { at + 2 } else { at + 1 };
                    let (more, next) = self.term(from, depth);
                    (out, at) = (out.then(more), next);
                }
                // `Path("a") / "b"`; elsewhere it divides, which has no text.
                (Some(Token::Sign('/')), _) => {
                    let (more, next) = self.term(at + 1, depth);
                    let slash = if out.first().ends_with('/') { "" } else { "/" };
                    (out, at) = (out.then(Value::text(slash)).then(more), next);
                }
                (Some(Token::Sign('%')), _) => {
                    let (more, next) = self.term(at + 1, depth);
                    out = out.each(|text| builtins::fill(text, &more.texts));
                    at = next;
                }
                // Texts side by side are one.
                (Some(Token::Text(_)), _) if self.language == "python" => {
                    let (more, next) = self.term(at, depth);
                    (out, at) = (out.then(more), next);
                }
                // `a || b`, `a or b`: either.
                (Some(Token::Sign('|')), Some(Token::Sign('|'))) => {
                    let (more, next) = self.term(at + 2, depth);
                    (out, at) = (out.or(more), next);
                }
                _ => break,
            }
        }
        (out, at)
    }

    /// Long texts cost more than short ones.
    fn charge(&mut self, value: &Value) {
        let steps = value.size() / BYTES_A_STEP + value.texts.len();
        self.fuel = self.fuel.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
    }

    fn term(&mut self, at: usize, depth: usize) -> (Value, usize) {
        if depth > MAX_NESTING || self.fuel == 0 {
            return (Value::unknown(), at + 1);
        }
        self.fuel -= 1;
        let (mut value, next) = self.operand(at, depth + 1);
        self.charge(&value);
        let next = self.chain(&mut value, next, depth + 1);
        (value, next)
    }

    fn operand(&mut self, at: usize, depth: usize) -> (Value, usize) {
        match self.token(at).cloned() {
            Some(Token::Text(text)) => (self.filled(&text), at + 1),
            Some(Token::Number(number)) => (Value::text(number), at + 1),
            Some(Token::Command(text)) => {
                let line = self.filled(&text);
                if self.loud {
                    let (shell, eval) = (&mut *self.shell, &mut *self.eval);
                    eval.text(shell, line.first(), (0, 0), &Flow::empty());
                }
                (Value::unknown(), at + 1)
            }
            Some(Token::Sign('[' | '(' | '{')) => {
                let (args, end) = self.list(at, depth + 1);
                let single = self.is(at, '(') && args.plain.len() == 1;
                match args.plain.into_iter().next() {
                    Some(value) if single => (value, end),
                    _ => {
                        let (args, end) = self.again(at, depth);
                        let taint = args.taint();
                        (Value { taint, ..Value::list(args.texts()) }, end)
                    }
                }
            }
            Some(Token::Sign('&' | '*' | '!' | '\\' | '-')) => {
                let (value, next) = self.term(at + 1, depth + 1);
                // A negative number keeps its sign.
                let value = if self.is(at, '-') { value.each(|t| format!("-{t}")) } else { value };
                (value, next)
            }
            Some(Token::Name(name)) => self.named(&name, at, depth),
            Some(Token::Sign(_)) | None => (Value::unknown(), at + 1),
        }
    }

    /// The same list once more, quietly: its calls have been made.
    fn again(&mut self, at: usize, depth: usize) -> (Args, usize) {
        let loud = std::mem::replace(&mut self.loud, false);
        let found = self.list(at, depth + 1);
        self.loud = loud;
        found
    }

    fn named(&mut self, name: &str, at: usize, depth: usize) -> (Value, usize) {
        if matches!(
            name,
            "new"
                | "await"
                | "return"
                | "const"
                | "let"
                | "var"
                | "my"
                | "not"
                | "go"
                | "defer"
                | "async"
                | "yield"
                | "typeof"
                | "print"
                | "puts"
                | "echo"
        ) && !self.is(at + 1, '(')
            && matches!(self.token(at + 1), Some(Token::Name(_) | Token::Text(_)))
        {
            return self.term(at + 1, depth + 1);
        }
        if self.is(at + 1, '(') {
            return self.call_at(name, None, at + 1, depth);
        }
        // Ruby, Perl and PHP call without parentheses: `unlink 'x'`, `system "rm", "-rf"`.
        let bare = matches!(self.language, "ruby" | "perl" | "php" | "lua" | "elixir" | "groovy");
        let known = || find(self.language, &self.qualified(name)).is_some();
        let bare = bare
            && match self.token(at + 1) {
                Some(Token::Text(_)) => true,
                Some(Token::Name(_)) => known(),
                _ => false,
            };
        if bare {
            let mut args = Args::default();
            let mut next = at;
            while args.plain.is_empty() || self.is(next, ',') {
                let (value, after) = self.expr(next + 1, depth + 1);
                args.plain.push(value);
                next = after.max(next + 2);
            }
            let value = act::call(self, name, None, &args, next);
            return (value, next);
        }
        if self.is(at + 1, '[') && name.to_ascii_lowercase().contains("env") {
            let (args, end) = self.list(at + 1, depth + 1);
            let home = args.first() == "HOME";
            return (if home { Value::text("/home/user") } else { Value::unknown() }, end);
        }
        (self.lookup(name), at + 1)
    }

    /// What a name stands for, as far as it is known.
    fn lookup(&self, name: &str) -> Value {
        let own = name.strip_prefix("self.").or_else(|| name.strip_prefix("this."));
        if let Some(value) = self.names.get(name).or_else(|| self.names.get(own?)) {
            return value.clone();
        }
        match name {
            "process.env.HOME" | "HOME" => return Value::text("/home/user"),
            "os.sep" | "path.sep" => return Value::text("/"),
            "__dirname" => return Value::text("."),
            _ => {}
        }
        // An attribute of something known keeps its origin.
        if let Some((head, last)) = name.rsplit_once('.')
            && let Some(value) = self.names.get(head)
        {
            return match last {
                "parent" => value.each(|text| format!("{text}/..")),
                "text" | "content" | "body" | "data" | "stdout" => value.clone(),
                _ => {
                    let of = if value.of.is_empty() { head } else { &value.of };
                    let of = format!("{of}.{last}");
                    Value { of, taint: value.taint.clone(), ..Value::unknown() }
                }
            };
        }
        Value::named(&self.qualified(name))
    }

    /// `rmtree` imported from `shutil` is `shutil.rmtree`.
    pub(super) fn qualified(&self, name: &str) -> String {
        let (head, rest) = name.split_once('.').map_or((name, None), |(h, r)| (h, Some(r)));
        match (self.program.imports.get(head), rest) {
            (Some(full), Some(rest)) => format!("{full}.{rest}"),
            (Some(full), None) => full.clone(),
            (None, _) => name.to_owned(),
        }
    }

    /// What follows a value: methods, attributes, indices, calls of what it is.
    fn chain(&mut self, value: &mut Value, mut at: usize, depth: usize) -> usize {
        while self.fuel > 0 {
            match (self.token(at), self.token(at + 1), self.token(at + 2)) {
                (Some(Token::Sign('.')), Some(Token::Name(name)), Some(Token::Sign('('))) => {
                    let name = name.clone();
                    let (result, next) = self.call_at(&name, Some(value.clone()), at + 2, depth);
                    (*value, at) = (result, next);
                }
                (Some(Token::Sign('.')), Some(Token::Name(name)), _) => {
                    let name = name.clone();
                    self.ruby_block(&name, value, at + 2);
                    let of = value.member(&name);
                    if !matches!(name.as_str(), "text" | "content" | "body" | "data" | "stdout") {
                        *value = Value { of, taint: value.taint.clone(), ..Value::unknown() };
                    }
                    at += 2;
                }
                (Some(Token::Sign('[')), _, _) if !self.is(at + 1, ']') => {
                    let reversed = (1..4)
                        .all(|n| self.is(at + n, ':') || self.is(at + n, '-') || n == 3)
                        && self.is(at + 1, ':')
                        && self.is(at + 2, ':')
                        && self.is(at + 3, '-');
                    let (args, next) = self.list(at, depth + 1);
                    *value = if reversed {
                        value.each(|text| text.chars().rev().collect())
                    } else {
                        let taken = args.first().parse::<usize>().ok().filter(|_| value.list);
                        let item = taken.and_then(|n| value.texts.get(n)).cloned();
                        let item = item.map_or_else(Value::unknown, Value::text);
                        Value { taint: value.taint.clone(), of: value.of.clone(), ..item }
                    };
                    at = next;
                }
                // `getattr(os, "system")(...)`, `new Function(text)()`.
                (Some(Token::Sign('(')), _, _) if !value.of.is_empty() => {
                    let name = value.of.clone();
                    let (result, next) = self.call_at(&name, None, at, depth);
                    (*value, at) = (result, next);
                }
                _ => break,
            }
        }
        at
    }

    /// A call whose parentheses open at `open`.
    fn call_at(
        &mut self,
        name: &str,
        on: Option<Value>,
        open: usize,
        depth: usize,
    ) -> (Value, usize) {
        // A method on a name: `p.unlink()`, `cursor.execute(...)`.
        let (on, name) = match (on, name.rsplit_once('.')) {
            (None, Some((head, last))) => {
                let value = self.lookup(head);
                let root = head.split('.').next().unwrap_or(head);
                let known = self.names.contains_key(head)
                    || self.names.contains_key(root)
                    || head.contains("self.");
                if known { (Some(value), last.to_owned()) } else { (None, name.to_owned()) }
            }
            (on, _) => (on, name.to_owned()),
        };
        if let Some(on) = &on {
            self.block_parameter(&name, on, open);
        }
        let (args, next) = self.list(open, depth + 1);
        if next <= open + 1 && args.plain.is_empty() && !self.is(open + 1, ')') {
            return (Value::unknown(), open + 1);
        }
        let own = on.is_none() || on.as_ref().is_some_and(|v| v.of.starts_with("self"));
        if own && let Some(parameters) = self.functions.get(&name).cloned() {
            return (self.own_call(&name, &parameters, args), next);
        }
        (act::call(self, &name, on, &args, next), next)
    }

    /// A call of one of the program's own functions.
    fn own_call(&mut self, name: &str, parameters: &[String], args: Args) -> Value {
        let named = args.named.into_iter().filter_map(|(key, value)| {
            parameters.iter().position(|p| *p == key).map(|at| (at, value))
        });
        for (at, value) in args.plain.into_iter().enumerate().chain(named).take(16) {
            let key = (name.to_owned(), at);
            let before = self.passed.remove(&key).unwrap_or_default();
            self.passed.insert(key, before.or(value));
        }
        self.returned.get(name).cloned().unwrap_or_else(Value::unknown)
    }

    /// `values.each { |f| ... }`, `values.forEach(f => ...)`: `f` is one of the values.
    fn block_parameter(&mut self, method: &str, on: &Value, open: usize) {
        if !matches!(method, "each" | "forEach" | "map" | "for_each" | "eachFile") {
            return;
        }
        let from = if self.is(open + 1, '(') { open + 2 } else { open + 1 };
        let name = self.name_at(from);
        let name =
            if name == "async" || name == "function" { self.name_at(from + 1) } else { name };
        if !name.is_empty() {
            let name = name.to_owned();
            self.names.insert(name, Value { list: false, ..on.clone() });
        }
    }

    /// `values.each { |f| ... }`, `values.each do |f|`.
    fn ruby_block(&mut self, method: &str, on: &Value, at: usize) {
        let opens = self.is(at, '{') || self.name_at(at) == "do";
        let name = self.name_at(at + 2).to_owned();
        if opens && self.is(at + 1, '|') && !name.is_empty() && method.starts_with(['e', 'm']) {
            self.names.insert(name, Value { list: false, ..on.clone() });
        }
    }

    /// The items of the list that opens at `open`, and the place after it.
    pub(super) fn list(&mut self, open: usize, depth: usize) -> (Args, usize) {
        let mut out = Args::default();
        let block = self.is(open, '{');
        let mut at = open + 1;
        let mut last = at;
        while let Some(token) = self.token(at) {
            if self.fuel == 0 || out.plain.len() > MAX_TEXTS * 4 {
                break;
            }
            match token {
                Token::Sign(')' | ']' | '}') => return (out, at + 1),
                Token::Sign(
                    ',' | '\n' | ';' | ':' | '=' | '>' | '<' | '|' | '%' | '?' | '.' | '@' | '^',
                ) => at += 1,
                // `f(x) for x in values`.
                Token::Name(name) if name == "for" && !out.plain.is_empty() => {
                    let next = self.loop_head(at + 1).max(at + 1);
                    let made = self.made_by_loop(last, at, depth);
                    out.plain.pop();
                    out.plain.push(made);
                    at = next;
                }
                Token::Name(name)
                    if matches!(self.token(at + 1), Some(Token::Sign('=' | ':')))
                        && !self.is(at + 2, '=')
                        && !(self.is(at + 1, '=') && self.is(at + 2, '>')) =>
                {
                    let name = name.clone();
                    let (value, next) = self.expr(at + 2, depth + 1);
                    if block && self.is(at + 1, '=') {
                        self.names.insert(name.clone(), value.clone());
                    }
                    out.named.push((name, value));
                    at = next.max(at + 2);
                }
                Token::Name(name) if block && name == "for" => at = self.loop_head(at + 1),
                _ => {
                    last = at;
                    let (value, next) = self.expr(at, depth + 1);
                    out.plain.push(value);
                    at = next.max(at + 1);
                }
            }
        }
        (out, at)
    }

    /// A comprehension: the expression for each value of its loop.
    fn made_by_loop(&mut self, from: usize, end: usize, depth: usize) -> Value {
        let name = self.name_at(end + 1).to_owned();
        let values = self.names.get(&name).cloned().unwrap_or_default();
        let loud = std::mem::replace(&mut self.loud, false);
        let mut texts = Vec::new();
        let mut taint = values.taint.clone();
        for text in values.texts.iter().take(MAX_TEXTS) {
            self.names.insert(name.clone(), values.with(vec![text.clone()]));
            let (value, _) = self.expr(from, depth + 1);
            taint = taint.worse(value.taint.clone());
            texts.extend(value.texts.into_iter().take(1));
        }
        self.loud = loud;
        self.names.insert(name, values);
        // Once more for its effects, on every value at a time.
        if self.loud {
            self.expr(from, depth + 1);
        }
        Value { taint, ..Value::list(texts) }
    }

    /// A text with its `{name}` parts filled in.
    fn filled(&self, text: &str) -> Value {
        if !text.contains('\u{1}') {
            return Value::text(text);
        }
        let mut out = Value::text("");
        for (at, piece) in text.split('\u{1}').enumerate() {
            let piece = piece.trim_matches(|c| at % 2 == 1 && c == ' ');
            let value = if at % 2 == 0 {
                Value::text(piece)
            } else if let Some(quoted) = quoted(piece) {
                Value::text(quoted)
            } else if !piece.is_empty()
                && piece.chars().all(|c| c.is_alphanumeric() || "_.".contains(c))
            {
                let value = self.lookup(piece.trim_start_matches('$'));
                Value { list: false, ..value }
            } else {
                Value::unknown()
            };
            out = out.then(value);
        }
        out
    }

    /// Remembers a change of a value that a name holds.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.names.insert(name.to_owned(), value);
    }

    /// The name whose value a method at `next` was called on, if it was one.
    pub(super) fn holder(&self, on: &Value) -> Option<String> {
        if self.names.len() > MAX_HOLDERS {
            return None;
        }
        let same = |value: &Value| value.texts == on.texts && value.list && value.of == on.of;
        self.names.iter().find(|(_, value)| same(value)).map(|(name, _)| name.clone())
    }
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(quote)).then_some(inner)
}

/// Whether nothing is known of a text.
pub(super) fn blank(text: &str) -> bool {
    text.chars().all(|c| c == UNKNOWN)
}
