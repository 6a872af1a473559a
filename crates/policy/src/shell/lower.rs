//! From the parser's tree to ours: statements.

use std::cell::Cell;
use std::rc::Rc;

use shuck_ast::{
    ArrayElem, Assignment, AssignmentValue, BinaryOp, BuiltinCommand, Command, CompoundCommand,
    ConditionalExpr, DeclOperand, RedirectKind as SourceRedirect, RedirectTarget, Stmt, StmtSeq,
    StmtTerminator,
};
use shuck_parser::parser::{ParseStatus, Parser};
use shuck_parser::{ShellDialect, ShellProfile};

use super::word::{heredoc, pattern_text, span_of, word};
use super::{
    Assign, AssignValue, MAX_BRACKETS, MAX_DEPTH, MAX_FUEL, MAX_TREE, Node, Part, Problem,
    Redirect, RedirectKind, Script, Seq, Simple, Word,
};

/// What lowering carries along.
pub(super) struct Lower<'s> {
    pub(super) source: &'s str,
    depth: Cell<u32>,
    too_deep: Cell<bool>,
}

// The parser's own limits do not hold in every construct on a small stack (nested arithmetic
// overflows 2 MB), so brackets are counted first. Quotes are not looked at: text that merely
// shows this many open brackets is rare, and is then "could not analyse", not a danger.
fn too_nested(text: &str) -> bool {
    let mut open = 0usize;
    text.bytes().any(|byte| {
        match byte {
            b'(' | b'{' | b'[' => open += 1,
            b')' | b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_BRACKETS
    })
}

pub(super) fn parse(text: &str) -> Script {
    if too_nested(text) {
        return Script { body: Rc::default(), problem: Some(Problem::Depth) };
    }
    let result = Parser::with_limits_and_profile(
        text,
        MAX_DEPTH,
        MAX_FUEL,
        ShellProfile::native(ShellDialect::Bash),
    )
    .parse();
    let lower = Lower { source: text, depth: Cell::new(0), too_deep: Cell::new(false) };
    let body = Rc::new(lower.seq(&result.file.body));
    let problem = match result.status {
        _ if lower.too_deep.get() => Some(Problem::Depth),
        ParseStatus::Clean => None,
        ParseStatus::Recovered | ParseStatus::Fatal => {
            Some(match result.terminal_error.as_ref().map(ToString::to_string) {
                Some(message) if message.contains("too deep") => Problem::Depth,
                Some(message) if message.contains("fuel") => Problem::Fuel,
                _ => Problem::Syntax,
            })
        }
    };
    Script { body, problem }
}

impl Lower<'_> {
    pub(super) fn seq(&self, body: &StmtSeq) -> Seq {
        let mut out = Vec::with_capacity(body.stmts.len());
        self.deeper(|| {
            for stmt in &body.stmts {
                self.stmt(stmt, &mut out);
            }
        });
        out
    }

    /// Goes one level down, unless the tree is too deep for whatever walks it.
    pub(super) fn deeper(&self, inside: impl FnOnce()) {
        if self.depth.get() >= MAX_TREE {
            self.too_deep.set(true);
            return;
        }
        self.depth.set(self.depth.get() + 1);
        inside();
        self.depth.set(self.depth.get() - 1);
    }

    fn rc(&self, body: &StmtSeq) -> Rc<Seq> {
        Rc::new(self.seq(body))
    }

    fn one(&self, stmt: &Stmt) -> Rc<Seq> {
        let mut out = Vec::new();
        self.stmt(stmt, &mut out);
        Rc::new(out)
    }

    fn stmt(&self, stmt: &Stmt, out: &mut Seq) {
        let start = out.len();
        self.command(&stmt.command, out);
        let redirects: Vec<Redirect> =
            stmt.redirects.iter().map(|redirect| self.redirect(redirect)).collect();
        if !redirects.is_empty() {
            let node = gather(out, start);
            out.push(Node::Redirected { node: Box::new(node), redirects });
        }
        if matches!(stmt.terminator, Some(StmtTerminator::Background(_))) && out.len() > start {
            let node = gather(out, start);
            out.push(Node::Background(Box::new(node)));
        }
    }

    fn command(&self, command: &Command, out: &mut Seq) {
        match command {
            Command::Simple(simple) => {
                let mut words = Vec::with_capacity(simple.args.len() + 1);
                // Assignments alone have a name of no length.
                let nameless = simple.name.span.start.offset() == simple.name.span.end.offset()
                    && simple.name.parts.iter().all(|part| {
                        matches!(&part.kind, shuck_ast::WordPart::Literal(text)
                            if text.as_str(self.source, part.span).is_empty())
                    });
                if !nameless {
                    words.push(word(self, &simple.name));
                }
                words.extend(simple.args.iter().map(|arg| word(self, arg)));
                out.push(Node::Simple(Simple {
                    assigns: self.assigns(&simple.assignments),
                    words,
                    span: span_of(simple.span),
                }));
            }
            Command::Builtin(builtin) => self.builtin(builtin, out),
            Command::Decl(decl) => self.declaration(decl, out),
            Command::Binary(_) => self.binary(command, out),
            Command::Compound(compound) => self.compound(compound, out),
            Command::Function(function) => {
                let body = self.one(&function.body);
                for name in function.static_names() {
                    out.push(Node::Function { name: name.to_string(), body: Rc::clone(&body) });
                }
            }
            Command::AnonymousFunction(function) => {
                out.push(Node::Group(self.one(&function.body)));
            }
        }
    }

    fn builtin(&self, builtin: &BuiltinCommand, out: &mut Seq) {
        let (name, first, rest, assigns) = match builtin {
            BuiltinCommand::Break(b) => ("break", &b.depth, &b.extra_args, &b.assignments),
            BuiltinCommand::Continue(b) => ("continue", &b.depth, &b.extra_args, &b.assignments),
            BuiltinCommand::Return(b) => ("return", &b.code, &b.extra_args, &b.assignments),
            BuiltinCommand::Exit(b) => ("exit", &b.code, &b.extra_args, &b.assignments),
        };
        let mut words = vec![Word::literal(name, (0, 0))];
        words.extend(first.iter().chain(rest).map(|arg| word(self, arg)));
        out.push(Node::Simple(Simple { assigns: self.assigns(assigns), words, span: (0, 0) }));
    }

    fn declaration(&self, decl: &shuck_ast::DeclClause, out: &mut Seq) {
        let mut assigns = self.assigns(&decl.assignments);
        let mut words = vec![Word::literal(decl.variant.as_ref(), span_of(decl.variant_span))];
        for operand in &decl.operands {
            match operand {
                DeclOperand::Flag(flag) | DeclOperand::Dynamic(flag) => {
                    words.push(word(self, flag));
                }
                DeclOperand::Name(name) => {
                    words.push(Word::literal(name.name.as_ref(), span_of(name.span)));
                }
                DeclOperand::Assignment(assignment) => assigns.push(self.assign(assignment)),
            }
        }
        // The assignments stay in the shell: they stand as a command of their own first.
        if !assigns.is_empty() {
            let span = span_of(decl.span);
            out.push(Node::Simple(Simple { assigns, words: Vec::new(), span }));
        }
        out.push(Node::Simple(Simple { assigns: Vec::new(), words, span: span_of(decl.span) }));
    }

    // Long chains nest to the left, so the left spine is walked without recursion.
    fn binary(&self, command: &Command, out: &mut Seq) {
        let mut links = Vec::new();
        let mut current = command;
        let mut leftmost: Option<&Stmt> = None;
        while let Command::Binary(binary) = current {
            links.push((binary.op, binary.right.as_ref()));
            leftmost = Some(&binary.left);
            let plain = binary.left.redirects.is_empty()
                && !matches!(binary.left.terminator, Some(StmtTerminator::Background(_)));
            if !plain {
                break;
            }
            current = &binary.left.command;
        }
        let Some(leftmost) = leftmost else { return };
        let mut stages: Vec<Node> = Vec::new();
        let mut first = Vec::new();
        self.stmt(leftmost, &mut first);
        stages.push(gather(&mut first, 0));
        for (op, right) in links.into_iter().rev() {
            let mut next = Vec::new();
            self.stmt(right, &mut next);
            let next = gather(&mut next, 0);
            match op {
                BinaryOp::Pipe | BinaryOp::PipeAll => stages.push(next),
                BinaryOp::And | BinaryOp::Or => {
                    out.push(pipeline(&mut stages));
                    stages.push(next);
                }
            }
        }
        out.push(pipeline(&mut stages));
    }

    fn compound(&self, compound: &CompoundCommand, out: &mut Seq) {
        match compound {
            CompoundCommand::If(c) => {
                let mut parts = vec![self.rc(&c.condition), self.rc(&c.then_branch)];
                for (condition, branch) in &c.elif_branches {
                    parts.push(self.rc(condition));
                    parts.push(self.rc(branch));
                }
                parts.extend(c.else_branch.as_ref().map(|branch| self.rc(branch)));
                out.push(Node::Branch(parts));
            }
            CompoundCommand::For(c) => {
                let name = c.targets.first().and_then(|target| target.name.as_ref());
                out.push(Node::For {
                    name: name.map_or_else(String::new, ToString::to_string),
                    words: c
                        .words
                        .as_ref()
                        .map(|words| words.iter().map(|w| word(self, w)).collect()),
                    body: self.rc(&c.body),
                });
            }
            CompoundCommand::Foreach(c) => out.push(Node::For {
                name: c.variable.to_string(),
                words: Some(c.words.iter().map(|w| word(self, w)).collect()),
                body: self.rc(&c.body),
            }),
            CompoundCommand::Select(c) => out.push(Node::For {
                name: c.variable.to_string(),
                words: Some(c.words.iter().map(|w| word(self, w)).collect()),
                body: self.rc(&c.body),
            }),
            CompoundCommand::Repeat(c) => out.push(Node::Group(self.rc(&c.body))),
            CompoundCommand::ArithmeticFor(c) => {
                out.push(Node::While { condition: Rc::default(), body: self.rc(&c.body) });
            }
            CompoundCommand::While(c) => {
                out.push(Node::While { condition: self.rc(&c.condition), body: self.rc(&c.body) });
            }
            CompoundCommand::Until(c) => {
                out.push(Node::While { condition: self.rc(&c.condition), body: self.rc(&c.body) });
            }
            CompoundCommand::Case(c) => out.push(self.case(c)),
            CompoundCommand::Subshell(body) => out.push(Node::Subshell(self.rc(body))),
            CompoundCommand::BraceGroup(body) => out.push(Node::Group(self.rc(body))),
            CompoundCommand::Arithmetic(c) => {
                if let Some(span) = c.expr_span {
                    out.push(Node::Words(vec![super::word::arithmetic(
                        self,
                        span.slice(self.source),
                        c.expr_ast.as_ref(),
                        span_of(span),
                    )]));
                }
            }
            CompoundCommand::Time(c) => {
                if let Some(stmt) = &c.command {
                    self.stmt(stmt, out);
                }
            }
            CompoundCommand::Conditional(c) => {
                let mut words = Vec::new();
                self.condition(&c.expression, &mut words);
                out.push(Node::Words(words));
            }
            CompoundCommand::Coproc(c) => {
                out.push(Node::Background(Box::new(Node::Group(self.one(&c.body)))));
            }
            CompoundCommand::Always(c) => {
                out.push(Node::Group(self.rc(&c.body)));
                out.push(Node::Group(self.rc(&c.always_body)));
            }
        }
    }

    fn case(&self, case: &shuck_ast::CaseCommand) -> Node {
        let arms = case
            .cases
            .iter()
            .map(|item| {
                let patterns = item.patterns.iter().map(|p| pattern_text(self, p)).collect();
                (patterns, self.rc(&item.body))
            })
            .collect();
        Node::Case { word: word(self, &case.word), arms }
    }

    fn condition(&self, expression: &ConditionalExpr, out: &mut Vec<Word>) {
        // `&&` and `||` chains nest to the left here too; the parser's chain cap bounds them.
        let mut stack = vec![expression];
        while let Some(expression) = stack.pop() {
            match expression {
                ConditionalExpr::Binary(b) => {
                    stack.push(&b.right);
                    stack.push(&b.left);
                }
                ConditionalExpr::Unary(u) => stack.push(&u.expr),
                ConditionalExpr::Parenthesized(p) => stack.push(&p.expr),
                ConditionalExpr::Word(w) | ConditionalExpr::Regex(w) => out.push(word(self, w)),
                ConditionalExpr::Pattern(p) => {
                    for part in &p.parts {
                        if let shuck_ast::PatternPart::Word(w) = &part.kind {
                            out.push(word(self, w));
                        }
                    }
                }
                ConditionalExpr::VarRef(_) => {}
            }
        }
    }

    fn assigns(&self, assigns: &[Assignment]) -> Vec<Assign> {
        assigns.iter().map(|assignment| self.assign(assignment)).collect()
    }

    fn assign(&self, assignment: &Assignment) -> Assign {
        let value = match &assignment.value {
            AssignmentValue::Scalar(value) => match &assignment.target.subscript {
                Some(index) => AssignValue::Element(
                    index.text.slice(self.source).to_owned(),
                    word(self, value),
                ),
                None => AssignValue::Scalar(word(self, value)),
            },
            AssignmentValue::Compound(array) => AssignValue::Array(
                array.elements.iter().map(|element| self.element(element)).collect(),
            ),
        };
        Assign { name: assignment.target.name.to_string(), append: assignment.append, value }
    }

    fn element(&self, element: &ArrayElem) -> (Option<String>, Word) {
        let key = match element {
            ArrayElem::Sequential(_) => None,
            ArrayElem::Keyed { key, .. } | ArrayElem::KeyedAppend { key, .. } => {
                Some(key.text.slice(self.source).to_owned())
            }
        };
        (key, word(self, element.value()))
    }

    fn redirect(&self, redirect: &shuck_ast::Redirect) -> Redirect {
        let span = span_of(redirect.span);
        let (kind, target) = match (&redirect.target, redirect.kind) {
            (RedirectTarget::Heredoc(here), _) => (RedirectKind::Here, heredoc(self, &here.body)),
            (RedirectTarget::Word(target), kind) => {
                let mut target = word(self, target);
                let kind = match kind {
                    SourceRedirect::Output | SourceRedirect::Clobber => RedirectKind::Write,
                    SourceRedirect::OutputBoth => RedirectKind::Write,
                    SourceRedirect::Append => RedirectKind::Append,
                    SourceRedirect::Input => RedirectKind::Read,
                    SourceRedirect::ReadWrite => RedirectKind::ReadWrite,
                    // `>& file` is an old spelling of `&> file`.
                    SourceRedirect::DupOutput if !target.is_descriptor() => RedirectKind::Write,
                    SourceRedirect::DupOutput | SourceRedirect::DupInput => RedirectKind::Duplicate,
                    SourceRedirect::HereString => {
                        target.parts.push(Part::Text { text: "\n".into(), quoted: true });
                        RedirectKind::Here
                    }
                    SourceRedirect::HereDoc | SourceRedirect::HereDocStrip => RedirectKind::Here,
                };
                (kind, target)
            }
        };
        Redirect { fd: redirect.fd, kind, target, span }
    }
}

fn gather(out: &mut Seq, start: usize) -> Node {
    if out.len() == start + 1
        && let Some(node) = out.pop()
    {
        return node;
    }
    Node::Group(Rc::new(out.split_off(start)))
}

fn pipeline(stages: &mut Vec<Node>) -> Node {
    if stages.len() == 1
        && let Some(node) = stages.pop()
    {
        return node;
    }
    Node::Pipeline(std::mem::take(stages))
}

impl Word {
    /// A word of plain text.
    pub(crate) fn literal(text: &str, span: super::Span) -> Self {
        Self { parts: vec![Part::Text { text: text.to_owned(), quoted: false }], span }
    }

    fn is_descriptor(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Text { text, .. }]
            if text == "-" || text.trim_end_matches('-').bytes().all(|b| b.is_ascii_digit()))
    }
}
