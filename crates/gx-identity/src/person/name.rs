//! Parses the names of people as passports have them.
//!
//! A name consists of letters and marks of any script and of joiners such as hyphens. It is stored
//! in normalisation form C. Invisible characters and direction marks are refused, and the error
//! names the character. Called when the body of a registration or of a change of a profile is read.

use gx_serve::characters::{
    self, is_direction_mark, is_invisible, is_letter, is_mark, is_mathematical, joins, named, nfc,
    piled_up,
};
use gx_serve::fields::{Field, FieldError, text};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

/// Longest name in grapheme clusters, which people count as letters.
pub(crate) const NAME_LIMIT: usize = 100;
/// Longest name in code points, since a grapheme cluster may have many.
pub(crate) const NAME_LIMIT_CODE_POINTS: usize = 1000;

/// A first or last name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

/// The places in a name where a character may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A letter, or a mark on a letter.
    Letter,
    /// Between two words.
    Space,
    /// Before or after a letter: `’t Hooft`, `D'Souza`, `ג׳ורג׳`.
    Apostrophe,
    /// After a letter: `Robert Jr.`, `ཚེ་རིང་`.
    After,
    /// Between two letters: `Anne-Marie`, `Col·lell`, `רמב״ם`.
    Between,
    /// Between two letters or words: `Raj a/l Kumar`, `Lim @ Ali`.
    Around,
}

/// Returns the role of a character that joins letters, or `None` for any other character. The
/// blanks of Chinese, Japanese and Mongolian names and of copied text have become plain blanks
/// before.
fn joiner(c: char) -> Option<Role> {
    Some(match c {
        ' ' => Role::Space,
        // Typewriter's, typographic, Armenian, and the Hebrew geresh.
        '\'' | '\u{2018}' | '\u{2019}' | '\u{55a}' | '\u{5f3}' => Role::Apostrophe,
        // Full stop, the abbreviation signs of Devanagari and Bengali, the Tibetan tsheg.
        '.' | '\u{970}' | '\u{9fd}' | '\u{f0b}' | '\u{f0c}' => Role::After,
        // Hyphens of Latin, Hebrew, Armenian, Canadian and Mongolian writing; the middle dots
        // of Catalan, Chinese and Japanese; the Hebrew gershayim; the Ethiopic word space.
        '-' | '\u{2010}' | '\u{2011}' | '\u{5be}' | '\u{58a}' | '\u{1400}' | '\u{1806}'
        | '\u{b7}' | '\u{2027}' | '\u{30fb}' | '\u{ff65}' | '\u{5f4}' | '\u{1361}' => Role::Between,
        '/' | '@' => Role::Around,
        _ => return None,
    })
}

impl Field for Name {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.is_empty() {
            return Err(FieldError::new("too_short", "must not be empty"));
        }
        // A text of this length is too long in any normal form; this check saves the computation.
        if given.len() > NAME_LIMIT_CODE_POINTS * 4 * 3 {
            return Err(too_long());
        }
        let name: String = nfc(given).chars().map(plain_blank).collect();
        if name.chars().count() > NAME_LIMIT_CODE_POINTS
            || name.graphemes(true).count() > NAME_LIMIT
        {
            return Err(too_long());
        }
        check(&name)?;
        Ok(Self(name))
    }
}

fn too_long() -> FieldError {
    FieldError::new("too_long", format!("must have at most {NAME_LIMIT} letters"))
}

fn plain_blank(c: char) -> char {
    if matches!(c, '\u{a0}' | '\u{202f}' | '\u{3000}') { ' ' } else { c }
}

/// Checks each character against the characters before and after it.
fn check(name: &str) -> Result<(), FieldError> {
    let characters: Vec<char> = name.chars().collect();
    let mut before = None;
    let mut letters = 0_usize;
    for (at, c) in characters.iter().copied().enumerate() {
        let (earlier, later) = (&characters[..at], &characters[at + 1..]);
        if is_letter(c) {
            letters += 1;
            before = Some(Role::Letter);
        } else if is_mark(c) {
            if before != Some(Role::Letter) {
                return Err(wrong(format!("has {} without a letter before it", named(c))));
            }
        } else if let Some(role) = joiner(c) {
            let next = later.first().copied();
            if !fits(role, before, next) {
                return Err(misplaced(c, before, next));
            }
            before = Some(role);
        } else if !(before == Some(Role::Letter) && joins(earlier, c, later)) {
            return Err(refused(c));
        }
    }
    if letters == 0 {
        return Err(wrong("must have a letter".to_owned()));
    }
    match piled_up(name) {
        Some(mark) => Err(characters::pile_refusal(mark)),
        None => Ok(()),
    }
}

/// Returns whether a joiner may be between these two characters. A mark counts as its letter.
fn fits(role: Role, before: Option<Role>, next: Option<char>) -> bool {
    use Role::{After, Apostrophe, Around, Between, Letter, Space};
    let next_letter = next.is_some_and(is_letter);
    let next_is = |roles: &[Role]| next.and_then(joiner).is_some_and(|role| roles.contains(&role));
    let in_a_word = matches!(before, Some(Letter | After | Apostrophe));
    match role {
        Letter => true,
        Space => {
            matches!(before, Some(Letter | After | Apostrophe | Around))
                && (next_letter || next_is(&[Apostrophe, Around]))
        }
        Apostrophe => before == Some(Letter) || before != Some(Apostrophe) && next_letter,
        After => before == Some(Letter),
        Between => in_a_word && (next_letter || next_is(&[Apostrophe])),
        Around => {
            (in_a_word || before == Some(Space)) && (next_letter || next_is(&[Space, Apostrophe]))
        }
    }
}

fn misplaced(c: char, before: Option<Role>, next: Option<char>) -> FieldError {
    wrong(match (c, before, next) {
        (' ', None, _) => "must not begin with a blank".to_owned(),
        (' ', _, None) => "must not end with a blank".to_owned(),
        (' ', _, Some(' ')) => "must not have two blanks in a row".to_owned(),
        (_, None, _) => format!("must not begin with {}", named(c)),
        (_, _, None) => format!("must not end with {}", named(c)),
        _ => format!("has {} where it joins nothing", named(c)),
    })
}

/// Returns the error for a character that no name may have.
fn refused(c: char) -> FieldError {
    let rule = if is_direction_mark(c) || is_invisible(c) || characters::is_without_meaning(c) {
        ""
    } else if characters::is_digit(c) {
        "; numbers are written as letters, such as III"
    } else if is_mathematical(c) {
        ", a sign of mathematics; use the letters of a script"
    } else if matches!(c, '`' | '\u{b4}' | '\u{2032}') {
        "; use an apostrophe"
    } else {
        "; letters are joined by blanks, hyphens, apostrophes, dots, / and @"
    };
    wrong(format!("must not have {}{rule}", named(c)))
}

fn wrong(message: String) -> FieldError {
    FieldError::new("format", message)
}
