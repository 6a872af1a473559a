//! All rules of a redactor, compiled once and shared.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;

use crate::class::Class;
use crate::context::WORDS;
use crate::custom::{Custom, CustomPattern, MOST_PATTERNS};
use crate::error::Error;
use crate::index::{Anchor, Index, Rule};
use crate::known;
use crate::shape::Shape;
use crate::shapes::SHAPES;

/// The kind of a known value.
pub(crate) const KNOWN: &str = "known_value";

/// Rules, index and names of kinds.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) index: Index,
    pub(crate) shapes: Arc<[Shape]>,
    pub(crate) customs: Vec<Custom>,
    kinds: Vec<Box<str>>,
    known: u16,
}

/// The rules that every redactor has.
pub(crate) static BUILTIN: LazyLock<Arc<Compiled>> = LazyLock::new(|| Arc::new(builtin()));

/// Ranks: a shape proves most, a name least.
const RANK_SHAPE: u8 = 0;
const RANK_KNOWN: u8 = 2;
const RANK_SPECIAL: u8 = 3;
const RANK_WORD: u8 = 4;

/// Literals of rules that are code: literal, rule, kind, rank.
pub(crate) const SPECIALS: &[(&str, Rule, &str, u8)] = &[
    ("authorization", Rule::Authorization, "authorization", RANK_SPECIAL),
    ("bearer ", Rule::Scheme, "bearer_token", RANK_SPECIAL),
    ("bearer%20", Rule::Scheme, "bearer_token", RANK_SPECIAL),
    ("basic ", Rule::Scheme, "basic_auth", RANK_SPECIAL),
    ("cookie:", Rule::Cookie, "cookie", RANK_SPECIAL),
    ("cookie\":", Rule::Cookie, "cookie", RANK_SPECIAL),
    ("cookie':", Rule::Cookie, "cookie", RANK_SPECIAL),
    ("?key=", Rule::Parameter, "url_parameter", RANK_SPECIAL),
    ("&key=", Rule::Parameter, "url_parameter", RANK_SPECIAL),
    ("?sig=", Rule::Parameter, "url_signature", RANK_SPECIAL),
    ("&sig=", Rule::Parameter, "url_signature", RANK_SPECIAL),
    ("?code=", Rule::Parameter, "url_parameter", RANK_SPECIAL),
    ("&code=", Rule::Parameter, "url_parameter", RANK_SPECIAL),
    ("signature=", Rule::Parameter, "url_signature", RANK_SPECIAL),
    (" -u ", Rule::User, "password", RANK_SPECIAL),
    ("--user ", Rule::User, "password", RANK_SPECIAL),
    (":5432:", Rule::Pgpass, "password", RANK_SPECIAL),
    ("sshpass -p ", Rule::Sshpass, "password", RANK_SPECIAL),
    ("sshpass -p", Rule::Sshpass, "password", RANK_SPECIAL),
    ("password ", Rule::Netrc, "password", RANK_SPECIAL),
    ("requirepass ", Rule::Sshpass, "password", RANK_SPECIAL),
    ("masterauth ", Rule::Sshpass, "password", RANK_SPECIAL),
    ("redis-cli", Rule::Tool(b'a'), "password", RANK_SPECIAL),
    ("ldapsearch", Rule::Tool(b'w'), "password", RANK_SPECIAL),
    ("ldapmodify", Rule::Tool(b'w'), "password", RANK_SPECIAL),
    ("ldapadd", Rule::Tool(b'w'), "password", RANK_SPECIAL),
    ("sqlcmd", Rule::Tool(b'P'), "password", RANK_SPECIAL),
    ("mosquitto_pub", Rule::Tool(b'P'), "password", RANK_SPECIAL),
    ("mosquitto_sub", Rule::Tool(b'P'), "password", RANK_SPECIAL),
    ("mysql", Rule::Tool(b'p'), "password", RANK_SPECIAL),
    ("mariadb", Rule::Tool(b'p'), "password", RANK_SPECIAL),
];

fn builtin() -> Compiled {
    let mut kinds = Kinds(Vec::new());
    let mut anchors = Vec::new();
    let mut shapes = Vec::new();
    for row in SHAPES {
        let Some(shape) = Shape::new(row) else { continue };
        let number = u16::try_from(shapes.len()).unwrap_or(u16::MAX);
        for literal in row.anchors {
            anchors.push(Anchor {
                literal: literal.as_bytes().into(),
                fold: false,
                rule: Rule::Shape(number),
                kind: kinds.number(row.kind),
                rank: RANK_SHAPE,
                next: shape.first_class(),
                previous: shape.before_class(),
            });
        }
        shapes.push(shape);
    }
    let mut add = |literal: &str, fold, rule, kind: u16, rank, next, previous| {
        let literal = literal.as_bytes().into();
        anchors.push(Anchor { literal, fold, rule, kind, rank, next, previous });
    };
    for (number, word) in WORDS.iter().enumerate() {
        let rule = Rule::Word(u16::try_from(number).unwrap_or(u16::MAX));
        let kind = kinds.number(word.kind);
        // Three letters need what follows them: a separator, or more of the name.
        let after: &[Option<Class>] =
            if word.literal.len() < 4 { &[Some(Class::JOINT)] } else { &[None] };
        for next in after {
            add(word.literal, true, rule, kind, RANK_WORD, *next, None);
        }
    }
    for (literal, rule, kind, rank) in SPECIALS {
        add(literal, true, *rule, kinds.number(kind), *rank, None, None);
    }
    let scheme = Some(Class::ALNUM);
    add("://", false, Rule::Url, kinds.number("url_password"), RANK_SPECIAL, None, scheme);
    add("eyJ", false, Rule::Jwt, kinds.number("jwt"), RANK_SHAPE, Some(Class::WORD), None);
    add("PRIVATE KEY", false, Rule::Pem, kinds.number("private_key"), RANK_SHAPE, None, None);
    let discord = kinds.number("discord_token");
    for number in 10..100 {
        let lead = base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{number}0"));
        let next = Some(Class::DIGITS);
        add(&lead[..3], false, Rule::Discord, discord, RANK_SHAPE, next, None);
    }
    let known = kinds.number(KNOWN);
    Compiled {
        index: Index::new(anchors),
        shapes: shapes.into(),
        customs: Vec::new(),
        kinds: kinds.0,
        known,
    }
}

struct Kinds(Vec<Box<str>>);

impl Kinds {
    fn number(&mut self, kind: &str) -> u16 {
        let at = self.0.iter().position(|known| &**known == kind).unwrap_or_else(|| {
            self.0.push(kind.into());
            self.0.len() - 1
        });
        u16::try_from(at).unwrap_or(u16::MAX)
    }
}

impl Compiled {
    /// The shapes of the table alone.
    #[cfg(test)]
    pub(crate) fn of_shapes() -> Self {
        let all = &**BUILTIN;
        let anchors = all.index.anchors().iter();
        let shapes = anchors.filter(|a| matches!(a.rule, Rule::Shape(_))).cloned().collect();
        Self { index: Index::new(shapes), ..all.clone() }
    }

    /// The same rules with more known values. Refused values are left out.
    pub(crate) fn with_values<'a>(&self, values: impl Iterator<Item = &'a str>) -> Self {
        let mut anchors = self.index.anchors().to_vec();
        for value in values.filter(|value| known::refusal(value).is_none()) {
            for form in known::forms(value) {
                anchors.push(Anchor {
                    literal: form.bytes.into(),
                    fold: form.fold,
                    rule: Rule::Known(0),
                    kind: self.known,
                    rank: RANK_KNOWN,
                    next: None,
                    previous: None,
                });
            }
        }
        Self { index: Index::new(anchors), ..self.clone() }
    }

    pub(crate) fn with_customs(mut self, patterns: &[CustomPattern]) -> Result<Self, Error> {
        if patterns.len() > MOST_PATTERNS {
            return Err(Error::TooMany { count: patterns.len(), limit: MOST_PATTERNS });
        }
        let mut kinds = Kinds(self.kinds);
        for pattern in patterns {
            self.customs.push(Custom::new(pattern, kinds.number(&pattern.name))?);
        }
        self.kinds = kinds.0;
        Ok(self)
    }

    pub(crate) fn kind(&self, kind: u16) -> &str {
        &self.kinds[usize::from(kind)]
    }

    /// `kind`, if all its rules go by the look of a secret and not by what it stands under.
    pub(crate) fn kind_by_look(&self, kind: &str) -> Option<&str> {
        let number = self.find_kind(kind)?;
        let by_look = |anchor: &Anchor| anchor.kind != number || anchor.rank <= RANK_KNOWN;
        self.index.anchors().iter().all(by_look).then(|| self.kind(number))
    }

    pub(crate) fn find_kind(&self, kind: &str) -> Option<u16> {
        let at = self.kinds.iter().position(|known| &**known == kind)?;
        u16::try_from(at).ok()
    }

    /// Number of a kind, which is added if these rules do not have it.
    pub(crate) fn number(&mut self, kind: &str) -> u16 {
        let mut kinds = Kinds(std::mem::take(&mut self.kinds));
        let number = kinds.number(kind);
        self.kinds = kinds.0;
        number
    }

    pub(crate) fn known_kind(&self) -> u16 {
        self.known
    }

    pub(crate) fn marker(&self, kind: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[REDACTED:");
        out.extend_from_slice(self.kind(kind).as_bytes());
        out.push(b']');
    }

    /// Length of the longest beginning of a known value that `bytes` end with.
    pub(crate) fn partial_known(&self, bytes: &[u8]) -> Option<usize> {
        let known = self.index.anchors().iter().filter(|a| matches!(a.rule, Rule::Known(_)));
        known
            .filter_map(|anchor| {
                let most = anchor.literal.len().min(bytes.len());
                (4..=most).rev().find(|&n| bytes.ends_with(&anchor.literal[..n]))
            })
            .max()
    }
}
