//! SQL statements by their tokens.
//!
//! Only the tokenizer of the SQL parser is used. Its statement parser builds trees that nest as
//! deep as the text is long (`1+1+1+...`), and dropping such a tree overflows a small stack; the
//! questions asked here - which statement, is there a condition - need no tree.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::effect::EffectKind;
use crate::eval::{Eval, is_unknown};

/// Records what the statements of a text would do to a database.
pub(crate) fn statements(eval: &mut Eval<'_>, text: &str) {
    let text: String =
        text.lines().filter(|line| !meta(eval, line.trim())).collect::<Vec<_>>().join("\n");
    let tokens = match Tokenizer::new(&GenericDialect {}, &text).tokenize() {
        Ok(tokens) => tokens.into_iter().filter_map(word).collect(),
        Err(_) => rough(&text),
    };
    for statement in tokens.split(|token: &String| token == ";").take(64) {
        classify(eval, statement);
    }
}

// Commands of the client itself.
fn meta(eval: &mut Eval<'_>, line: &str) -> bool {
    let command = line
        .strip_prefix("\\!")
        .or_else(|| line.strip_prefix("!"))
        .or_else(|| line.strip_prefix(".shell "))
        .or_else(|| line.strip_prefix(".system "));
    if let Some(command) = command {
        let mut shell = eval.shell();
        eval.text(&mut shell, command, (0, 0), &crate::eval::Flow::empty());
        return true;
    }
    line.starts_with('\\') || line.starts_with('.') || line.starts_with("--")
}

// Keywords in upper case; literals as a mark.
fn word(token: Token) -> Option<String> {
    Some(match token {
        Token::Word(word) if word.quote_style.is_some() => word.value,
        Token::Word(word) => word.value.to_ascii_uppercase(),
        Token::Whitespace(_) => return None,
        Token::SemiColon => ";".into(),
        Token::Number(text, _) => text,
        Token::SingleQuotedString(text) => format!("'{text}"),
        Token::DollarQuotedString(text) => format!("'{}", text.value),
        Token::DoubleQuotedString(text) => text,
        other => other.to_string(),
    })
}

// For text the tokenizer gives up on: words, with quoted text taken out.
fn rough(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(q) if c == q => {
                quote = None;
                out.push("'".to_owned());
            }
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_alphanumeric() || c == '_' || c == '.' => {
                current.push(c.to_ascii_uppercase());
            }
            None => {
                if !current.is_empty() {
                    out.push(std::mem::take(&mut current));
                }
                if !c.is_whitespace() {
                    out.push(c.to_string());
                }
            }
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

#[expect(clippy::too_many_lines, reason = "one arm for each statement")]
fn classify(eval: &mut Eval<'_>, tokens: &[String]) {
    let at = |i: usize| tokens.get(i).map_or("", String::as_str);
    let has = |words: &[&str]| tokens.iter().any(|t| words.contains(&t.as_str()));
    let target = tokens
        .iter()
        .take(8)
        .map(|t| if t.starts_with('\'') { "'...'" } else { t })
        .collect::<Vec<_>>()
        .join(" ");
    let mut push = |class: &'static str| eval.push(EffectKind::DbStatement, class, &target);
    match at(0) {
        "EXPLAIN" if has(&["ANALYZE", "ANALYSE"]) => {
            let skip = tokens.iter().position(|t| t == "ANALYZE" || t == "ANALYSE").unwrap_or(0);
            classify(eval, tokens.get(skip + 1..).unwrap_or_default());
        }
        "DROP" => {
            let temporary = has(&["TEMPORARY", "TEMP"]);
            match at(1) {
                "INDEX" | "VIEW" | "TRIGGER" | "FUNCTION" | "PROCEDURE" | "CONSTRAINT" => {
                    push("schema");
                }
                _ if temporary => push("bounded"),
                _ => push("drop"),
            }
        }
        "TRUNCATE" => push("truncate"),
        "DELETE" => push(if bounded(tokens) { "bounded" } else { "unbounded" }),
        "UPDATE" => push(if bounded(tokens) { "bounded" } else { "unbounded" }),
        "ALTER" => {
            let drops = tokens.windows(2).any(|w| matches!(w, [a, b] if a == "DROP" && b != "CONSTRAINT" && b != "DEFAULT" && b != "NOT" && b != "INDEX" && b != "EXPRESSION"));
            let role = matches!(at(1), "USER" | "ROLE" | "SYSTEM" | "LOGIN");
            push(if drops {
                "drop"
            } else if role {
                "admin"
            } else {
                "schema"
            });
        }
        "WITH" => {
            // The verb stands after the common table expressions, or in them.
            for verb in ["DELETE", "UPDATE", "TRUNCATE"] {
                if let Some(from) = tokens.iter().position(|t| t == verb) {
                    let rest = tokens.get(from..).unwrap_or_default();
                    push(if bounded(rest) { "bounded" } else { "unbounded" });
                }
            }
        }
        "GRANT" | "REVOKE" => push("admin"),
        "CREATE"
            if matches!(at(1), "USER" | "ROLE" | "LOGIN" | "EXTENSION") || has(&["SUPERUSER"]) =>
        {
            push("admin");
        }
        "COPY" if has(&["PROGRAM"]) => {
            let command =
                tokens.iter().find_map(|t| t.strip_prefix('\'')).unwrap_or_default().to_owned();
            let mut shell = eval.shell();
            eval.text(&mut shell, &command, (0, 0), &crate::eval::Flow::empty());
        }
        "DO" | "EXECUTE" | "EXEC" | "CALL" | "PREPARE" => {
            let inner = tokens.iter().find_map(|t| t.strip_prefix('\'')).map(str::to_owned);
            if at(1).eq_ignore_ascii_case("xp_cmdshell") {
                let mut shell = eval.shell();
                eval.text(
                    &mut shell,
                    &inner.unwrap_or_default(),
                    (0, 0),
                    &crate::eval::Flow::empty(),
                );
            } else if let Some(inner) = inner {
                inside(eval, &inner);
            } else {
                push("bounded");
            }
        }
        "VACUUM" | "OPTIMIZE" | "REINDEX" => {}
        "SHUTDOWN" | "RESET"
            if matches!(at(1), "MASTER" | "REPLICA" | "SLAVE" | "BINARY")
                || at(0) == "SHUTDOWN" =>
        {
            push("flush");
        }
        "PURGE" | "FLUSH" if has(&["LOGS", "BINARY", "MASTER"]) => push("flush"),
        "BEGIN" | "START" | "SET" | "USE" => {
            // `BEGIN DELETE ...` without a semicolon.
            if let Some(next) = tokens
                .iter()
                .skip(1)
                .position(|t| matches!(t.as_str(), "DELETE" | "DROP" | "TRUNCATE" | "UPDATE"))
                && at(0) == "BEGIN"
            {
                classify(eval, tokens.get(next + 1..).unwrap_or_default());
            }
        }
        "SELECT"
            if has(&[
                "LO_UNLINK",
                "PG_READ_FILE",
                "PG_TERMINATE_BACKEND",
                "LO_EXPORT",
                "LOAD_FILE",
                "OUTFILE",
                "DUMPFILE",
                "PG_LS_DIR",
            ]) =>
        {
            push("admin");
        }
        first if is_unknown(first) => push("opaque"),
        _ => {}
    }
}

// A block of code: every statement keyword in it starts a statement.
fn inside(eval: &mut Eval<'_>, text: &str) {
    let tokens = match Tokenizer::new(&GenericDialect {}, text).tokenize() {
        Ok(tokens) => tokens.into_iter().filter_map(word).collect(),
        Err(_) => rough(text),
    };
    for part in
        tokens.split(|t: &String| t == ";" || t == "BEGIN" || t == "THEN" || t == "LOOP").take(64)
    {
        let from = part.iter().position(|t| {
            matches!(t.as_str(), "DROP" | "TRUNCATE" | "DELETE" | "UPDATE" | "ALTER")
        });
        if let Some(from) = from {
            classify(eval, part.get(from..).unwrap_or_default());
        }
        if let Some(quoted) = part
            .iter()
            .find_map(|t| t.strip_prefix('\''))
            .filter(|_| part.iter().any(|t| t == "EXECUTE"))
        {
            let rest = quoted.to_ascii_uppercase();
            if rest.starts_with("DROP")
                || rest.starts_with("TRUNCATE")
                || rest.starts_with("DELETE")
            {
                eval.push(EffectKind::DbStatement, "drop", &rest);
            }
        }
    }
}

// Whether a DELETE or UPDATE has a condition that is not always true.
fn bounded(tokens: &[String]) -> bool {
    let Some(from) = tokens.iter().position(|t| t == "WHERE") else {
        return tokens.iter().any(|t| t == "LIMIT");
    };
    let condition = tokens.get(from + 1..).unwrap_or_default();
    let texts: Vec<&str> = condition.iter().map(String::as_str).collect();
    let always = |part: &[&str]| match part {
        ["TRUE" | "1"] => true,
        [a, "=" | "<=>", b] => a == b,
        [a, "<>" | "!=", b] => a.parse::<f64>().is_ok() && b.parse::<f64>().is_ok() && a != b,
        [a, ">" | ">=", b] => {
            a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).is_some_and(|(a, b)| a >= b)
        }
        ["NOT", "FALSE"] => true,
        _ => false,
    };
    let trimmed: Vec<&str> = texts.iter().copied().filter(|t| *t != "(" && *t != ")").collect();
    !trimmed.is_empty() && !always(&trimmed) && !trimmed.split(|t| *t == "OR").any(always)
}
