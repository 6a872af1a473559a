//! One file a command.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod budget;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod policy;
pub(crate) mod redact;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod worker;

/// A command line from arguments: one is a shell line already, several are quoted as words.
pub(crate) fn command_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    }
}

/// `word` as the shell reads it back.
fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./=:,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn one_argument_is_a_line_and_several_are_words() {
        let line = |words: &[&str]| {
            command_line(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&["echo hi | wc"]), "echo hi | wc");
        assert_eq!(line(&["echo", "it's", "a b", ""]), r"echo 'it'\''s' 'a b' ''");
    }
}
