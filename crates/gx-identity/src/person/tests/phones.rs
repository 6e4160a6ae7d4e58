//! Phone numbers.
//!
//! Sources of the rows: ITU-T E.123 (how numbers are written) and E.164 (their length); the
//! national numbering plans as libphonenumber's metadata has them; Wikipedia, "National
//! conventions for writing telephone numbers", "Toll-free telephone number", "Decimal numeral
//! systems by script"; RFC 3966, 3 (extensions). Numbers are of ranges that regulators reserve for
//! drama or show as examples, where they have them.

use super::{HOSTILE, REAL, read};
use crate::person::Phone;

/// Numbers as they are written, and as they are stored.
const NUMBERS: &[(&str, &str)] = &[
    ("+60123456790", "+60123456790"),
    ("+60 12-345 6790", "+60123456790"),
    ("(+60) 12-345 6790", "+60123456790"),
    ("+60 (0)12-345 6790", "+60123456790"),
    ("  +60123456790 ", "+60123456790"),
    ("+60\u{a0}12\u{a0}345\u{a0}6790", "+60123456790"),
    ("+60\u{202f}12\u{2009}345\u{3000}6790", "+60123456790"),
    ("\u{202a}+60 12-345 6790\u{202c}", "+60123456790"),
    ("\u{200e}+60123456790\u{200e}", "+60123456790"),
    ("\u{2066}+60 12 345 6790\u{2069}", "+60123456790"),
    ("\u{61c}+60123456790", "+60123456790"),
    ("+60\u{2010}12\u{2011}345\u{2013}6790", "+60123456790"),
    ("+60 12\u{2212}345 6790", "+60123456790"),
    ("＋６０　１２－３４５　６７９０", "+60123456790"),
    ("+٦٠١٢٣٤٥٦٧٩٠", "+60123456790"),
    ("+۶۰۱۲۳۴۵۶۷۹۰", "+60123456790"),
    ("+६०१२३४५६७९०", "+60123456790"),
    ("+৬০১২৩৪৫৬৭৯০", "+60123456790"),
    ("+๖๐๑๒๓๔๕๖๗๙๐", "+60123456790"),
    ("+၆၀၁၂၃၄၅၆၇၉၀", "+60123456790"),
    ("+៦០១២៣៤៥៦៧៩០", "+60123456790"),
    ("+໖໐໑໒໓໔໕໖໗໙໐", "+60123456790"),
    ("+༦༠༡༢༣༤༥༦༧༩༠", "+60123456790"),
    ("+௬௦௧௨௩௪௫௬௭௯௦", "+60123456790"),
    ("+𞥖𞥐𞥑𞥒𞥓𞥔𞥕𞥖𞥗𞥙𞥐", "+60123456790"),
    ("+1 212-555-2368", "+12125552368"),
    ("+1 (212) 555-2368", "+12125552368"),
    ("+1.212.555.2368", "+12125552368"),
    ("+1 787 555 0123", "+17875550123"),
    ("+44 20 7946 0018", "+442079460018"),
    ("+44 (0)20 7946 0018", "+442079460018"),
    ("+44 7911 123456", "+447911123456"),
    ("+49 30/12345678", "+493012345678"),
    ("+49 (0) 30 123456", "+4930123456"),
    ("+49 1512 3456789", "+4915123456789"),
    ("+33 6 12 34 56 78", "+33612345678"),
    ("+39 06 698 12345", "+390669812345"),
    ("+39 312 345 6789", "+393123456789"),
    ("+34 612 34 56 78", "+34612345678"),
    ("+351 912 345 678", "+351912345678"),
    ("+31 6 12345678", "+31612345678"),
    ("+41 78 123 45 67", "+41781234567"),
    ("+48 512 345 678", "+48512345678"),
    ("+7 (912) 345-67-89", "+79123456789"),
    ("+380 50 123 4567", "+380501234567"),
    ("+90 501 234 56 78", "+905012345678"),
    ("+972 50-234-5678", "+972502345678"),
    ("+971 50 123 4567", "+971501234567"),
    ("+966 51 234 5678", "+966512345678"),
    ("+98 912 345 6789", "+989123456789"),
    ("+91 98765 43210", "+919876543210"),
    ("+92 301 2345678", "+923012345678"),
    ("+880 1812-345678", "+8801812345678"),
    ("+94 71 234 5678", "+94712345678"),
    ("+977 984-1234567", "+9779841234567"),
    ("+95 9 212 3456", "+9592123456"),
    ("+66 81 234 5678", "+66812345678"),
    ("+855 91 234 567", "+85591234567"),
    ("+84 912 345 678", "+84912345678"),
    ("+62 812-345-678", "+62812345678"),
    ("+63 905 123 4567", "+639051234567"),
    ("+65 9123 4567", "+6591234567"),
    ("+86 138 0013 8000", "+8613800138000"),
    ("+852 5123 4567", "+85251234567"),
    ("+886 912 345 678", "+886912345678"),
    ("+81 90-1234-5678", "+819012345678"),
    ("+82 10-2000-0000", "+821020000000"),
    ("+61 412 345 678", "+61412345678"),
    ("+64 21 123 4567", "+64211234567"),
    ("+683 5234", "+6835234"),
    ("+290 22158", "+29022158"),
    ("+20 10 01234567", "+201001234567"),
    ("+234 802 123 4567", "+2348021234567"),
    ("+254 712 123456", "+254712123456"),
    ("+225 07 12 34 56 78", "+2250712345678"),
    ("+27 71 123 4567", "+27711234567"),
    ("+251 91 123 4567", "+251911234567"),
    ("+55 11 91234-5678", "+5511912345678"),
    ("+54 9 11 2345-6789", "+5491123456789"),
    ("+52 55 1234 5678", "+525512345678"),
    ("+57 321 1234567", "+573211234567"),
    ("+383 43 201 234", "+38343201234"),
];

/// Refused texts, with the code and a part of the error.
const HOSTILE_NUMBERS: &[(&str, &str, &str)] = &[
    ("", "format", "with its country code"),
    ("+", "format", "with its country code"),
    ("0123456790", "format", "with its country code"),
    ("0060123456790", "format", "with its country code"),
    ("+1", "format", "with its country code"),
    ("+999123456789", "format", "with its country code"),
    ("+60", "format", "with its country code"),
    ("+0123456789", "format", "with its country code"),
    // Valid in Germany, and longer than E.164 allows.
    ("+4932212345678901", "format", "with its country code"),
    ("++60123456790", "format", "must not have + (U+002B)"),
    ("+60 12-345 6790 ext. 12", "extension", "has an extension"),
    ("+60 12-345 6790 x12", "extension", "has an extension"),
    ("+60 12-345 6790 #12", "extension", "has an extension"),
    ("+60123456790;ext=12", "extension", "has an extension"),
    ("+60123456790,12", "extension", "has an extension"),
    ("+7 912 345-67-89 доб. 12", "extension", "has an extension"),
    ("+51 1 2345678 anexo 12", "extension", "has an extension"),
    ("+1 800 555 0199", "not_personal", "a toll-free number"),
    ("+1 888-555-0123", "not_personal", "a toll-free number"),
    ("+800 1234 5678", "not_personal", "a toll-free number"),
    ("+44 800 123 4567", "not_personal", "a toll-free number"),
    ("+60 1-300-88-2525", "not_personal", "a toll-free number"),
    ("+39 800 123 456", "not_personal", "a toll-free number"),
    ("+81 120-123-456", "not_personal", "a toll-free number"),
    ("+1 900 555 0123", "not_personal", "a premium-rate number"),
    ("+60 abc", "format", "must not have a (U+0061)"),
    ("+1 800 FLOWERS", "format", "must not have F (U+0046)"),
    ("+60 12\u{200b}345 6790", "format", "U+200B, an invisible character"),
    ("+60\n12", "format", "with its country code"),
    ("+60 12 \u{1f4de}", "format", "must not have"),
    ("tel:+60123456790", "format", "with its country code"),
    ("+60123456790<script>", "format", "must not have < (U+003C)"),
    ("+60 12-345 6790 / +60 12-345 6791", "format", "must not have + (U+002B)"),
    ("+①②③④⑤⑥⑦", "format", "must not have"),
];

/// Numbers as people of many countries write and paste them are accepted, and stored in E.164.
#[test]
fn numbers_that_people_have_are_accepted() {
    assert!(NUMBERS.len() >= REAL, "{}", NUMBERS.len());
    for (written, stored) in NUMBERS {
        assert_eq!(read::<Phone>(written), Ok(Phone((*stored).to_owned())), "{written}");
    }
}

/// Extensions, numbers of services and texts that are not numbers are refused with the reason.
#[test]
fn a_text_that_is_not_a_number_of_a_person_is_refused_with_the_reason() {
    assert!(HOSTILE_NUMBERS.len() >= HOSTILE, "{}", HOSTILE_NUMBERS.len());
    for (number, code, why) in HOSTILE_NUMBERS {
        let refused = read::<Phone>(number).expect_err(number);
        assert_eq!(refused.code, *code, "{number:?}: {}", refused.message);
        assert!(refused.message.contains(why), "{number:?}: {}", refused.message);
    }
}

/// The limit counts characters, of whatever script, and not bytes.
#[test]
fn the_limit_counts_characters() {
    let written = "+ ٦ ٠ ١ ٢ ٣ ٤ ٥ ٦ ٧ ٩ ٠";
    assert!(written.len() > 32);
    assert_eq!(read::<Phone>(written), Ok(Phone("+60123456790".to_owned())));
    let longer = read::<Phone>(&format!("+{}", "1".repeat(40))).unwrap_err();
    assert_eq!(
        (longer.code, longer.message.as_str()),
        ("too_long", "must have at most 40 characters")
    );
}
