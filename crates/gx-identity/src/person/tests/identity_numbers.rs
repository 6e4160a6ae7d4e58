//! Numbers of national documents.
//!
//! Sources of the rows: Wikipedia, "National identification number" and the pages of the single
//! documents ("Hong Kong identity card", "CPF number", "National Registration Card (Myanmar)",
//! "Personal identity code (Finland)", "Personal identity number (Sweden)", "Aadhaar", "CURP",
//! "Rol Único Tributario", "Documento Nacional de Identidad" and others); OECD, "Tax
//! identification numbers"; ICAO Doc 9303, part 3. The numbers are the examples that those pages
//! show, or made up in their form.

use super::{HOSTILE, REAL, read};
use crate::person::IdentityNumber;

/// The kind of document, and the number as it is written and stored.
const NUMBERS: &[(&str, &str)] = &[
    ("Hong Kong", "A123456(3)"),
    ("Hong Kong, two letters", "AB987654(A)"),
    ("Macau", "1234567(8)"),
    ("Brazil, CPF", "123.456.789-09"),
    ("Brazil, RG", "12.345.678-X"),
    ("Myanmar, Latin letters", "12/KaMaNa(N)123456"),
    ("Myanmar, its own letters", "12/ကမန(နိုင်)123456"),
    ("Malaysia", "920820-14-5566"),
    ("Malaysia, without hyphens", "920820145566"),
    ("Singapore", "S1234567D"),
    ("Brunei", "00-123456"),
    ("Indonesia", "3171234567890123"),
    ("Indonesia, with dots", "31.7123.456789.0123"),
    ("Philippines", "1234-5678912-3"),
    ("Thailand", "1-2345-67890-12-1"),
    ("Vietnam", "001092012345"),
    ("Cambodia", "010123456(01)"),
    ("China", "11010519491231002X"),
    ("China, military", "军字第1234567号"),
    ("Taiwan", "A123456789"),
    ("Japan, My Number", "1234 5678 9018"),
    ("South Korea", "920820-2345678"),
    ("India, Aadhaar", "2345 6789 0124"),
    ("India, PAN", "ABCDE1234F"),
    ("India, voter", "ABC1234567"),
    ("Pakistan", "12345-1234567-1"),
    ("Bangladesh", "19925012345678901"),
    ("Sri Lanka, old", "922331234V"),
    ("Sri Lanka", "199223312345"),
    ("Nepal", "12-34-56-78901"),
    ("Bhutan", "10702000123"),
    ("Iran", "123-456789-1"),
    ("Iraq", "199212345678"),
    ("Saudi Arabia", "1012345678"),
    ("United Arab Emirates", "784-1992-1234567-8"),
    ("Israel", "12345678-2"),
    ("Turkey", "12345678950"),
    ("Egypt", "29208201234567"),
    ("Nigeria", "12345678901"),
    ("Kenya", "12345678"),
    ("Ghana", "GHA-123456789-0"),
    ("South Africa", "9208204800086"),
    ("Zimbabwe", "63-123456 X 70"),
    ("Zambia", "123456/78/1"),
    ("Malawi", "ABCD1234"),
    ("Mauritius", "S200892123456A"),
    ("Spain, DNI", "12345678-Z"),
    ("Spain, NIE", "X-1234567-L"),
    ("Portugal", "12345678 9 ZZ4"),
    ("France", "2 92 08 75 123 456 78"),
    ("Italy", "RSSMRA85T10A562S"),
    ("Germany", "T22000129"),
    ("Austria", "1237 010180"),
    ("Switzerland", "756.1234.5678.97"),
    ("Belgium", "85.07.30-033.28"),
    ("Netherlands", "1234.56.782"),
    ("United Kingdom, NINO", "QQ 12 34 56 C"),
    ("Ireland", "1234567TW"),
    ("Denmark", "010180-1234"),
    ("Iceland", "120174-3399"),
    ("Norway", "010180 12345"),
    ("Sweden", "920820-1234"),
    ("Sweden, over a hundred years old", "200820+1234"),
    ("Finland", "131052-308T"),
    ("Finland, born since 2000", "131004A308T"),
    ("Estonia", "37605030299"),
    ("Latvia", "161175-19997"),
    ("Poland", "ABC123456"),
    ("Czechia", "920820/1234"),
    ("Romania", "RX 123456"),
    ("Bulgaria", "7523169263"),
    ("Greece", "ΑΒ 123456"),
    ("Russia, passport", "45 04 123456"),
    ("Russia, birth certificate", "II-АБ 123456"),
    ("Ukraine", "АА 123456"),
    ("Georgia", "01001012345"),
    ("United States", "123-45-6789"),
    ("Canada", "123 456 782"),
    ("Mexico, CURP", "HEGG560427MVZRRL04"),
    ("Guatemala", "1234 56789 0101"),
    ("Costa Rica", "1-1234-5678"),
    ("Dominican Republic", "001-1234567-8"),
    ("Venezuela", "V-12.345.678"),
    ("Colombia", "1.234.567.890"),
    ("Chile", "12.345.678-K"),
    ("Argentina", "12.345.678"),
    ("Uruguay", "1.234.567-8"),
    ("Peru", "12345678"),
    ("Bolivia, with place", "1234567 LP"),
    ("Australia, driver", "12 345 678"),
];

/// Numbers as they are written, and as they are stored.
const STORED_OTHERWISE: &[(&str, &str)] = &[
    ("۱۲۳۴۵۶۷۸۹۱", "1234567891"),
    ("٢٩٢٠٨٢٠١٢٣٤٥٦٧", "29208201234567"),
    ("১৯৯২৫০১২৩৪৫৬৭৮৯০১", "19925012345678901"),
    ("၁၂/ကမန(နိုင်)၁၂၃၄၅၆", "12/ကမန(နိုင်)123456"),
    ("１２３４５６７８", "12345678"),
    ("E\u{301}A1234", "ÉA1234"),
];

/// Refused texts, with a part of the error.
const HOSTILE_NUMBERS: &[(&str, &str)] = &[
    ("", "must not be empty"),
    ("-", "must begin with a letter or digit, not with - (U+002D)"),
    (" ", "must not begin with a blank"),
    ("   ", "must not begin with a blank"),
    (" A123456", "must not begin with a blank"),
    ("A123456 ", "must not end with a blank"),
    ("A123456-", "must not end with - (U+002D)"),
    ("...", "must begin with a letter or digit"),
    ("(3)", "must begin with a letter or digit"),
    ("A123456()", "separates nothing"),
    ("A123456(3", "a bracket that is not closed"),
    ("A123456)3", "separates nothing"),
    ("A(1(2)3)", "separates nothing"),
    ("123--45", "separates nothing"),
    ("123  45", "separates nothing"),
    ("123.-45", "separates nothing"),
    ("N/A", "must have a digit"),
    ("none", "must have a digit"),
    ("A\u{a0}123", "U+00A0, a blank"),
    ("A\u{200b}123", "U+200B, an invisible character"),
    ("\u{202e}123", "U+202E, a direction mark"),
    ("123\u{202d}45", "U+202D, a direction mark"),
    ("12345\n", "U+000A, a line break"),
    ("A123456;DROP", "must not have ; (U+003B)"),
    ("<b>1</b>", "must begin with a letter or digit"),
    ("1<2", "must not have < (U+003C)"),
    ("12_34", "must not have _ (U+005F)"),
    ("12'34", "must not have ' (U+0027)"),
    ("123\u{1f600}", "must not have"),
    ("1\u{301}\u{302}\u{303}\u{304}\u{305}", "must not pile up marks"),
    ("\u{e000}1", "an undefined character"),
];

/// Numbers of documents of many countries are accepted.
#[test]
fn numbers_of_documents_are_accepted() {
    assert!(NUMBERS.len() >= REAL, "{}", NUMBERS.len());
    for (of, number) in NUMBERS {
        let read = read::<IdentityNumber>(number);
        assert_eq!(read, Ok(IdentityNumber((*number).to_owned())), "{of}: {number}");
    }
    for (written, stored) in STORED_OTHERWISE {
        let read = read::<IdentityNumber>(written);
        assert_eq!(read, Ok(IdentityNumber((*stored).to_owned())), "{written}");
    }
}

/// Blanks, lone separators and characters that no document has are refused, and the error names
/// them.
#[test]
fn a_text_that_is_not_a_number_of_a_document_is_refused_with_the_reason() {
    assert!(HOSTILE_NUMBERS.len() >= HOSTILE, "{}", HOSTILE_NUMBERS.len());
    for (number, why) in HOSTILE_NUMBERS {
        let refused = read::<IdentityNumber>(number).expect_err(number);
        assert!(refused.message.contains(why), "{number:?}: {}", refused.message);
    }
    let longest = "1".repeat(40);
    assert_eq!(read::<IdentityNumber>(&longest), Ok(IdentityNumber(longest.clone())));
    let longer = read::<IdentityNumber>(&format!("{longest}1")).unwrap_err();
    assert_eq!(
        (longer.code, longer.message.as_str()),
        ("too_long", "must have at most 40 characters")
    );
}
