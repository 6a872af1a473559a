//! Values as far as they are known before the command runs.

use std::collections::HashMap;
use std::rc::Rc;

use crate::shell::{Seq, Span};

/// Stands for text that depends on the run and may be empty.
pub(crate) const UNKNOWN: char = '\u{F0000}';
/// Stands for text that depends on the run and is not empty.
pub(crate) const SOME: char = '\u{F0001}';

/// Whether a part of the text depends on the run.
pub(crate) fn is_unknown(text: &str) -> bool {
    text.contains([UNKNOWN, SOME])
}

/// Where data comes from, as far as it matters for running it or sending it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Taint {
    #[default]
    None,
    /// What a local program prints.
    Program(Rc<str>),
    /// The content of a file.
    File(Rc<str>),
    /// The outcome of decoding that we could not follow.
    Decoded,
    /// What a host sent.
    Remote(Rc<str>),
    /// A credential.
    Secret(Rc<str>),
}

impl Taint {
    fn rank(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Program(_) => 1,
            Self::File(_) => 2,
            Self::Decoded => 3,
            Self::Remote(_) => 4,
            Self::Secret(_) => 5,
        }
    }

    /// The worse of both.
    pub(crate) fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }
}

/// Data on its way from one command to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// The whole content, where it is known.
    pub(crate) text: Option<Rc<str>>,
    pub(crate) taint: Taint,
    /// The content is a list of paths such as these.
    pub(crate) paths: Vec<String>,
}

impl Flow {
    /// No data at all.
    pub(crate) fn empty() -> Self {
        Self { text: Some(Rc::from("")), ..Self::default() }
    }

    pub(crate) fn text(text: impl Into<Rc<str>>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    pub(crate) fn tainted(taint: Taint) -> Self {
        Self { taint, ..Self::default() }
    }

    pub(crate) fn program(name: &str) -> Self {
        Self::tainted(Taint::Program(Rc::from(name)))
    }

    pub(crate) fn paths(paths: Vec<String>) -> Self {
        Self { paths, taint: Taint::Program(Rc::from("find")), ..Self::default() }
    }

    /// The known text, if all of it is known and not empty.
    pub(crate) fn known(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !text.is_empty())
    }

    /// This data followed by other data.
    pub(crate) fn then(self, next: Self) -> Self {
        if self.text.as_deref() == Some("") && self.taint == Taint::None {
            return next;
        }
        if next.text.as_deref() == Some("") && next.taint == Taint::None {
            return self;
        }
        let text = match (self.text, next.text) {
            (Some(a), Some(b)) if a.len() + b.len() < 65_536 => Some(Rc::from(format!("{a}{b}"))),
            _ => None,
        };
        let mut paths = self.paths;
        paths.extend(next.paths);
        paths.truncate(16);
        Self { text, taint: self.taint.worse(next.taint), paths }
    }
}

/// A word after expansion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arg {
    pub(crate) text: String,
    pub(crate) span: Span,
    pub(crate) taint: Taint,
}

impl Arg {
    pub(crate) fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), span, taint: Taint::None }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        is_unknown(&self.text)
    }
}

/// A shell variable; a scalar is an array of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Var {
    pub(crate) values: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) taint: Taint,
}

impl Var {
    pub(crate) fn scalar(text: impl Into<String>, taint: Taint) -> Self {
        Self { values: vec![text.into()], keys: Vec::new(), taint }
    }
}

/// The state of a shell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shell {
    pub(crate) vars: HashMap<String, Var>,
    pub(crate) functions: HashMap<String, Rc<Seq>>,
    pub(crate) aliases: HashMap<String, String>,
    pub(crate) cwd: String,
    pub(crate) params: Vec<Arg>,
}
