//! Shell text to a small syntax tree of our own.
//!
//! The parser is a third-party crate behind this module: nothing outside `shell` names it. The
//! tree keeps what deciding needs (words with their quoting, redirections, data flow) and drops
//! the rest, and it is bounded: nesting and number of nodes are capped while it is built, so
//! whatever walks it may recurse.

mod brace;
mod lower;
mod word;

use std::rc::Rc;

/// Nesting the parser may reach. People's commands stay below ten.
const MAX_DEPTH: usize = 40;
/// Open brackets of any kind at one place of the text.
const MAX_BRACKETS: usize = 80;
/// Nesting of our own tree, words and lists counted.
const MAX_TREE: u32 = 60;
/// Parser operations; about a thousand for each ordinary command.
const MAX_FUEL: usize = 400_000;

/// Byte offsets into the text, end exclusive.
pub(crate) type Span = (usize, usize);

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) body: Rc<Seq>,
    /// Why the text could not be read wholly.
    pub(crate) problem: Option<Problem>,
}

/// Reasons for an incomplete tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Syntax,
    Depth,
    Fuel,
}

/// Commands one after the other, whatever joins them.
pub(crate) type Seq = Vec<Node>;

/// One command of any shape.
#[derive(Debug)]
pub(crate) enum Node {
    Simple(Simple),
    Pipeline(Vec<Node>),
    /// A list in the current shell.
    Group(Rc<Seq>),
    /// A list in a shell of its own.
    Subshell(Rc<Seq>),
    /// Alternatives: conditions and branches, all of which may run.
    Branch(Vec<Rc<Seq>>),
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: Rc<Seq>,
    },
    /// A loop without values of its own.
    While {
        condition: Rc<Seq>,
        body: Rc<Seq>,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<String>, Rc<Seq>)>,
    },
    Function {
        name: String,
        body: Rc<Seq>,
    },
    /// Words that are only expanded, for the substitutions in them.
    Words(Vec<Word>),
    Redirected {
        node: Box<Node>,
        redirects: Vec<Redirect>,
    },
    Background(Box<Node>),
}

/// A command with its words.
#[derive(Debug)]
pub(crate) struct Simple {
    pub(crate) assigns: Vec<Assign>,
    pub(crate) words: Vec<Word>,
    pub(crate) span: Span,
}

/// A variable assignment.
#[derive(Debug)]
pub(crate) struct Assign {
    pub(crate) name: String,
    pub(crate) append: bool,
    pub(crate) value: AssignValue,
}

/// What is assigned.
#[derive(Debug)]
pub(crate) enum AssignValue {
    Scalar(Word),
    Element(String, Word),
    /// Elements, with their keys where they are written.
    Array(Vec<(Option<String>, Word)>),
}

/// A redirection.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) fd: Option<i32>,
    pub(crate) kind: RedirectKind,
    pub(crate) target: Word,
    pub(crate) span: Span,
}

/// What a redirection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectKind {
    Write,
    Append,
    Read,
    ReadWrite,
    Duplicate,
    /// A here-document or here-string; the target is its body.
    Here,
}

/// A word before expansion.
#[derive(Debug, Default)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    pub(crate) span: Span,
}

/// A part of a word.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Text; `quoted` text neither splits nor globs.
    Text { text: String, quoted: bool },
    /// A parameter expansion.
    Param { param: Rc<Param>, quoted: bool },
    /// `$(...)` or backticks.
    Command { body: Rc<Seq>, quoted: bool },
    /// `<(...)` or `>(...)`.
    Process { body: Rc<Seq>, input: bool },
    /// `$((...))`: a number; the words inside are expanded for their substitutions.
    Arithmetic { text: String, words: Rc<Vec<Word>> },
}

/// A parameter expansion.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) index: Index,
    pub(crate) op: ParamOp,
}

/// The subscript of a parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Index {
    None,
    All,
    At(String),
}

/// What a parameter expansion does to the value.
#[derive(Debug)]
pub(crate) enum ParamOp {
    Value,
    Default(Word),
    Assign(Word),
    Alternative(Word),
    /// `${x:?}`: the command does not run when it is empty.
    Required,
    Length,
    Indirect,
    Trim {
        pattern: String,
        suffix: bool,
        longest: bool,
    },
    Replace {
        pattern: String,
        with: Word,
        all: bool,
    },
    Slice {
        offset: String,
        length: Option<String>,
    },
    Case {
        upper: bool,
        all: bool,
    },
    /// A transformation we do not follow.
    Other,
}

/// Reads shell text. Never fails: what could not be read is named in [`Script::problem`].
pub(crate) fn parse(text: &str) -> Script {
    lower::parse(text)
}

pub(crate) use brace::expand as expand_braces;
