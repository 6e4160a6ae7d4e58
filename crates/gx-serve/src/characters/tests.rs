//! Texts that are shown to other people, and texts that are rejected.

use super::{check, european_digit, is_digit, nfc, search_form, without_traces_of_pasting};

/// API-15: remarks and notes accept every script and emoji.
#[test]
fn what_people_write_can_be_shown() {
    for text in [
        "",
        "Lunch, thanks!",
        "two\nlines\r\nand\ta tab",
        "für März – 20 % Rabatt… „gut“",
        "متشکرم علی\u{200c}رضا",
        "שלום עליכם",
        "ශ්\u{200d}රී ලංකා",
        "ကျေးဇူးတင်ပါတယ်",
        "ขอบคุณ น้ำ กู้",
        "👍🏽 👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "邉\u{e0100}さん",
        "x² + y² ≠ 𝑧²",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

/// API-15: invisible characters, direction marks and piled-up marks are rejected in remarks and
/// notes, too, by the name of the character.
#[test]
fn what_disturbs_a_text_is_refused_by_its_name() {
    for (text, why) in [
        ("paid \u{202e}001 XG", "U+202E, a direction mark"),
        ("\u{2066}paid\u{2069}", "U+2066, a direction mark"),
        ("paid\u{200f}", "U+200F, a direction mark"),
        ("pa\u{200b}id", "U+200B, an invisible character"),
        ("pa\u{ad}id", "U+00AD, an invisible character"),
        ("\u{feff}paid", "U+FEFF"),
        ("paid\u{3164}", "U+3164"),
        ("paid\u{2028}", "U+2028, a line break"),
        ("paid\u{b}", "U+000B"),
        ("pa\0id", "U+0000, a control character"),
        ("pa\u{1b}[31mid", "U+001B, a control character"),
        ("\u{200d}paid", "U+200D"),
        ("paid \u{200d}", "U+200D"),
        ("paid \u{fe0f}", "U+FE0F"),
        ("paid\u{e0041}", "U+E0041"),
        ("p\u{300}\u{301}\u{302}\u{303}\u{304}aid", "must not pile up marks"),
        ("ก\u{e47}\u{e47}", "must not pile up marks"),
        (" \u{a0}\n", "visible characters"),
    ] {
        let refused = check(text).expect_err(text);
        assert!(refused.message.contains(why), "{text:?}: {}", refused.message);
    }
}

/// API-15: a search finds texts that differ in encoding, case or compatible forms.
#[test]
fn searches_compare_one_form() {
    for (one, other) in [
        ("José", "Jose\u{301}"),
        ("ÅSA", "a\u{30a}sa"),
        ("Ｓａｒａｈ", "sarah"),
        ("ΝΙΚΟΣ", "νικοσ"),
        ("ﬁona", "FIONA"),
        ("한", "\u{1112}\u{1161}\u{11ab}"),
        (" sarah\u{200b} ", "Sarah"),
        ("Anne\u{a0}Marie", "anne marie"),
    ] {
        assert_eq!(search_form(one), search_form(other));
    }
    assert_eq!(nfc("e\u{301}"), "é");
}

#[test]
fn digits_of_every_script_have_their_value() {
    for (digits, value) in [
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("०९", "09"),
        ("𝟘𝟡𝟎𝟗𝟢𝟫𝟬𝟵𝟶𝟿", "0909090909"),
        ("１a", "1a"),
        ("²", "²"),
    ] {
        assert_eq!(digits.chars().map(european_digit).collect::<String>(), value);
    }
    let all = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|c| is_digit(*c));
    let mut values = [0_usize; 10];
    for digit in all {
        values[european_digit(digit).to_digit(10).unwrap() as usize] += 1;
    }
    assert!(values[0] > 60, "{values:?}");
    assert_eq!(values, [values[0]; 10], "each script has ten of them");
}

#[test]
fn traces_of_pasting_are_left_out() {
    assert_eq!(without_traces_of_pasting("\u{202a}\u{a0}+60 12\u{202c} "), "+60 12");
    assert_eq!(without_traces_of_pasting("\u{200b}"), "\u{200b}", "which is refused by its name");
}
