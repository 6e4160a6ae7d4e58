//! The Fabric User ID.

use std::collections::BTreeSet;

use gx_model::{
    AccountType, CountryCode, FabricUserId, Gender, IdMismatch, IdSubject, InvalidFabricUserId,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::macros::date;
use time::{Date, Duration};

fn subject(birth_date: Date, gender: Gender, account_type: AccountType) -> IdSubject {
    IdSubject {
        email: "Sarah.Johnson@GxTest.com".to_owned(),
        birth_date,
        country: "MY".parse().unwrap(),
        gender,
        account_type,
    }
}

fn generate(subject: &IdSubject) -> FabricUserId {
    FabricUserId::generate(subject, &mut StdRng::seed_from_u64(1)).unwrap()
}

/// FAB-14: the published vectors.
#[test]
fn fab_14_the_published_vectors() {
    use AccountType::{ForProfit, Individual};
    use Gender::{Female, Male};
    for (birth_date, gender, account_type, block) in [
        (date!(1992 - 08 - 20), Female, Individual, "AUN834"),
        (date!(1992 - 08 - 20), Male, Individual, "ABH834"),
        (date!(1989 - 05 - 15), Female, Individual, "AUM641"),
        (date!(1900 - 01 - 01), Male, Individual, "AAA000"),
        (date!(1900 - 01 - 01), Female, Individual, "ATG000"),
        (date!(2000 - 02 - 29), Female, Individual, "AUQ583"),
        (date!(2024 - 11 - 24), Male, Individual, "ABT618"),
        (date!(2020 - 01 - 01), Male, ForProfit, "BOD829"),
        (date!(2020 - 01 - 01), Female, ForProfit, "BOD829"),
    ] {
        let id = generate(&subject(birth_date, gender, account_type));
        assert_eq!(&id.as_str()[7..13], block, "{birth_date} {gender}");
    }
    let id = generate(&subject(date!(1992 - 08 - 20), Female, Individual));
    assert_eq!(&id.as_str()[..14], "MY 463 AUN834 ");
    assert_eq!(id.as_str().len(), 24);
    let published: FabricUserId = "MY 463 AUN834 0QKZB 5821".parse().unwrap();
    assert_eq!(published.country().to_string(), "MY");
    assert_eq!(published.birth_date(), date!(1992 - 08 - 20));
    assert_eq!(published.gender(), Some(Female));
    assert_eq!(published.account_type(), Individual);
    let verified = published.verify("sarah.johnson@gxtest.com", date!(1992 - 08 - 20), my());
    assert_eq!(verified, Ok(()));
}

/// FAB-14: an id is read as people paste it, and is the one form then; what the ledger and the
/// database have is read strictly.
#[test]
fn an_id_is_read_as_people_paste_it() {
    const ID: &str = "MY 463 AUN834 0QKZB 5821";
    for pasted in [
        ID,
        "my 463 aun834 0qkzb 5821",
        "MY463AUN8340QKZB5821",
        "my463aun8340qkzb5821",
        "  MY 463 AUN834 0QKZB 5821\r\n",
        "MY\u{a0}463\u{a0}AUN834\u{a0}0QKZB\u{a0}5821",
        "MY  463\tAUN834\u{2009}0QKZB\u{202f}5821",
        "MY\u{3000}463 AUN834 0QKZB 5821",
        "\u{202a}MY 463 AUN834 0QKZB 5821\u{202c}",
        "\u{2066}MY 463 AUN834 0QKZB 5821\u{2069}\u{200f}",
        "\u{feff}MY 463 AUN834 0QKZB 5821\u{200b}",
        "M Y 4 6 3 A U N 8 3 4 0 Q K Z B 5 8 2 1",
    ] {
        let id = FabricUserId::from_pasted(pasted).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Ok(ID), "{pasted:?}");
        assert_eq!(pasted.parse::<FabricUserId>().is_ok(), pasted == ID, "{pasted:?}");
    }
    for wrong in [
        "",
        " ",
        "MY 463 AUN834 0QKZB 582",
        "MY 463 AUN834 0QKZB 58211",
        "MY-463-AUN834-0QKZB-5821",
        "МY 463 AUN834 0QKZB 5821",
        "MY 463 AUN834 0QKZB ５８２１",
        "ıY 463 AUN834 0QKZB 5821",
        "MY 463 AUN834 BQKZB 5821",
        "MY 463 ZZZ999 0QKZB 5821",
        "treasury_MY",
    ] {
        assert!(FabricUserId::from_pasted(wrong).is_err(), "{wrong:?}");
    }
}

/// FAB-14: a text with a wrong length, block, separator or case is refused.
#[test]
fn fab_14_malformed_ids_are_refused() {
    use InvalidFabricUserId::{AccountType, BirthDate, Form};
    for (text, why) in [
        ("", Form),
        ("MY463AUN8340QKZB5821", Form),
        ("MY 463 AUN834 0QKZB 582", Form),
        ("MY 463 AUN834 0QKZB 58211", Form),
        ("MY 463 AUN834 0QKZB  5821", Form),
        (" MY 463 AUN834 0QKZB 5821", Form),
        ("MY-463-AUN834-0QKZB-5821", Form),
        ("MY\u{a0}463 AUN834 0QKZB 582", Form),
        ("my 463 AUN834 0QKZB 5821", Form),
        ("M1 463 AUN834 0QKZB 5821", Form),
        ("MY 46g AUN834 0QKZB 5821", Form),
        ("MY 46G AUN834 0QKZB 5821", Form),
        ("MY 463 AU1834 0QKZB 5821", Form),
        ("MY 463 AUN83A 0QKZB 5821", Form),
        ("MY 463 AUN834 GQKZB 5821", Form),
        ("MY 463 AUN834 aQKZB 5821", Form),
        ("MY 463 AUN834 0QKZ1 5821", Form),
        ("MY 463 AUN834 0QKZB 582A", Form),
        ("ÄÖ 463 AUN834 0QKZB 58", Form),
        ("MY 463 AUN834 BQKZB 5821", AccountType),
        ("MY 463 AUN834 CQKZB 5821", AccountType),
        ("MY 463 AUN834 DQKZB 5821", AccountType),
        ("MY 463 ZZZ999 0QKZB 5821", BirthDate),
        ("MY 463 AUN834 1QKZB 5821", BirthDate),
        ("MY 463 ZZZ999 1QKZB 5821", BirthDate),
    ] {
        assert_eq!(text.parse::<FabricUserId>(), Err(why), "{text:?}");
        let json = serde_json::json!(text);
        assert!(serde_json::from_value::<FabricUserId>(json).is_err(), "{text:?}");
    }
}

/// FAB-14: an id with another e-mail's checksum, birth date or country is not verified.
#[test]
fn fab_14_an_id_is_verified_against_its_facts() {
    let id: FabricUserId = "MY 463 AUN834 0QKZB 5821".parse().unwrap();
    let (email, born) = ("SARAH.Johnson@gxtest.com", date!(1992 - 08 - 20));
    assert_eq!(id.verify(email, born, my()), Ok(()));
    assert_eq!(id.verify("sara.johnson@gxtest.com", born, my()), Err(IdMismatch::Checksum));
    assert_eq!(id.verify(email, date!(1992 - 08 - 21), my()), Err(IdMismatch::BirthDate));
    assert_eq!(id.verify(email, born, "SG".parse().unwrap()), Err(IdMismatch::Country));
    let forged: FabricUserId = "MY 464 AUN834 0QKZB 5821".parse().unwrap();
    assert_eq!(forged.verify(email, born, my()), Err(IdMismatch::Checksum));
}

/// FAB-14: a second draw from the same source, after a collision, gives another id.
#[test]
fn fab_14_a_second_draw_gives_another_id() {
    let sarah = subject(date!(1992 - 08 - 20), Gender::Female, AccountType::Individual);
    let mut rng = StdRng::seed_from_u64(7);
    let drawn: BTreeSet<FabricUserId> =
        (0..1000).map(|_| FabricUserId::generate(&sarah, &mut rng).unwrap()).collect();
    assert_eq!(drawn.len(), 1000);
    assert!(drawn.iter().all(|id| id.as_str().starts_with("MY 463 AUN834 0")));
    assert_eq!(generate(&sarah), generate(&sarah), "all randomness comes from the parameter");
}

#[test]
fn dates_outside_the_format_have_no_id() {
    for (birth_date, fits) in [
        (date!(1899 - 12 - 31), false),
        (date!(1900 - 01 - 01), true),
        (date!(4000 - 01 - 01), true),
        (date!(4000 - 01 - 02), false),
    ] {
        let subject = subject(birth_date, Gender::Male, AccountType::ForProfit);
        let id = FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(1));
        assert_eq!(id.is_ok(), fits, "{birth_date}");
    }
}

fn my() -> CountryCode {
    "MY".parse().unwrap()
}

fn subjects() -> impl Strategy<Value = IdSubject> {
    let email = "[A-Za-z0-9._ÄÖé+-]{1,20}@[a-z]{1,10}\\.[a-z]{2,3}";
    // Up to the day from which the block of a man can also be read as a woman's.
    let birth_date = (0..500_000_i64).prop_map(|days| date!(1900 - 01 - 01) + Duration::days(days));
    let gender = prop::sample::select(&Gender::ALL[..]);
    let account_type = prop::sample::select(&AccountType::ALL[..]);
    (email, birth_date, "[A-Z]{2}", gender, account_type).prop_map(
        |(email, birth_date, country, gender, account_type)| {
            let country = country.parse().unwrap();
            IdSubject { email, birth_date, country, gender, account_type }
        },
    )
}

proptest! {
    /// FAB-14: a generated id parses, has the facts it was generated from, is verified, and is the
    /// same text in JSON.
    #[test]
    fn fab_14_generate_parse_decode_verify(subject in subjects(), seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let id = FabricUserId::generate(&subject, &mut rng).unwrap();
        prop_assert_eq!(&id.to_string().parse::<FabricUserId>().unwrap(), &id);
        prop_assert_eq!(id.country(), subject.country);
        prop_assert_eq!(id.birth_date(), subject.birth_date);
        prop_assert_eq!(id.account_type(), subject.account_type);
        let individual = subject.account_type == AccountType::Individual;
        prop_assert_eq!(id.gender(), individual.then_some(subject.gender));
        let IdSubject { email, birth_date, country, .. } = subject;
        prop_assert_eq!(id.verify(&email, birth_date, country), Ok(()));
        prop_assert_eq!(id.verify(&email.to_uppercase().to_lowercase(), birth_date, country), Ok(()));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<FabricUserId>(&json).unwrap(), id);
    }

    /// FAB-14: a text is either an id in exactly this form or refused; the parser repairs nothing.
    #[test]
    fn fab_14_parsing_never_repairs(text in "[A-Z]{2} [0-9A-G]{3} [A-Z]{3}[0-9]{3} [0-9A-G][A-Z]{4} [0-9]{3,5}") {
        if let Ok(id) = text.parse::<FabricUserId>() {
            prop_assert_eq!(id.to_string(), text);
            id.birth_date();
        }
    }
}
