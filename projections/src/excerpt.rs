//! What is shown of values that may be of any length: of two that differ, and of a name that is none.

use crate::limits;

/// Stands for what is left out.
const MORE: &str = "...";
/// Stands for values that follow from personal ones.
const CONCEALED: &str = "(not shown)";

/// As much of two values as is shown, from a little before the place where they differ; nothing of those that follow from
/// personal ones.
pub(crate) fn of((old, new): (Option<String>, Option<String>), are_personal: bool) -> (String, String) {
    if are_personal {
        return (CONCEALED.to_owned(), CONCEALED.to_owned());
    }
    let shared = match (&old, &new) {
        (Some(old), Some(new)) => old
            .chars()
            .zip(new.chars())
            .take_while(|(one, other)| one == other)
            .count(),
        _ => 0,
    };
    (shown(old.as_deref(), shared), shown(new.as_deref(), shared))
}

fn shown(value: Option<&str>, shared: usize) -> String {
    let Some(value) = value else {
        return "null".into();
    };
    let length = value.chars().count();
    if length <= limits::DIFFERENCE_CHARS {
        return value.to_owned();
    }
    let from = shared.saturating_sub(limits::DIFFERENCE_BEFORE);
    let part: String = value.chars().skip(from).take(limits::DIFFERENCE_CHARS).collect();
    let before = if from > 0 { MORE } else { "" };
    let after = if from + limits::DIFFERENCE_CHARS < length {
        MORE
    } else {
        ""
    };
    format!("{before}{part}{after}")
}

/// As much of a name as is shown that somebody has asked for.
pub fn name(name: &str) -> String {
    match name.char_indices().nth(limits::NAME_SHOWN) {
        Some((end, _)) => format!("{}{MORE}", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::name;
    use crate::limits;

    fn of(values: (Option<String>, Option<String>)) -> (String, String) {
        super::of(values, false)
    }

    #[test]
    fn short_values_are_shown_whole() {
        assert_eq!(of((Some("3".into()), None)), ("3".into(), "null".into()));
    }

    #[test]
    fn long_ones_are_shown_where_they_differ() {
        let long = |middle: char| format!("{}{middle}{}", "ä".repeat(500), "z".repeat(500));
        let (old, new) = of((Some(long('1')), Some(long('2'))));
        assert_eq!(old.chars().count(), limits::DIFFERENCE_CHARS + 6);
        assert!(old.starts_with("...ä") && old.ends_with("z..."), "{old}");
        assert!(old.contains("ä1z") && new.contains("ä2z"), "{old} {new}");
    }

    #[test]
    fn what_goes_on_where_the_other_ends_is_shown_from_there() {
        let (old, new) = of((Some("a".repeat(200)), Some(format!("{}b", "a".repeat(200)))));
        assert_eq!(old, format!("...{}", "a".repeat(limits::DIFFERENCE_BEFORE)));
        assert_eq!(new, format!("...{}b", "a".repeat(limits::DIFFERENCE_BEFORE)));
    }

    #[test]
    fn a_name_is_shown_whole_or_its_beginning() {
        let whole = "ä".repeat(limits::NAME_SHOWN);
        assert_eq!(name(&whole), whole);
        assert_eq!(name(&format!("{whole}ä")), format!("{whole}..."));
    }
}
