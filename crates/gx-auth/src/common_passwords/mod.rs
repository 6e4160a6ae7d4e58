//! The list of common passwords, which attackers try first. The rules for new passwords ask it.
//!
//! `list.txt` has passwords of 15 characters or more, in lower case and in the order of their
//! bytes. Decision 0511 says where they come from.

use std::sync::LazyLock;

/// Limit of the characters of a part that makes a password common when nothing else follows it.
const MAX_REPEATED_PART: usize = 8;

static LIST: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("list.txt").lines().collect());

/// Returns whether a password is on the list, in any case of its letters, or is a short part again
/// and again.
pub(crate) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    LIST.binary_search(&lower.as_str()).is_ok() || is_repetition(&lower)
}

/// Returns whether a text is a part of at most [`MAX_REPEATED_PART`] characters, repeated until its
/// end.
fn is_repetition(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let repeats = |part: usize| characters.iter().zip(&characters[part..]).all(|(a, b)| a == b);
    (1..=MAX_REPEATED_PART.min(characters.len() / 2)).any(repeats)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AUTHN-03: the list has at least 10 000 passwords that pass the length rule, in the order in
    /// which they are looked for.
    #[test]
    fn the_list_has_ten_thousand_passwords_of_valid_length_in_order() {
        assert!(LIST.len() >= 10_000, "{}", LIST.len());
        for password in LIST.iter() {
            let length = password.chars().count();
            assert!((15..=256).contains(&length), "{password}");
            assert_eq!(password.to_lowercase(), *password);
        }
        for two in LIST.windows(2) {
            assert!(two[0] < two[1], "{} before {}", two[0], two[1]);
        }
    }

    #[test]
    fn a_short_part_again_and_again_is_common() {
        for common in
            ["aaaaaaaaaaaaaaa", "abcabcabcabcabca", "pass1234pass1234pass", "ééééééééééééééé"]
        {
            assert!(is_common(common), "{common}");
        }
        for rare in ["xk2-9fq zzxk2-9fq zz", "abcdefghabcdefgx", "four rare words: quince, gable"] {
            assert!(!is_common(rare), "{rare}");
        }
    }
}
