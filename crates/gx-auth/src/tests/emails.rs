//! E-mail addresses.
//!
//! Sources of the rows: RFC 5321, 4.1.2 and 4.5.3.1 (mailboxes and their lengths), RFC 5322, 3.2.3
//! and 3.4.1, RFC 6531 and 6532 (addresses in Unicode), Unicode Technical Standard 46 (domains),
//! RFC 6761, 6762 and 7686 (names without mail), Unicode Standard Annex 15 (normalisation);
//! Universal Acceptance Steering Group, UASG004 (addresses to try) and UASG014 (a guide to EAI);
//! Wikipedia, "Email address",
//! "International email" and "Internationalized domain name".

use serde_json::json;

use crate::email::{Email, GivenEmail, search_form};
use gx_serve::fields::Field;

/// Fewest rows of valid and of hostile addresses.
const REAL: usize = 60;
const HOSTILE: usize = 20;

/// Typed addresses and their normalised form.
const ADDRESSES: &[(&str, &str)] = &[
    ("sarah.johnson@gxtest.com", "sarah.johnson@gxtest.com"),
    ("Sarah.Johnson@GXTest.com", "sarah.johnson@gxtest.com"),
    (" sarah@gxtest.com", "sarah@gxtest.com"),
    ("sarah@gxtest.com ", "sarah@gxtest.com"),
    ("\tsarah@gxtest.com\r\n", "sarah@gxtest.com"),
    ("\u{a0}sarah@gxtest.com\u{3000}", "sarah@gxtest.com"),
    ("simple@example.com", "simple@example.com"),
    ("very.common@example.com", "very.common@example.com"),
    ("FirstName.LastName@EasierReading.org", "firstname.lastname@easierreading.org"),
    ("x@example.com", "x@example.com"),
    (
        "long.address-with-hyphens@and.subdomains.example.com",
        "long.address-with-hyphens@and.subdomains.example.com",
    ),
    ("user.name+tag+sorting@example.com", "user.name+tag+sorting@example.com"),
    ("name/surname@example.com", "name/surname@example.com"),
    ("user%example.com@example.org", "user%example.com@example.org"),
    ("mailhost!username@example.org", "mailhost!username@example.org"),
    ("user-@example.org", "user-@example.org"),
    ("_______@example.com", "_______@example.com"),
    ("1234567890@example.com", "1234567890@example.com"),
    ("o'neill@example.ie", "o'neill@example.ie"),
    ("a&b@example.com", "a&b@example.com"),
    ("sarah@mail.example.co.uk", "sarah@mail.example.co.uk"),
    ("sarah@a-b.example", "sarah@a-b.example"),
    ("sarah@3com.com", "sarah@3com.com"),
    ("sarah@example.museum", "sarah@example.museum"),
    ("sarah@xn--bcher-kva.example", "sarah@xn--bcher-kva.example"),
    ("sarah@XN--BCHER-KVA.example", "sarah@xn--bcher-kva.example"),
    ("sarah@bücher.example", "sarah@xn--bcher-kva.example"),
    ("sarah@BÜCHER.example", "sarah@xn--bcher-kva.example"),
    ("sarah@bu\u{308}cher.example", "sarah@xn--bcher-kva.example"),
    ("sarah@straße.example", "sarah@xn--strae-oqa.example"),
    ("sarah@ｇｘｔｅｓｔ.com", "sarah@gxtest.com"),
    ("sarah@gxtest。com", "sarah@gxtest.com"),
    ("sarah@例え.テスト", "sarah@xn--r8jz45g.xn--zckzah"),
    ("sarah@παράδειγμα.δοκιμή", "sarah@xn--hxajbheg2az3al.xn--jxalpdlp"),
    ("sarah@пример.испытание", "sarah@xn--e1afmkfd.xn--80akhbyknj4f"),
    ("sarah@مثال.إختبار", "sarah@xn--mgbh0fb.xn--kgbechtv"),
    ("sarah@उदाहरण.परीक्षा", "sarah@xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
    ("sarah@בײַשפּיל.טעסט", "sarah@xn--fdbk5d8ap9b8a8d.xn--deba0ad"),
    ("sarah@உதாரணம்.பரிட்சை", "sarah@xn--zkc6cc5bi7f6e.xn--hlcj6aya9esc7a"),
    ("sarah@실례.테스트", "sarah@xn--9n2bp8q.xn--9t4b11yi5a"),
    ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
    ("अजय@डाटा.भारत", "अजय@xn--c2bd1gb.xn--h2brj9c"),
    ("квіточка@пошта.укр", "квіточка@xn--80a1acn3a.xn--j1amh"),
    ("χρήστης@παράδειγμα.ελ", "χρήστης@xn--hxajbheg2az3al.xn--qxam"),
    ("ΧΡΉΣΤΗΣ@παράδειγμα.ελ", "χρήστης@xn--hxajbheg2az3al.xn--qxam"),
    ("Dörte@Sörensen.example", "dörte@xn--srensen-90a.example"),
    ("DÖRTE@sörensen.example", "dörte@xn--srensen-90a.example"),
    ("do\u{308}rte@sörensen.example", "dörte@xn--srensen-90a.example"),
    ("коля@пример.рф", "коля@xn--e1afmkfd.xn--p1ai"),
    ("КОЛЯ@пример.рф", "коля@xn--e1afmkfd.xn--p1ai"),
    ("二ノ宮@黒川.日本", "二ノ宮@xn--5rtw95l.xn--wgv71a"),
    ("เจมส์@ไทย.ไทย", "เจมส์@xn--o3cw4h.xn--o3cw4h"),
    ("nguyễn@vídụ.vn", "nguyễn@xn--vd-nja3081a.vn"),
    ("İbrahim@ornek.example", "i\u{307}brahim@ornek.example"),
    ("علی\u{200c}رضا@example.com", "علی\u{200c}رضا@example.com"),
    ("sarah@نامه\u{200c}ای.com", "sarah@xn--mgba3gch31f060k.com"),
    ("محمد@مثال.السعودية", "محمد@xn--mgbh0fb.xn--mgberp4a5d4ar"),
    ("ג׳ורג@example.co.il", "ג׳ורג@example.co.il"),
    ("col·lell@example.cat", "col·lell@example.cat"),
    ("straße@example.de", "straße@example.de"),
    ("\"sarah\"@gxtest.com", "sarah@gxtest.com"),
    ("\"Sarah.Johnson\"@gxtest.com", "sarah.johnson@gxtest.com"),
    ("\"sa\\rah\"@gxtest.com", "sarah@gxtest.com"),
    ("\"sarah johnson\"@gxtest.com", "\"sarah johnson\"@gxtest.com"),
    ("\"a@b\"@gxtest.com", "\"a@b\"@gxtest.com"),
];

/// Rejected addresses, and a part of the error message.
const HOSTILE_ADDRESSES: &[(&str, &str)] = &[
    ("", "must be an e-mail address"),
    (" ", "must be an e-mail address"),
    ("sarah", "must be an e-mail address"),
    ("@gxtest.com", "must be an e-mail address"),
    ("sarah@", "must have a domain"),
    ("sarah@gxtest", "a domain with a dot"),
    ("sarah@127.0.0.1", "not a number or an IP address"),
    ("sarah@[127.0.0.1]", "must have a domain"),
    ("sarah@[IPv6:::1]", "must have a domain"),
    ("sarah@1.2.3.123", "not a number or an IP address"),
    ("sarah@gxtest.0x7f", "not a number or an IP address"),
    ("sarah@gxtest.c", "not a number or an IP address"),
    ("sarah@localhost", "a domain with a dot"),
    ("sarah@gx.localhost", "to which mail can be sent"),
    ("sarah@gx.invalid", "to which mail can be sent"),
    ("sarah@printer.local", "to which mail can be sent"),
    ("sarah@gxtest.com.", "must have a domain"),
    ("sarah@.gxtest.com", "must have a domain"),
    ("sarah@gx..test.com", "must have a domain"),
    ("sarah@-gxtest.com", "must have a domain"),
    ("sarah@gx_test.com", "must have a domain"),
    ("sarah@xn--a.com", "must have a domain"),
    ("sarah@gx test.com", "must have a domain"),
    ("sarah@gxtest.com, eve@gxtest.com", "must be an e-mail address"),
    ("Sarah <sarah@gxtest.com>", "must have a domain"),
    ("sarah@gxtest.com\r\nBcc: eve@gxtest.com", "U+000D, a line break"),
    ("sarah\0@gxtest.com", "U+0000, a control character"),
    (".sarah@gxtest.com", "must be an e-mail address"),
    ("sarah.@gxtest.com", "must be an e-mail address"),
    ("sa..rah@gxtest.com", "must be an e-mail address"),
    ("sa rah@gxtest.com", "must be an e-mail address"),
    ("sa\u{a0}rah@gxtest.com", "U+00A0, a blank"),
    ("sa\u{200b}rah@gxtest.com", "U+200B, an invisible character"),
    ("\u{200b}sarah@gxtest.com", "U+200B, an invisible character"),
    ("sa\u{ad}rah@gxtest.com", "U+00AD"),
    ("sarah@gx\u{ad}test.com", "U+00AD"),
    ("sarah@gx\u{200b}test.com", "U+200B"),
    ("sarah\u{3164}@gxtest.com", "U+3164"),
    ("sarah\u{feff}@gxtest.com", "U+FEFF"),
    ("sarah\u{200d}@gxtest.com", "U+200D"),
    ("\u{202e}sarah@gxtest.com", "U+202E, a direction mark"),
    ("sarah\u{2066}@gxtest.com", "U+2066, a direction mark"),
    ("sarah\u{e000}@gxtest.com", "an undefined character"),
    ("\u{301}sarah@gxtest.com", "must not begin with a mark"),
    ("s\u{300}\u{301}\u{302}\u{303}\u{304}@gxtest.com", "must not pile up marks"),
    ("sarah\u{1f600}@gxtest.com", "must not have"),
    ("𝓼arah@gxtest.com", "must not have"),
    ("sarah＠gxtest.com", "must be an e-mail address"),
    ("sarah(comment)@gxtest.com", "must be an e-mail address"),
    ("mailto:sarah@gxtest.com", "must be an e-mail address"),
];

/// API-16: addresses as people type them are accepted, each spelling in the one form of its
/// mailbox.
#[test]
fn addresses_that_people_have_are_taken_in_one_form() {
    assert!(ADDRESSES.len() >= REAL, "{}", ADDRESSES.len());
    for (written, form) in ADDRESSES {
        let email = Email::read(&json!(written)).map_err(|why| why.message);
        assert_eq!(email.as_ref().map(Email::as_str), Ok(*form), "{written}");
        let again = Email::parse(form).unwrap();
        assert_eq!(again.as_str(), *form, "the form is its own form");
        assert_eq!(GivenEmail::new(written).form(), *form, "at sign-in");
    }
}

/// API-16: addresses that mail cannot reach, and hidden characters, are rejected by name.
#[test]
fn what_is_no_address_is_refused_by_its_name() {
    assert!(HOSTILE_ADDRESSES.len() >= HOSTILE, "{}", HOSTILE_ADDRESSES.len());
    for (address, why) in HOSTILE_ADDRESSES {
        let refused = Email::read(&json!(address)).expect_err(address);
        assert!(refused.message.contains(why), "{address:?}: {}", refused.message);
    }
}

/// API-16: the limits of RFC 5321 apply to the form of an address.
#[test]
fn the_lengths_are_those_of_the_form() {
    let local = "a".repeat(64);
    assert!(Email::parse(&format!("{local}@gxtest.com")).is_ok());
    let refused = Email::parse(&format!("a{local}@gxtest.com")).unwrap_err();
    assert_eq!(refused.code, "too_long");
    assert!(refused.message.contains("64 bytes before the @"), "{}", refused.message);
    let label = "b".repeat(60);
    let domain = format!("{label}.{label}.{label}.com");
    let longest = format!("{}@{domain}", "a".repeat(64));
    assert_eq!(longest.len(), 251);
    assert!(Email::parse(&longest).is_ok());
    assert_eq!(
        Email::parse(&format!("{}@b.{domain}xx", "a".repeat(64))).unwrap_err().code,
        "too_long"
    );
    let padded = format!("{}{longest}", " ".repeat(2_000));
    assert_eq!(Email::parse(&padded).unwrap().as_str(), longest, "blanks do not count");
    assert_eq!(Email::parse(&"a".repeat(10_000)).unwrap_err().code, "too_long");
}

/// API-16: a search finds an address in each of its forms, and by a part of it.
#[test]
fn searches_have_the_form_too() {
    for (part, form) in [
        (" Sarah@GXTEST.com ", "sarah@gxtest.com"),
        ("sarah@bücher.example", "sarah@xn--bcher-kva.example"),
        ("@BÜCHER.example", "@xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("DÖRTE@", "dörte@"),
        ("sarah", "sarah"),
    ] {
        assert_eq!(search_form(part), form);
    }
}

mod in_the_database {
    use gx_db::testing::TestDatabase;
    use sqlx::Executor as _;

    use crate::email::mailboxes::{FillReport, SharedMailbox, fill};

    /// API-16: PostgreSQL's lower() keeps every letter that Rust has put in lower case, under each
    /// kind of locale; and `"SearchForm"` equals the form of searches.
    #[tokio::test]
    async fn lower_case_is_the_same_in_the_database() {
        let database = TestDatabase::create().await;
        let small: String =
            (1..=0x0010_ffff_u32).filter_map(char::from_u32).flat_map(char::to_lowercase).collect();
        let kinds = ["C", "C.utf8", "pg_c_utf8", "default", "und-x-icu", "tr-x-icu", "lt-x-icu"];
        let sql = "SELECT collname::text FROM pg_collation WHERE collname = ANY ($1)";
        let locales: Vec<String> =
            sqlx::query_scalar(sql).bind(kinds).fetch_all(database.pool()).await.unwrap();
        for needed in ["C", "und-x-icu"] {
            assert!(locales.iter().any(|locale| locale == needed), "{needed} in {locales:?}");
        }
        for locale in locales {
            let sql = format!(
                r#"SELECT coalesce(string_agg(DISTINCT c, ' '), '')
                   FROM unnest(string_to_array($1, NULL)) c WHERE lower(c COLLATE "{locale}") <> c"#
            );
            let sql = sqlx::AssertSqlSafe(sql);
            let changed: String =
                sqlx::query_scalar(sql).bind(&small).fetch_one(database.pool()).await.unwrap();
            assert_eq!(changed, "", "{locale}");
        }
        for text in [
            "Sarah Johnson",
            "ÅSA",
            "A\u{30a}sa",
            "ΝΊΚΟΣ ΧΡΉΣΤΟΣ",
            "İBRAHİM",
            "Straße",
            "ＡＢＣ",
            "ﬁ",
            "Ⅲ",
            "ᏣᎳᎩ",
            "ǅ",
            "한글",
            "\u{1112}\u{1161}\u{11ab}",
            "Anne\u{a0}Marie",
            "ꭰ",
            "علی\u{200c}رضا",
            "ශ්\u{200d}රී",
            "ᠰᠠᠷᠠ\u{180e}ᠠ",
            "ᠭ\u{180b}ᠠ",
            "邉\u{e0100}",
            "邉\u{fe00}",
            "K",
        ] {
            let form: String = sqlx::query_scalar(r#"SELECT "SearchForm"($1)"#)
                .bind(text)
                .fetch_one(database.pool())
                .await
                .unwrap();
            assert_eq!(form, gx_serve::characters::search_form(text), "{text}");
        }
    }

    async fn add(database: &TestDatabase, id: &str, email: &str) {
        let sql = r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                         "passwordHash", "dateOfBirth", gender, "createdAt", "updatedAt")
                     VALUES ($1, 'A', 'B', $2, 'x', '1992-08-20', 'female', now(), now())"#;
        sqlx::query(sql).bind(id).bind(email).execute(database.pool()).await.unwrap();
    }

    async fn rows(database: &TestDatabase) -> Vec<(String, String, Option<String>)> {
        sqlx::query_as(r#"SELECT "profileId", email, mailbox FROM "UserProfile" ORDER BY 1"#)
            .fetch_all(database.pool())
            .await
            .unwrap()
    }

    /// API-16: accounts of earlier releases keep their address and get the form next to it. Of two
    /// that share a mailbox one owns it, and the other is reported and unchanged. A second run
    /// changes nothing.
    #[tokio::test]
    async fn accounts_of_earlier_releases_get_the_form_next_to_their_address() {
        let database = TestDatabase::create().await;
        for (id, email) in [
            ("1", "sarah@gxtest.com"),
            ("2", "do\u{308}rte@gxtest.com"),
            ("3", "sarah@bücher.example"),
            ("4", "sarah@xn--bcher-kva.example"),
            ("5", "eve@127.0.0.1"),
            ("6", "\"eve\"@gxtest.com"),
            ("7", "коля@пример.рф"),
            ("8", "коля@xn--e1afmkfd.xn--p1ai"),
            ("9", "用户@xn--fsqu00a.xn--4rr70v"),
            ("A", "\"adam\"@gxtest.com"),
            ("B", "\"a\\dam\"@gxtest.com"),
        ] {
            add(&database, id, email).await;
        }
        let before = rows(&database).await;
        let mut conn = database.connection().await;
        let report = fill(&mut conn).await.unwrap();
        let shared = |profile: &str, owner: &str| SharedMailbox {
            profile_id: profile.to_owned().into(),
            owner: owner.to_owned().into(),
        };
        assert_eq!(
            report,
            FillReport {
                added: 3,
                shared: vec![shared("3", "4"), shared("7", "8"), shared("B", "A")],
                unmailable: vec!["5".to_owned().into()],
            }
        );
        let after = rows(&database).await;
        for (row, old) in after.iter().zip(&before) {
            assert_eq!((&row.0, &row.1), (&old.0, &old.1), "no address changes");
        }
        let boxes: Vec<_> =
            after.iter().filter_map(|row| Some((&*row.0, row.2.as_deref()?))).collect();
        let expected =
            [("2", "dörte@gxtest.com"), ("6", "eve@gxtest.com"), ("A", "adam@gxtest.com")];
        assert_eq!(boxes, expected);
        let again = fill(&mut conn).await.unwrap();
        assert_eq!(again, FillReport { added: 0, ..report });
        assert_eq!(rows(&database).await, after);
    }

    /// API-16: a mailbox has one account, whatever the spelling in its row.
    #[tokio::test]
    async fn the_database_lets_a_mailbox_have_one_account() {
        let database = TestDatabase::create().await;
        add(&database, "1", "do\u{308}rte@gxtest.com").await;
        fill(&mut database.connection().await).await.unwrap();
        let insert = r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                            "passwordHash", "dateOfBirth", gender, "createdAt", "updatedAt")
                        VALUES ('2', 'A', 'B', 'dörte@gxtest.com', 'x', '1992-08-20', 'female',
                            now(), now())"#;
        let refused = database.pool().execute(insert).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("UserProfile_mailbox_key"));
    }
}
