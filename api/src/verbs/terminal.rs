//! Text that may hold anything, before a terminal obeys it: reasons, and values of rows.

/// On one line, with its control characters spelled out.
pub(crate) fn plain(text: &str) -> String {
    let spelled = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(spelled).collect()
}

/// The same, line by line.
pub(crate) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{plain, plain_lines};

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(
            plain("a \u{1b}[2J\r\nb\u{9b}ä \\ \""),
            "a \\u{1b}[2J\\r\\nb\\u{9b}ä \\ \""
        );
        assert_eq!(plain_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }
}
