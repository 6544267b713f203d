//! Sums such as “what is 12*7”: two whole numbers, one operator.

/// A sentence with the result, if the text holds exactly such a sum.
pub(super) fn solve(text: &str) -> Option<String> {
    text.char_indices().find_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        // Not in the middle of a longer number, a word, a date or a longer sum.
        let starts = before.is_none_or(|c| c.is_whitespace() || c == '(' || c == ':');
        if starts { sum(&text[at..]) } else { None }
    })
}

fn sum(text: &str) -> Option<String> {
    let (left, rest) = number(text)?;
    let rest = rest.trim_start();
    let sign = rest.chars().next()?;
    let (right, rest) = number(rest[sign.len_utf8()..].trim_start())?;
    let next = rest.trim_start().chars().next();
    if next.is_some_and(|c| c.is_alphanumeric() && !rest.starts_with(' ') || "+-*×/÷^%".contains(c)) {
        return None;
    }
    let (sign, result) = match sign {
        '+' => ("+", left.checked_add(right)?.to_string()),
        '-' | '−' => ("−", left.checked_sub(right)?.to_string()),
        '*' | '×' | 'x' => ("×", left.checked_mul(right)?.to_string()),
        '/' | '÷' if right != 0 && left % right == 0 => ("÷", (left / right).to_string()),
        '/' | '÷' if right != 0 => {
            ("÷", format!("{} with a remainder of {}", left.div_euclid(right), left.rem_euclid(right)))
        }
        _ => return None,
    };
    Some(format!("{left} {sign} {right} is {result}."))
}

fn number(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let decimal = rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    // What is too long for an i64 fails to parse, and so is not solved.
    if decimal { None } else { Some((text[..digits].parse().ok()?, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_sums_are_solved() {
        let cases = [
            ("what is 12*7", Some("12 × 7 is 84.")),
            ("What is 12 x 7?", Some("12 × 7 is 84.")),
            ("2 + 2 = ?", Some("2 + 2 is 4.")),
            ("say (3-5) please", Some("3 − 5 is -2.")),
            ("84 / 7", Some("84 ÷ 7 is 12.")),
            ("9÷2.", Some("9 ÷ 2 is 4 with a remainder of 1.")),
            ("1/0", None),
            ("on 2024-05-01", None),
            ("1+2+3", None),
            ("1.5*2", None),
            ("version 3", None),
            ("x2*3y", None),
            ("9223372036854775807 + 1", None),
            ("99999999999999999999 * 2", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(solve(text).as_deref(), expected, "{text}");
        }
    }
}
