//! Joiners and variation selectors: characters that are invisible and change how their neighbours
//! are drawn. Some scripts cannot be written without them, so the checks of names, addresses and
//! other texts ask before they reject one.

use icu_properties::CodePointMapData;
use icu_properties::props::{CanonicalCombiningClass, JoiningType, Script};

use super::{is_invisible, is_letter, is_mark, is_space};

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
const MONGOLIAN_VOWEL_SEPARATOR: char = '\u{180e}';
const BLACK_FLAG: char = '\u{1f3f4}';

/// Returns whether the script needs `c` at this place of a name (Unicode Standard Annex 31, 2.3):
///
/// - the zero-width non-joiner between two letters that would be joined, as in Persian, and after a
///   virama;
/// - the zero-width joiner after a virama, as in Sinhala, and before one, as in Bengali;
/// - the selector of one of the forms of an ideograph or of a Mongolian letter.
pub fn joins(before: &[char], c: char, after: &[char]) -> bool {
    let Some(last) = before.last().copied() else { return false };
    let virama_before = is_virama(last) && before.iter().rev().any(|c| is_letter(*c));
    let next = after.first().copied();
    match c {
        ZERO_WIDTH_NON_JOINER => {
            virama_before && next.is_some_and(is_letter) || separates(before, after)
        }
        ZERO_WIDTH_JOINER => virama_before || is_letter(last) && next.is_some_and(is_virama),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => script(last) == Script::Han,
        '\u{180b}'..='\u{180d}' | '\u{180f}' => {
            script(last) == Script::Mongolian && is_letter(last)
        }
        MONGOLIAN_VOWEL_SEPARATOR => {
            let mongolian = |c: char| script(c) == Script::Mongolian;
            (mongolian(last) || is_mongolian_selector(last)) && next.is_some_and(mongolian)
        }
        _ => false,
    }
}

/// Returns whether `c` may be between these two in any text, including emoji: a joiner between
/// visible characters, a selector after one, the letters of a flag.
pub(super) fn selects(before: Option<char>, c: char, after: Option<char>) -> bool {
    let selector = |c: char| matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    let tag = |c: char| matches!(c, '\u{e0020}'..='\u{e007f}');
    let Some(before) = before else { return false };
    let visible = |c: char| !is_invisible(c) && !is_space(c);
    match c {
        ZERO_WIDTH_JOINER => {
            (visible(before) || selector(before))
                && (is_virama(before) || after.is_some_and(visible))
        }
        ZERO_WIDTH_NON_JOINER | MONGOLIAN_VOWEL_SEPARATOR => {
            (visible(before) || is_mongolian_selector(before)) && after.is_some_and(visible)
        }
        c if selector(c) || is_mongolian_selector(c) => visible(before),
        c if tag(c) => before == BLACK_FLAG || tag(before),
        _ => false,
    }
}

fn is_mongolian_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}')
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

/// Returns whether the letters before and after would be joined if nothing were between them.
fn separates(before: &[char], after: &[char]) -> bool {
    const FORWARD: [JoiningType; 2] = [JoiningType::DualJoining, JoiningType::LeftJoining];
    const BACK: [JoiningType; 2] = [JoiningType::DualJoining, JoiningType::RightJoining];
    let kind = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
    let letter = |c: &&char| !is_mark(**c);
    let joins_forward = before.iter().rev().find(letter).map(kind);
    let joins_back = after.iter().find(letter).map(kind);
    joins_forward.is_some_and(|kind| FORWARD.contains(&kind))
        && joins_back.is_some_and(|kind| BACK.contains(&kind))
}
