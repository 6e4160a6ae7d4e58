//! Characters that people can see and type, by their Unicode properties.
//!
//! Names, addresses, remarks and notes are shown to other people. gx-identity and gx-auth check
//! names and addresses with these functions; [`crate::fields::Text`] calls [`check`], which rejects
//! characters that are invisible, change the direction of the line, or cover other lines. Texts
//! that differ only in their encoding are equal ([`nfc`], [`search_form`]).

mod joining;
mod marks;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    BidiControl, DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, WhiteSpace,
};
use icu_properties::{CodePointMapData, CodePointSetData};

use crate::field_error::FieldError;
pub use joining::joins;
pub use marks::{MAX_MARKS, MAX_STACKED_MARKS, pile_refusal, piled_up};

/// Symbols in Unicode that are blank: the empty Braille pattern and the empty note head.
const BLANK_SYMBOLS: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// Returns the text in normalisation form C, in which each letter with its marks has one encoding.
pub fn nfc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text)
}

/// Returns the text as searches compare it: compatible forms, upper and lower case and the two
/// small sigmas are equal, and invisible characters are left out. The SQL function `"SearchForm"`
/// does the same with stored texts.
pub fn search_form(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let lower =
        const { ComposingNormalizerBorrowed::new_nfkc() }.normalize(&visible).to_lowercase();
    lower.replace('ς', "σ").trim().to_owned()
}

/// Returns the character's general category.
pub fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Returns whether the character is a letter of a script, including numbers written as letters (the
/// Roman Ⅲ, the Chinese 〇) and without letters of mathematics.
pub fn is_letter(c: char) -> bool {
    let category = category(c);
    let letter = GeneralCategoryGroup::Letter.contains(category)
        || category == GeneralCategory::LetterNumber;
    letter && !is_invisible(c) && !is_mathematical(c)
}

/// Returns whether the character is a letter of mathematics, such as 𝐀 or ℝ.
pub fn is_mathematical(c: char) -> bool {
    matches!(c, '\u{2100}'..='\u{214f}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1ee00}'..='\u{1eeff}')
}

/// Returns whether the character is a mark of a letter: an accent, a vowel sign, a virama.
/// Enclosing marks are symbols.
pub fn is_mark(c: char) -> bool {
    let category = category(c);
    let mark = matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark);
    mark && !is_invisible(c)
}

/// Returns whether the character is a decimal digit of any script.
pub fn is_digit(c: char) -> bool {
    category(c) == GeneralCategory::DecimalNumber
}

/// Returns the European digit of the same value, or the character itself if it is not a digit.
pub fn european_digit(c: char) -> char {
    if c.is_ascii() || !is_digit(c) {
        return c;
    }
    // The digits of a script are ten consecutive code points from 0 to 9, and adjacent rows are
    // complete (Unicode's stability policy).
    let before = (0..u32::from(c)).rev();
    let row = before.take_while(|code| char::from_u32(*code).is_some_and(is_digit)).count();
    let value = u32::try_from(row % 10).expect("a remainder of 10 fits");
    char::from_digit(value, 10).expect("a remainder of 10 is a digit")
}

/// Returns whether the character is white space of any kind.
pub fn is_space(c: char) -> bool {
    CodePointSetData::new::<WhiteSpace>().contains(c)
}

/// Returns whether the character sets the direction of the text around it. Programs add such marks
/// to text that is copied.
pub fn is_direction_mark(c: char) -> bool {
    CodePointSetData::new::<BidiControl>().contains(c)
}

/// Returns whether the character is invisible on its own: joiners, fillers, selectors, soft
/// hyphens, controls, direction marks. White space does not count.
pub fn is_invisible(c: char) -> bool {
    let controls = matches!(category(c), GeneralCategory::Control | GeneralCategory::Format);
    controls && !is_space(c) && !has_a_shape(c)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || is_direction_mark(c)
        || BLANK_SYMBOLS.contains(&c)
}

/// Returns whether a format character is drawn, such as the Arabic sign of a year.
fn has_a_shape(c: char) -> bool {
    matches!(
        c,
        '\u{600}'
            ..='\u{605}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'
                | '\u{891}'
                | '\u{8e2}'
                | '\u{110bd}'
                | '\u{110cd}'
    )
}

/// Returns whether Unicode gives the character no meaning: unassigned, private use, or not a
/// character.
pub fn is_without_meaning(c: char) -> bool {
    matches!(
        category(c),
        GeneralCategory::Unassigned | GeneralCategory::PrivateUse | GeneralCategory::Surrogate
    )
}

/// Returns the text without direction marks, and without white space at both ends.
pub fn without_traces_of_pasting(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !is_direction_mark(*c)).collect();
    kept.trim_matches(is_space).to_owned()
}

/// Returns the name of a character for an error: the character, if it is visible, and its number.
pub fn named(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    let what = match c {
        '\t' => "a tab",
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break",
        _ if is_direction_mark(c) => "a direction mark",
        _ if c.is_control() => "a control character",
        _ if is_invisible(c) => "an invisible character",
        _ if is_space(c) => "a blank",
        _ if is_without_meaning(c) => "an undefined character",
        _ if is_mark(c) => return format!("◌{c} ({number})"),
        _ => return format!("{c} ({number})"),
    };
    format!("{number}, {what}")
}

/// Checks a text for other people, such as a remark.
///
/// # Errors
/// [`FieldError`] for the first character that is invisible or changes how others are shown, for
/// too many marks, and for a text of white space alone.
pub fn check(text: &str) -> Result<(), FieldError> {
    let refuse = |c: char| Err(FieldError::new("format", format!("must not have {}", named(c))));
    let mut before = None;
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        let line_break = matches!(c, '\n' | '\r' | '\t');
        let hidden =
            is_invisible(c) || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{b}' | '\u{c}');
        if hidden && !line_break && !joining::selects(before, c, letters.peek().copied()) {
            return refuse(c);
        }
        before = Some(c);
    }
    if let Some(mark) = piled_up(text) {
        return Err(pile_refusal(mark));
    }
    if !text.is_empty() && text.chars().all(|c| is_space(c) || is_invisible(c)) {
        return Err(FieldError::new("format", "must have visible characters"));
    }
    Ok(())
}
