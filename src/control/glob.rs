//! Names with wildcards.
//!
//! Knows: `*` for any letters, `?` for any one. Does not know: what is named.

/// Whether the whole of a text is of this form.
pub(super) fn matches(form: &str, text: &str) -> bool {
    let (form, text): (Vec<char>, Vec<char>) = (form.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` was, and up to where it stands for the text.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match form.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                // It stands for one letter more.
                Some((place, end)) => {
                    star = Some((place, end + 1));
                    (at, read) = (place + 1, end + 1);
                }
                None => return false,
            },
        }
    }
    form[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters_and_question_marks_for_one() {
        for form in ["*", "update*", "*.msi", "up*1.?.msi", "update-1.2.msi", "**d*e*", "?pdate-1.2.ms?"] {
            assert!(matches(form, "update-1.2.msi"), "{form}");
        }
        for form in ["", "update", "*.exe", "?", "Update*", "update-1.2.msi?", "*a*a*"] {
            assert!(!matches(form, "update-1.2.msi"), "{form}");
        }
        assert!(matches("", "") && matches("*", "") && !matches("?", ""));
        assert!(matches("?ber*", "über alles"));
    }
}
