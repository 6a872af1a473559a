//! A lexical scanner: strings, names, calls. No grammar, so no recursion and no failure.

use std::collections::HashMap;

use crate::eval::unescape;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A dotted name: `shutil.rmtree`, `Deno.Command`, `FileUtils::rm_rf`.
    Name(String),
    Text(String),
    Number(String),
    /// A command in backticks or `%x{}` or `qx()`.
    Command(String),
    Sign(char),
}

/// The tokens of a program, and what its names were imported from.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) tokens: Vec<Token>,
    /// Short names and what they were imported from.
    pub(super) imports: HashMap<String, String>,
}

/// Tokens a program may have; the rest is left out.
const MAX_TOKENS: usize = 20_000;

struct Scanner<'t> {
    chars: Vec<char>,
    at: usize,
    language: &'t str,
    tokens: Vec<Token>,
}

pub(super) fn scan(language: &str, text: &str) -> Program {
    let mut scanner =
        Scanner { chars: text.chars().collect(), at: 0, language, tokens: Vec::new() };
    while scanner.tokens.len() < MAX_TOKENS && scanner.next() {}
    let mut program = Program { tokens: scanner.tokens, ..Program::default() };
    imports(language, &mut program);
    program
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
    }

    fn line_comment(&self) -> bool {
        let c = self.peek(0);
        match self.language {
            "python" | "ruby" | "perl" | "r" | "julia" | "elixir" | "tcl" => c == '#',
            "lua" => c == '-' && self.peek(1) == '-',
            "php" => c == '#' || c == '/' && self.peek(1) == '/',
            _ => c == '/' && self.peek(1) == '/',
        }
    }

    fn next(&mut self) -> bool {
        let c = self.peek(0);
        if self.at >= self.chars.len() {
            return false;
        }
        if self.line_comment() {
            while self.at < self.chars.len() && self.peek(0) != '\n' {
                self.at += 1;
            }
        } else if c == '/' && self.peek(1) == '*' {
            self.at += 2;
            while self.at < self.chars.len() && !(self.peek(0) == '*' && self.peek(1) == '/') {
                self.at += 1;
            }
            self.at += 2;
        } else if c == '\n' {
            self.at += 1;
            self.push(Token::Sign('\n'));
        } else if c.is_whitespace() {
            self.at += 1;
        } else if c == '"' || c == '\'' {
            self.string(c, "");
        } else if c == '`' {
            // In JavaScript only as a template of a shell: $`...`.
            let command = matches!(self.language, "ruby" | "perl" | "php" | "julia")
                || self.tokens.last() == Some(&Token::Sign('$'));
            self.quoted('`', command);
        } else if c.is_ascii_digit() {
            let start = self.at;
            while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == '.' {
                self.at += 1;
            }
            let text = self.slice(start);
            self.push(Token::Number(text));
        } else if is_name(c)
            || c == '$' && is_name(self.peek(1))
            || c == '@' && is_name(self.peek(1))
        {
            self.name();
        } else if c == '%' && self.peek(1) == 'x' && self.language == "ruby" {
            self.at += 2;
            let close = closing(self.peek(0));
            self.quoted(close, true);
        } else {
            self.at += 1;
            self.push(Token::Sign(c));
        }
        true
    }

    fn slice(&self, start: usize) -> String {
        self.chars.get(start..self.at.min(self.chars.len())).unwrap_or_default().iter().collect()
    }

    fn name(&mut self) {
        let start = self.at;
        self.at += 1;
        loop {
            let c = self.peek(0);
            let joins = is_name(c) || c.is_ascii_digit();
            let dotted = c == '.' && is_name(self.peek(1));
            let arrow = c == '-' && self.peek(1) == '>' && is_name(self.peek(2));
            let scoped = c == ':' && self.peek(1) == ':' && is_name(self.peek(2));
            let optional = c == '?' && self.peek(1) == '.' && is_name(self.peek(2));
            if joins || dotted {
                self.at += 1;
            } else if arrow || scoped || optional {
                self.at += 2;
            } else {
                break;
            }
        }
        // `rm_rf!`, `File.exist?` are names in Ruby.
        let text: String =
            self.slice(start).replace("::", ".").replace("->", ".").replace("?.", ".");
        let text = text.trim_start_matches(['$', '@']).to_owned();
        let c = self.peek(0);
        // String prefixes.
        if (c == '"' || c == '\'')
            && self.language == "python"
            && text.len() <= 2
            && text.chars().all(|c| "rRbBuUfF".contains(c))
        {
            self.string(c, &text);
            return;
        }
        if matches!(text.as_str(), "qx" | "q" | "qq" | "qw")
            && matches!(self.language, "perl" | "ruby")
            && "({[/|!".contains(c)
        {
            let close = closing(c);
            self.quoted(close, text == "qx");
            return;
        }
        self.push(Token::Name(text));
    }

    // From an opening sign to its closing one; the opening sign is at the current place.
    fn quoted(&mut self, close: char, command: bool) {
        self.at += 1;
        let mut out = String::new();
        while self.at < self.chars.len() && self.peek(0) != close {
            let c = self.peek(0);
            if c == '\\' {
                out.push(self.peek(1));
                self.at += 2;
            } else if (c == '$' || c == '#') && self.peek(1) == '{' {
                let start = self.at + 1;
                self.skip_braces();
                let inner = self.slice(start);
                out.extend(["\u{1}", inner.trim_matches(['{', '}']).trim(), "\u{1}"]);
            } else if c == '$' && is_name(self.peek(1)) && self.language == "julia" {
                self.at += 1;
                let start = self.at;
                while is_name(self.peek(0)) || self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
                let name = self.slice(start);
                out.extend(["\u{1}", &name, "\u{1}"]);
            } else {
                out.push(c);
                self.at += 1;
            }
        }
        self.at += 1;
        self.push(if command { Token::Command(out) } else { Token::Text(out) });
    }

    fn skip_braces(&mut self) {
        let mut depth = 0usize;
        while self.at < self.chars.len() {
            match self.peek(0) {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                '\n' => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn string(&mut self, quote: char, prefix: &str) {
        let triple = self.peek(1) == quote && self.peek(2) == quote && self.language == "python";
        self.at += if triple { 3 } else { 1 };
        let raw = prefix.contains(['r', 'R']);
        let fills = prefix.contains(['f', 'F']);
        let double = quote == '"';
        let mut out = String::new();
        while self.at < self.chars.len() {
            let c = self.peek(0);
            if c == quote && (!triple || self.peek(1) == quote && self.peek(2) == quote) {
                break;
            }
            if c == '\\' && !raw {
                out.push('\\');
                out.push(self.peek(1));
                self.at += 2;
                continue;
            }
            let fill = fills && c == '{' && self.peek(1) != '{'
                || double && c == '#' && self.peek(1) == '{' && self.language == "ruby"
                || double
                    && c == '$'
                    && is_name(self.peek(1))
                    && matches!(self.language, "perl" | "php" | "groovy" | "kotlin");
            if fill && c == '$' {
                self.at += 1;
                let start = self.at;
                while is_name(self.peek(0)) || self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
                let name = self.slice(start);
                out.extend(["\u{1}", &name, "\u{1}"]);
            } else if fill {
                let start = self.at;
                self.skip_braces();
                let inner = self.slice(start);
                out.extend(["\u{1}", inner.trim_matches(['{', '}', '#']).trim(), "\u{1}"]);
            } else {
                out.push(c);
                self.at += 1;
            }
        }
        self.at += if triple { 3 } else { 1 };
        let text = if raw { out } else { unescape(&out) };
        self.push(Token::Text(text));
    }
}

fn is_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '{' => '}',
        '[' => ']',
        '<' => '>',
        other => other,
    }
}

// `import x as y`, `from m import f as g`, `const { f: g } = require('m')`, `import { f } from 'm'`.
fn imports(language: &str, program: &mut Program) {
    let tokens = &program.tokens;
    let name = |at: usize| match tokens.get(at) {
        Some(Token::Name(name)) => name.as_str(),
        _ => "",
    };
    let mut found = HashMap::new();
    for at in 0..tokens.len() {
        match (language, name(at)) {
            ("python", "import")
                if (at == 0 || name(at.wrapping_sub(2)) != "from") && name(at + 2) == "as" =>
            {
                found.insert(name(at + 3).to_owned(), name(at + 1).to_owned());
            }
            ("python", "from") if name(at + 2) == "import" => {
                let module = name(at + 1).to_owned();
                let mut next = at + 3;
                while let Some(token) = tokens.get(next) {
                    match token {
                        Token::Name(function) => {
                            let short = if name(next + 1) == "as" {
                                next += 2;
                                name(next)
                            } else {
                                function
                            };
                            found.insert(short.to_owned(), format!("{module}.{function}"));
                        }
                        Token::Sign(',' | '(') => {}
                        _ => break,
                    }
                    next += 1;
                }
            }
            (_, "require" | "import") => {
                if let (Some(Token::Sign('(')), Some(Token::Text(module))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    let module = module.trim_start_matches("node:").replace('/', ".");
                    let at = if at >= 1 && name(at - 1) == "await" { at - 1 } else { at };
                    if at >= 2 && tokens.get(at - 1) == Some(&Token::Sign('=')) {
                        destructured(tokens, at - 2, &module, &mut found);
                    }
                }
            }
            (_, "from") => {
                if let Some(Token::Text(module)) = tokens.get(at + 1) {
                    let module = module.trim_start_matches("node:").replace('/', ".");
                    if at >= 1 {
                        destructured(tokens, at - 1, &module, &mut found);
                    }
                }
            }
            _ => {}
        }
    }
    program.imports = found;
}

fn destructured(tokens: &[Token], end: usize, module: &str, found: &mut HashMap<String, String>) {
    match tokens.get(end) {
        Some(Token::Name(name)) => {
            found.insert(name.clone(), module.to_owned());
        }
        Some(Token::Sign('}')) => {
            let mut at = end;
            let mut last: Option<String> = None;
            while at > 0 {
                at -= 1;
                match tokens.get(at) {
                    Some(Token::Name(name)) if name == "as" => {}
                    Some(Token::Name(name)) => {
                        // `f: g` and `f as g`: the right one is ours, the left one theirs.
                        let renamed = matches!(tokens.get(at + 1), Some(Token::Sign(':')))
                            || matches!(tokens.get(at + 1), Some(Token::Name(n)) if n == "as");
                        let short =
                            if renamed { last.clone().unwrap_or_default() } else { name.clone() };
                        found.insert(short, format!("{module}.{name}"));
                        last = Some(name.clone());
                    }
                    Some(Token::Sign(',' | ':')) => {}
                    _ => break,
                }
            }
        }
        _ => {}
    }
}
