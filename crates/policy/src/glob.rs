//! Shell globs over strings, without backtracking blow-up.

/// Whether `text` matches `pattern` (`*`, `?`, `[...]`); linear in practice, at worst the
/// product of both lengths.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().take(512).collect();
    let text: Vec<char> = text.chars().take(4096).collect();
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some(next) = step(&pattern, p, text.get(t).copied().unwrap_or('\0')) {
            p = next;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// Whether the text has a glob character.
pub(crate) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

// The pattern position after one matched character.
fn step(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => set(pattern, at, c).unwrap_or_else(|| (c == '[').then_some(at + 1)),
        literal => (*literal == c).then_some(at + 1),
    }
}

// `None`: not a set after all.
#[expect(clippy::option_option, reason = "no set, a set without the character, a set with it")]
fn set(pattern: &[char], at: usize, c: char) -> Option<Option<usize>> {
    let mut i = at + 1;
    let negated = matches!(pattern.get(i)?, '!' | '^');
    if negated {
        i += 1;
    }
    let first = i;
    let mut found = false;
    loop {
        let low = *pattern.get(i)?;
        if low == ']' && i > first {
            return Some((found != negated).then_some(i + 1));
        }
        let high = pattern.get(i + 2).copied();
        if pattern.get(i + 1) == Some(&'-') && high.is_some_and(|h| h != ']') {
            found |= (low..=high.unwrap_or(low)).contains(&c);
            i += 3;
        } else {
            found |= low == c;
            i += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_the_shell() {
        for (pattern, text, expected) in [
            ("*.log", "a.log", true),
            ("r?", "rm", true),
            ("r[a-n]", "rm", true),
            ("r[!m]", "rm", false),
            ("[", "[", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
