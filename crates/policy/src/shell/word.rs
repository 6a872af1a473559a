//! From the parser's tree to ours: words.

use std::rc::Rc;

use shuck_ast::{
    ArithmeticExpr, ArithmeticExprNode, ArithmeticLvalue, BourneParameterExpansion, HeredocBody,
    HeredocBodyPart, ParameterExpansionSyntax, ParameterOp, Pattern, PatternPart, VarRef,
    Word as SourceWord, WordPart, WordPartNode,
};

use super::lower::Lower;
use super::{Index, Param, ParamOp, Part, Span, Word};

pub(super) fn span_of(span: shuck_ast::Span) -> Span {
    (span.start.offset(), span.end.offset())
}

pub(super) fn word(lower: &Lower<'_>, source: &SourceWord) -> Word {
    let mut parts = Vec::with_capacity(source.parts.len());
    lower.deeper(|| {
        for part in &source.parts {
            push(lower, part, false, &mut parts);
        }
    });
    Word { parts, span: span_of(source.span) }
}

pub(super) fn heredoc(lower: &Lower<'_>, body: &HeredocBody) -> Word {
    let mut parts = Vec::new();
    for (part, span) in body.parts_with_spans() {
        match part {
            HeredocBodyPart::Literal(text) => {
                parts.push(quoted_text(text.as_str(lower.source, span)));
            }
            HeredocBodyPart::Variable(name) => parts.push(variable(name.as_ref(), true)),
            HeredocBodyPart::CommandSubstitution { body, .. } => {
                parts.push(Part::Command { body: Rc::new(lower.seq(body)), quoted: true });
            }
            HeredocBodyPart::ArithmeticExpansion { expression, expression_ast, .. } => {
                let text = expression.slice(lower.source);
                let word = arithmetic(lower, text, expression_ast.as_deref(), (0, 0));
                parts.extend(word.parts);
            }
            HeredocBodyPart::Parameter(parameter) => {
                parameter_parts(lower, parameter, true, &mut parts);
            }
        }
    }
    Word { parts, span: span_of(body.span) }
}

/// A pattern as glob text; what depends on the run matches anything.
pub(super) fn pattern_text(lower: &Lower<'_>, pattern: &Pattern) -> String {
    let mut out = String::new();
    for (part, span) in pattern.parts_with_spans() {
        match part {
            PatternPart::Literal(text) => out.push_str(text.as_str(lower.source, span)),
            PatternPart::AnyString => out.push('*'),
            PatternPart::AnyChar => out.push('?'),
            PatternPart::CharClass(text) => out.push_str(text.slice(lower.source)),
            PatternPart::Group { .. } => out.push('*'),
            PatternPart::Word(source) => match source.try_static_text(lower.source) {
                Some(text) => out.push_str(&text),
                None => out.push('*'),
            },
        }
    }
    out
}

/// The words inside arithmetic, for the substitutions in them.
pub(super) fn arithmetic(
    lower: &Lower<'_>,
    text: &str,
    ast: Option<&ArithmeticExprNode>,
    span: Span,
) -> Word {
    let mut words = Vec::new();
    let mut stack: Vec<&ArithmeticExprNode> = ast.into_iter().collect();
    while let Some(node) = stack.pop() {
        match &node.kind {
            ArithmeticExpr::Number(_) | ArithmeticExpr::Variable(_) => {}
            ArithmeticExpr::Indexed { index, .. } => stack.push(index),
            ArithmeticExpr::ShellWord(source) => words.push(word(lower, source)),
            ArithmeticExpr::Parenthesized { expression } => stack.push(expression),
            ArithmeticExpr::Unary { expr, .. } | ArithmeticExpr::Postfix { expr, .. } => {
                stack.push(expr);
            }
            ArithmeticExpr::Binary { left, right, .. } => stack.extend([&**left, &**right]),
            ArithmeticExpr::Conditional { condition, then_expr, else_expr } => {
                stack.extend([&**condition, &**then_expr, &**else_expr]);
            }
            ArithmeticExpr::Assignment { target, value, .. } => {
                stack.push(value);
                if let ArithmeticLvalue::Indexed { index, .. } = target {
                    stack.push(index);
                }
            }
        }
    }
    let part = Part::Arithmetic { text: text.to_owned(), words: Rc::new(words) };
    Word { parts: vec![part], span }
}

fn quoted_text(text: &str) -> Part {
    Part::Text { text: text.to_owned(), quoted: true }
}

fn variable(name: &str, quoted: bool) -> Part {
    let param = Param { name: name.to_owned(), index: Index::None, op: ParamOp::Value };
    Part::Param { param: Rc::new(param), quoted }
}

// Unquoted source text still has its backslashes: an escaped character is quoted text.
fn unescape(raw: &str, out: &mut Vec<Part>) {
    if !raw.contains('\\') {
        out.push(Part::Text { text: raw.to_owned(), quoted: false });
        return;
    }
    let mut plain = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            None => plain.push('\\'),
            Some('\n') => {}
            Some(escaped) => {
                if !plain.is_empty() {
                    let text = std::mem::take(&mut plain);
                    out.push(Part::Text { text, quoted: false });
                }
                out.push(quoted_text(escaped.encode_utf8(&mut [0; 4])));
            }
        }
    }
    if !plain.is_empty() {
        out.push(Part::Text { text: plain, quoted: false });
    }
}

fn push(lower: &Lower<'_>, node: &WordPartNode, quoted: bool, out: &mut Vec<Part>) {
    let source = lower.source;
    match &node.kind {
        WordPart::Literal(text) if quoted => out.push(quoted_text(text.as_str(source, node.span))),
        WordPart::Literal(text) => unescape(text.syntax_str(source, node.span), out),
        WordPart::ZshQualifiedGlob(_) => {
            out.push(Part::Text { text: node.span.slice(source).to_owned(), quoted: false });
        }
        WordPart::SingleQuoted { value, .. } => out.push(quoted_text(value.slice(source))),
        WordPart::DoubleQuoted { parts, .. } => {
            // An empty pair of quotes is still a word.
            out.push(quoted_text(""));
            for part in parts {
                push(lower, part, true, out);
            }
        }
        WordPart::Variable(name) => out.push(variable(name.as_ref(), quoted)),
        WordPart::CommandSubstitution { body, .. } => {
            out.push(Part::Command { body: Rc::new(lower.seq(body)), quoted });
        }
        WordPart::ProcessSubstitution { body, is_input } => {
            out.push(Part::Process { body: Rc::new(lower.seq(body)), input: *is_input });
        }
        WordPart::ArithmeticExpansion { expression, expression_ast, .. } => {
            let text = expression.slice(source);
            out.extend(arithmetic(lower, text, expression_ast.as_deref(), (0, 0)).parts);
        }
        WordPart::Parameter(parameter) => parameter_parts(lower, parameter, quoted, out),
        other => reference_part(lower, other, quoted, out),
    }
}

fn reference_part(lower: &Lower<'_>, part: &WordPart, quoted: bool, out: &mut Vec<Part>) {
    let (reference, op) = match part {
        WordPart::ParameterExpansion { reference, operator, operand_word_ast, .. } => {
            (reference, operation(lower, operator, operand_word_ast.as_deref()))
        }
        WordPart::Length(reference) | WordPart::ArrayLength(reference) => {
            (reference, ParamOp::Length)
        }
        WordPart::ArrayAccess(reference) => (reference, ParamOp::Value),
        WordPart::Substring { reference, offset, length, .. }
        | WordPart::ArraySlice { reference, offset, length, .. } => (
            reference,
            ParamOp::Slice {
                offset: offset.slice(lower.source).to_owned(),
                length: length.as_ref().map(|l| l.slice(lower.source).to_owned()),
            },
        ),
        WordPart::IndirectExpansion { reference, .. } => (reference, ParamOp::Indirect),
        WordPart::Transformation { reference, operator } => (reference, transformation(*operator)),
        WordPart::ArrayIndices(reference) => (reference, ParamOp::Other),
        _ => {
            let name = String::new();
            let param = Param { name, index: Index::None, op: ParamOp::Other };
            out.push(Part::Param { param: Rc::new(param), quoted });
            return;
        }
    };
    out.push(reference_to(lower, reference, op, quoted));
}

fn transformation(operator: char) -> ParamOp {
    match operator {
        'U' => ParamOp::Case { upper: true, all: true },
        'u' => ParamOp::Case { upper: true, all: false },
        'L' => ParamOp::Case { upper: false, all: true },
        'Q' | 'E' | 'P' => ParamOp::Value,
        _ => ParamOp::Other,
    }
}

fn reference_to(lower: &Lower<'_>, reference: &VarRef, op: ParamOp, quoted: bool) -> Part {
    let index = match &reference.subscript {
        None => Index::None,
        Some(subscript) if subscript.is_array_selector() => Index::All,
        Some(subscript) => Index::At(subscript.text.slice(lower.source).to_owned()),
    };
    let param = Param { name: reference.name.to_string(), index, op };
    Part::Param { param: Rc::new(param), quoted }
}

fn parameter_parts(
    lower: &Lower<'_>,
    parameter: &shuck_ast::ParameterExpansion,
    quoted: bool,
    out: &mut Vec<Part>,
) {
    use BourneParameterExpansion as Bourne;
    let ParameterExpansionSyntax::Bourne(bourne) = &parameter.syntax else {
        let param = Param { name: String::new(), index: Index::None, op: ParamOp::Other };
        out.push(Part::Param { param: Rc::new(param), quoted });
        return;
    };
    let (reference, op) = match bourne {
        Bourne::Access { reference } => (reference, ParamOp::Value),
        Bourne::Length { reference } => (reference, ParamOp::Length),
        Bourne::Indices { reference } => (reference, ParamOp::Other),
        Bourne::Indirect { reference, .. } => (reference, ParamOp::Indirect),
        Bourne::PrefixMatch { .. } => {
            let param = Param { name: String::new(), index: Index::None, op: ParamOp::Other };
            out.push(Part::Param { param: Rc::new(param), quoted });
            return;
        }
        Bourne::Slice { reference, offset, length, .. } => (
            reference,
            ParamOp::Slice {
                offset: offset.slice(lower.source).to_owned(),
                length: length.as_ref().map(|l| l.slice(lower.source).to_owned()),
            },
        ),
        Bourne::Operation { reference, operator, operand_word_ast, .. } => {
            (reference, operation(lower, operator, operand_word_ast.as_deref()))
        }
        Bourne::Transformation { reference, operator } => (reference, transformation(*operator)),
    };
    out.push(reference_to(lower, reference, op, quoted));
}

fn operation(lower: &Lower<'_>, operator: &ParameterOp, operand: Option<&SourceWord>) -> ParamOp {
    let operand = || operand.map(|w| word(lower, w)).unwrap_or_default();
    let trim = |pattern: &Pattern, suffix: bool, longest: bool| ParamOp::Trim {
        pattern: pattern_text(lower, pattern),
        suffix,
        longest,
    };
    let replace = |pattern: &Pattern, with: &SourceWord, all: bool| ParamOp::Replace {
        pattern: pattern_text(lower, pattern),
        with: word(lower, with),
        all,
    };
    match operator {
        ParameterOp::UseDefault => ParamOp::Default(operand()),
        ParameterOp::AssignDefault => ParamOp::Assign(operand()),
        ParameterOp::UseReplacement => ParamOp::Alternative(operand()),
        ParameterOp::Error => ParamOp::Required,
        ParameterOp::RemovePrefixShort { pattern } => trim(pattern, false, false),
        ParameterOp::RemovePrefixLong { pattern } => trim(pattern, false, true),
        ParameterOp::RemoveSuffixShort { pattern } => trim(pattern, true, false),
        ParameterOp::RemoveSuffixLong { pattern } => trim(pattern, true, true),
        ParameterOp::ReplaceFirst { pattern, replacement_word_ast, .. } => {
            replace(pattern, replacement_word_ast, false)
        }
        ParameterOp::ReplaceAll { pattern, replacement_word_ast, .. } => {
            replace(pattern, replacement_word_ast, true)
        }
        ParameterOp::UpperFirst => ParamOp::Case { upper: true, all: false },
        ParameterOp::UpperAll => ParamOp::Case { upper: true, all: true },
        ParameterOp::LowerFirst => ParamOp::Case { upper: false, all: false },
        ParameterOp::LowerAll => ParamOp::Case { upper: false, all: true },
    }
}
