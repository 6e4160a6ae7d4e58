//! Names.
//!
//! Sources of the rows: W3C, "Personal names around the world"; Unicode Standard Annex 31
//! (joiners, 2.3) and Unicode Technical Standard 39, 5.4 (marks); Unicode Standard Annex 44,
//! general categories; the Unicode Standard, chapters 9 (Arabic, Hebrew), 12 and 13 (scripts of
//! South Asia, Mongolian, Tibetan) and 16 (Southeast Asia); Wikipedia's pages on names of each
//! language ("Burmese names", "Catalan name", "Dutch name", "Hawaiian name", "Icelandic name",
//! "Indian name", "Khmer name", "Malaysian names", "Mongolian name", "Naming customs of Hispanic
//! America", "Persian name", "Tibetan name", "Vietnamese name"); ICAO Doc 9303, part 3, on how
//! passports write them.

use super::{HOSTILE, REAL, read};
use crate::person::Name;

/// Origins, and names as they are written and stored.
const NAMES: &[(&str, &str)] = &[
    // The Latin script.
    ("one letter, Korean", "O"),
    ("two letters, Chinese", "Ng"),
    ("Irish, apostrophe", "O'Neill"),
    ("Irish, typographic apostrophe", "O’Connor"),
    ("Irish, two words", "Ó Súilleabháin"),
    ("Portuguese, apostrophe", "D’Ávila"),
    ("Goan, apostrophe and blank", "D' Souza"),
    ("Dutch, apostrophe in front", "’t Hooft"),
    ("Dutch, apostrophe in front, typewriter's", "'t Hart"),
    ("Afrikaans", "van 't Riet"),
    ("Dutch, prefix", "van der Waals"),
    ("German, prefix and hyphen", "von Weizsäcker-Graevenitz"),
    ("German, ß", "Groß"),
    ("Swedish", "Åsa-Lena"),
    ("Icelandic", "Þórður Ævarsson"),
    ("Danish", "Sørensen"),
    ("Polish", "Łukasz Żółć"),
    ("Czech", "Dvořáková"),
    ("Turkish, dotless i", "Işıl"),
    ("Turkish, capital dotted i", "İbrahim"),
    ("Azerbaijani", "Əliyev"),
    ("Romanian", "Ștefănescu"),
    ("Catalan, middle dot", "Col·lell"),
    ("Catalan, and", "Gaudí i Cornet"),
    ("Spanish, abbreviation", "Mª Carmen"),
    ("Spanish, long", "María de los Ángeles Fernández-Villaverde y Silva"),
    ("Vietnamese, two marks on one letter", "Nguyễn Thị Ánh Nguyệt"),
    ("Yoruba", "Ọláòlúwa"),
    ("Ewe", "Ɖzifa"),
    ("Hausa", "Ɓello"),
    ("Hawaiian, ʻokina", "Kealiʻi"),
    ("Samoan, koma liliu as a quotation mark", "Fa‘atoia"),
    ("Tongan, ʻokina in front", "ʻAkosita"),
    ("Uzbek", "Gʻayrat"),
    ("Navajo, ogonek and acute", "Tsį́į́l"),
    ("Lithuanian", "Žemaitė"),
    ("Maltese", "Ħaż-Żgħir"),
    ("English, suffix with a dot", "Robert Jr."),
    ("English, numeral", "Henry III"),
    ("numeral as one character", "Henry Ⅲ"),
    ("English, initials", "J. R. R."),
    ("English, initials without blanks", "J.R.R."),
    ("French, initials with hyphen", "J.-P."),
    ("English, St. without a blank", "St.John"),
    ("Bangladeshi, abbreviation", "Md. Rafiqul"),
    ("Malaysian Indian, a/l", "Raj a/l Kumar"),
    ("Malaysian Indian, A/P", "Priya A/P Muthu"),
    ("Malaysian, alias", "Lim Ah Kow @ Ali"),
    ("Malaysian, bin", "Ahmad bin Abdullah"),
    ("Indonesian, one name", "Suharto"),
    ("Non-breaking hyphen", "Anne\u{2011}Marie"),
    // Other scripts of Europe.
    ("Greek", "Παπαδοπούλου"),
    ("Greek, final sigma", "Γιώργος"),
    ("Russian", "Нина Фёдорова"),
    ("Ukrainian, apostrophe", "В’ячеслав"),
    ("Kazakh", "Нұрсұлтан Әбішұлы"),
    ("Georgian", "გიორგი"),
    ("Armenian", "Հակոբյան"),
    ("Armenian, hyphen", "Տեր֊Պետրոսյան"),
    // The Near East.
    ("Hebrew", "דוד בן־גוריון"),
    ("Hebrew, geresh at the end", "ג׳ורג׳"),
    ("Hebrew, typewriter's geresh at the end", "ג'ורג'"),
    ("Hebrew, gershayim", "רמב״ם"),
    ("Hebrew, points", "שָׁרָה"),
    ("Arabic", "محمد عبد الله"),
    ("Arabic, points", "مُحَمَّد"),
    ("Arabic, tatweel", "عبـدالله"),
    ("Persian, zero-width non-joiner", "علی\u{200c}رضا"),
    ("Urdu", "فیض احمد فیضؔ"),
    ("Syriac", "ܐܦܪܝܡ"),
    ("Amharic", "ኃይለ ሥላሴ"),
    ("Amharic, word space", "ኃይለ፡ሥላሴ"),
    ("Tifinagh", "ⵎⴰⵙⵙⵉⵏ"),
    ("N'Ko", "ߛߏߟߏߡߊߣߊ"),
    // South Asia.
    ("Hindi, conjuncts", "कृष्ण"),
    ("Hindi, abbreviation sign", "ए॰ पी॰ जे॰"),
    ("Nepali, zero-width joiner before a virama's successor", "गर्\u{200d}यो"),
    ("Bengali", "রবীন্দ্রনাথ"),
    ("Bengali, zero-width joiner before the virama", "র\u{200d}্যাচেল"),
    ("Punjabi", "ਗੁਰਪ੍ਰੀਤ"),
    ("Gujarati", "મોહનદાસ"),
    ("Odia", "ଲକ୍ଷ୍ମୀ"),
    ("Tamil", "ஸ்ரீனிவாசன்"),
    ("Telugu", "వెంకటేశ్వర్లు"),
    ("Kannada", "ಕೃಷ್ಣಮೂರ್ತಿ"),
    ("Malayalam", "കൃഷ്ണൻ"),
    ("Malayalam, chillu as virama and joiner", "കൃഷ്ണന്\u{200d}"),
    ("Sinhala, virama and zero-width joiner", "ශ්\u{200d}රී"),
    ("Tibetan, tsheg at the end", "བསྟན་འཛིན་རྒྱ་མཚོ་"),
    ("Dhivehi", "މުޙައްމަދު"),
    // Southeast Asia.
    ("Burmese, medials and tones", "အောင်ဆန်းစုကြည်"),
    ("Burmese, five marks next to and below each other", "ညွှို့"),
    ("Thai, vowel and tone above one letter", "กู้เกียรติ"),
    ("Lao", "ບຸນຍັງ"),
    ("Khmer, sign above the letter", "ប៉ុល"),
    ("Khmer, subscript letters", "ស្រីមុំ"),
    ("Javanese", "ꦱꦸꦏꦂꦤ"),
    ("Balinese", "ᬓ᭄ᬢᬸᬢ᭄"),
    // East Asia.
    ("Chinese, one character", "李"),
    ("Chinese, middle dot of transcriptions", "阿卜杜拉·买买提"),
    ("Chinese, character beyond the basic plane", "𠮷田"),
    ("Chinese, zero as a letter", "〇"),
    ("Japanese, iteration mark", "佐々木"),
    ("Japanese, variant of an ideograph", "邉\u{e0100}"),
    ("Japanese, kana with a dot", "マリー・アントワネット"),
    ("Japanese, halfwidth kana", "ﾏﾘｰ･ｱﾝﾄﾜﾈｯﾄ"),
    ("Korean", "김철수"),
    ("Korean, old letters", "ᄀᆞᆯ"),
    ("Mongolian, vowel separator", "ᠰᠠᠷᠠ\u{180e}ᠠ"),
    ("Mongolian, form selector", "ᠭ\u{180b}ᠠ"),
    ("Yi", "ꆈꌠ"),
    // The Americas and new scripts.
    ("Cherokee", "ᏍᏏᏉᏯ"),
    ("Inuktitut", "ᓄᓇᕗᑦ"),
    ("Inuktitut, hyphen", "ᐊ᐀ᐃ"),
    ("Adlam", "𞤀𞤣𞤢𞤥"),
    ("Osage", "𐓏𐓘𐓻𐓘𐓻𐓟"),
];

/// Names as they are written, and as they are stored.
const STORED_OTHERWISE: &[(&str, &str)] = &[
    ("Jose\u{301}", "José"),
    ("Nguye\u{302}\u{303}n", "Nguyễn"),
    ("Åsa", "\u{c5}sa"),
    ("\u{212b}sa", "\u{c5}sa"),
    ("\u{1112}\u{1161}\u{11ab}", "한"),
    ("க\u{bc6}\u{bbe}", "கொ"),
    ("山田\u{3000}太郎", "山田 太郎"),
    ("Anne\u{a0}Marie", "Anne Marie"),
    ("Q\u{307}\u{323}", "Q\u{323}\u{307}"),
];

/// Refused texts, with a part of the error.
const HOSTILE_NAMES: &[(&str, &str)] = &[
    ("", "must not be empty"),
    (" ", "must not begin with a blank"),
    (" Sarah", "must not begin with a blank"),
    ("Sarah ", "must not end with a blank"),
    ("Anne  Marie", "two blanks in a row"),
    ("\u{3164}", "U+3164, an invisible character"),
    ("\u{115f}\u{1160}", "U+115F, an invisible character"),
    ("\u{ffa0}", "U+FFA0, an invisible character"),
    ("\u{2800}", "U+2800, an invisible character"),
    ("\u{200b}", "U+200B, an invisible character"),
    ("Sa\u{200b}rah", "U+200B, an invisible character"),
    ("\u{200d}", "U+200D"),
    ("Sa\u{200d}rah", "U+200D"),
    ("Sa\u{200c}rah", "U+200C"),
    ("علی\u{200c}", "U+200C"),
    ("Sa\u{ad}rah", "U+00AD"),
    ("Sa\u{2060}rah", "U+2060"),
    ("Sa\u{34f}rah", "U+034F"),
    ("\u{feff}Sarah", "U+FEFF"),
    ("កម\u{17b4}", "U+17B4"),
    ("Sarah\u{fe0f}", "U+FE0F"),
    ("邉\u{e0100}\u{e0101}", "U+E0101"),
    ("Sarah\u{e0041}", "U+E0041"),
    ("Sarah\u{202e}nosnhoJ", "U+202E, a direction mark"),
    ("\u{200f}Sarah", "U+200F, a direction mark"),
    ("\u{2067}Sarah\u{2069}", "U+2067, a direction mark"),
    ("\u{61c}علي", "U+061C, a direction mark"),
    ("Sar\0ah", "U+0000, a control character"),
    ("Sarah\nJohnson", "U+000A, a line break"),
    ("Sarah\tJohnson", "U+0009, a tab"),
    ("Sarah\u{2028}", "U+2028, a line break"),
    ("S\u{300}\u{301}\u{302}\u{303}\u{304}arah", "must not pile up marks"),
    ("ก\u{e47}\u{e47}\u{e47}", "must not pile up marks"),
    ("\u{301}", "without a letter before it"),
    ("Anne-\u{301}", "joins nothing"),
    ("Anne \u{301}", "joins nothing"),
    ("a\u{20dd}", "must not have"),
    ("R2D2", "must not have 2 (U+0032); numbers are written as letters"),
    ("Sarah٣", "numbers are written as letters"),
    ("\u{e000}", "U+E000, an undefined character"),
    ("\u{10ffff}", "an undefined character"),
    ("\u{378}", "U+0378, an undefined character"),
    ("<script>", "must not have < (U+003C)"),
    ("Robert'); DROP TABLE", "must not have"),
    ("Sarah\u{1f600}", "must not have"),
    ("\u{1d4e2}\u{1d4ea}\u{1d4fb}", "a sign of mathematics"),
    ("ℝ", "a sign of mathematics"),
    ("Ⓢarah", "must not have"),
    ("O`Neill", "use an apostrophe"),
    ("-", "must not begin with - (U+002D)"),
    ("'", "must not begin with ' (U+0027)"),
    (".", "must not begin with . (U+002E)"),
    ("@", "must not begin with @ (U+0040)"),
    ("Smith-", "must not end with - (U+002D)"),
    ("Raj a/", "must not end with / (U+002F)"),
    ("O''Neill", "joins nothing"),
    ("St..John", "joins nothing"),
    ("Anne--Marie", "joins nothing"),
    ("Anne - Marie", "joins nothing"),
    ("sarah@@gxtest", "joins nothing"),
    ("http://gxtest.com", "must not have : (U+003A)"),
    ("Sarah\u{fffd}", "must not have"),
    ("Sarah_Johnson", "must not have _ (U+005F)"),
    ("Sarah, Johnson", "must not have , (U+002C)"),
];

/// API-15: names of people of many countries are accepted, and stored as they are written.
#[test]
fn names_that_people_have_are_accepted() {
    assert!(NAMES.len() >= REAL, "{}", NAMES.len());
    for (of, name) in NAMES {
        assert_eq!(read::<Name>(name), Ok(Name((*name).to_owned())), "{of}: {name}");
    }
}

/// API-15: names are stored in normalisation form C, and with plain blanks.
#[test]
fn names_are_stored_in_one_form() {
    for (written, stored) in STORED_OTHERWISE {
        assert_eq!(read::<Name>(written), Ok(Name((*stored).to_owned())), "{written}");
    }
}

/// API-15: invisible characters, piles of marks, direction marks and texts that are not names are
/// refused, and the error names the character or the rule.
#[test]
fn a_text_that_is_not_a_name_is_refused_with_the_reason() {
    assert!(HOSTILE_NAMES.len() >= HOSTILE, "{}", HOSTILE_NAMES.len());
    for (name, why) in HOSTILE_NAMES {
        let refused = read::<Name>(name).expect_err(name);
        assert!(refused.message.contains(why), "{name:?}: {}", refused.message);
    }
}

/// API-15: a name has up to 100 grapheme clusters, however many code points those have.
#[test]
fn a_name_has_a_hundred_letters_at_most() {
    for letter in ["a", "é", "ប៉ុ", "ស្រី", "𞤀", "ညွှို့", "한"] {
        let longest = letter.repeat(100);
        assert_eq!(read::<Name>(&longest), Ok(Name(longest.clone())), "{letter}");
        let longer = read::<Name>(&letter.repeat(101)).unwrap_err();
        assert_eq!(
            (longer.code, longer.message.as_str()),
            ("too_long", "must have at most 100 letters")
        );
    }
    let huge = "a".repeat(1_000_000);
    assert_eq!(read::<Name>(&huge).unwrap_err().code, "too_long");
}
