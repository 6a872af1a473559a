//! Counts what a redactor does, so that tests can hold it to linear time without a clock.
//!
//! One step is about one byte looked at by a rule; the filter, which looks at every byte
//! once, is not counted. Outside of this crate's tests nothing is counted.

#[cfg(not(test))]
#[inline]
pub(crate) const fn count(_steps: usize) {}

#[cfg(test)]
pub(crate) fn count(steps: usize) {
    tests::STEPS.with(|count| count.set(count.get() + steps));
}

#[cfg(test)]
#[path = "../tests/corpus/hostile.rs"]
mod hostile;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::hostile;
    use crate::Redactor;

    thread_local! {
        pub(super) static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    /// Longer than the longest look-ahead of a rule.
    const SIZE: usize = 16 * 1024;
    /// Steps that any text may cost a byte.
    const MOST: usize = 160;

    /// Steps of a text in one piece, or in pieces of some size.
    fn steps(redactor: &Redactor, text: &str, piece: Option<usize>) -> usize {
        STEPS.set(0);
        let mut out = Vec::new();
        if let Some(piece) = piece {
            let mut stream = redactor.stream();
            for chunk in text.as_bytes().chunks(piece) {
                stream.push(chunk, &mut out);
                out.clear();
            }
            stream.finish(&mut out);
        } else {
            redactor.redact(text);
        }
        STEPS.get()
    }

    /// Twice the text costs twice the steps, and no text costs many a byte.
    fn costs(input: &str, line: usize) -> Vec<String> {
        let redactor = Redactor::builtin();
        let unit = input.repeat(line / input.len() + 1);
        let long = |size: usize| {
            let mut text = String::new();
            while text.len() < size {
                text.push_str(&unit);
                text.push('\n');
            }
            text
        };
        let (small, large) = (long(SIZE), long(2 * SIZE));
        let mut wrong = Vec::new();
        for piece in [None, Some(256)] {
            let (few, many) = (steps(&redactor, &small, piece), steps(&redactor, &large, piece));
            let grown = 8 * many * small.len() > 9 * few.max(small.len()) * large.len();
            let each = many / large.len();
            if grown || each > MOST {
                wrong.push(format!(
                    "{input:?} in {piece:?}: {few} steps, then {many}: {each} a byte"
                ));
            }
        }
        wrong
    }

    /// Every input, or a third of them in the short run.
    fn inputs() -> impl Iterator<Item = &'static &'static str> {
        let step = if std::env::var_os("AIRLOCK_LONG_TESTS").is_some() { 1 } else { 3 };
        hostile::INPUTS.iter().step_by(step)
    }

    #[test]
    fn hostile_texts_cost_linear_time() {
        let wrong: Vec<_> = hostile::INPUTS.iter().flat_map(|i| costs(i, 5 * SIZE)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn hostile_lines_just_under_the_limits_of_rules_cost_linear_time() {
        let wrong: Vec<_> = inputs().flat_map(|i| costs(i, 4000)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
