//! Marks that are stacked so high that they cover other lines. The checks of names, addresses and
//! other texts reject them.

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, GeneralCategory};

use super::{category, is_mark, named};
use crate::field_error::FieldError;

/// Limit of marks in a row that are stacked above or below one letter (Unicode Technical Standard
/// 39, 5.4). Vietnamese letters have up to two, pointed Hebrew letters four.
pub const MAX_STACKED_MARKS: usize = 4;
/// Limit of marks in a row of any kind. A Burmese or Tibetan syllable has up to seven, each in a
/// place of its own.
pub const MAX_MARKS: usize = 8;

/// Returns the first mark above a limit, or the first that repeats the mark before it. `None` means
/// that the text is permitted.
pub fn piled_up(text: &str) -> Option<char> {
    let (mut stacked, mut all, mut before) = (0, 0, None);
    for c in text.chars() {
        let enclosing = category(c) == GeneralCategory::EnclosingMark;
        if !is_mark(c) && !enclosing {
            (stacked, all, before) = (0, 0, None);
            continue;
        }
        all += 1;
        if is_stacked(c) || enclosing {
            stacked += 1;
        }
        let twice = before == Some(c) && category(c) != GeneralCategory::SpacingMark;
        if twice || stacked > MAX_STACKED_MARKS || all > MAX_MARKS {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

/// Returns whether the mark moves outward if the letter has other marks. Vowel signs and subjoined
/// letters, which have class 0, keep their place.
fn is_stacked(c: char) -> bool {
    let class = CodePointMapData::<CanonicalCombiningClass>::new().get(c);
    class != CanonicalCombiningClass::NotReordered
}

/// Returns the error of a text with too many marks.
pub fn pile_refusal(mark: char) -> FieldError {
    let message = format!(
        "must not pile up marks: {} is repeated, or follows {MAX_STACKED_MARKS} other marks",
        named(mark)
    );
    FieldError::new("format", message)
}
