//! Registration through the router.

use gx_auth::testing::{PASSWORD, TestHost};
use gx_auth::{Hasher, HashingSettings};
use gx_serve::fields::Fields;
use serde_json::{Value, json};
use utoipa::PartialSchema;

use super::http::Registration;
use crate::IdentitySettings;
use crate::tests::service;

async fn host() -> TestHost {
    TestHost::new(|base| service(&IdentitySettings::default(), base)).await
}

fn sarah() -> Value {
    json!({
        "fname": "Sarah", "lname": "Johnson", "email": "sarah.johnson@gxtest.com",
        "phoneNum": "+60123456790", "password": "SecurePassword123!",
        "nationalityCountryCode": "MY", "dateOfBirth": "1992-08-20", "gender": "female",
    })
}

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = sarah();
    body[field] = value.into();
    body
}

async fn register(host: &TestHost, body: &Value) -> gx_auth::testing::Answer {
    host.post("/api/v1/auth/register", "", body).await
}

/// The statement of the data design with which operators look at a person.
const STATEMENT: &str = r#"
SELECT "profileId", "firstName", "lastName", email, status, "dateOfBirth",
       gender, "fabricUserId", "onchainStatus"
FROM "UserProfile"
WHERE email = 'sarah.johnson@gxtest.com';
"#;

#[tokio::test]
async fn the_request_of_existing_clients_registers_a_person() {
    let host = host().await;
    let answer = register(&host, &sarah()).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    let user = &answer.json["user"];
    assert_eq!(user["email"], "sarah.johnson@gxtest.com");
    assert_eq!(user["firstName"], "Sarah");
    assert_eq!(user["lastName"], "Johnson");
    assert_eq!(user["status"], "REGISTERED");
    assert_eq!(user["createdAt"], "2026-03-01T12:00:00.123Z");
    assert_eq!(user["emailVerified"], false);
    assert_eq!(user.as_object().unwrap().len(), 7);
    assert_eq!(answer.json.as_object().unwrap().len(), 4);
    assert_eq!(answer.headers["cache-control"], "no-store");

    let row: (String, String, String, String, String, time::Date, String, Option<String>, String) =
        sqlx::query_as(STATEMENT).fetch_one(host.database.pool()).await.unwrap();
    assert_eq!(row.0, user["profileId"].as_str().unwrap());
    assert_eq!((row.4.as_str(), row.7, row.8.as_str()), ("REGISTERED", None, "NOT_REGISTERED"));

    let token = answer.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/users/me", token).await.code(), 200);
}

/// API-08: addresses, countries, phone numbers and genders are stored in one form each.
#[tokio::test]
async fn facts_that_people_write_in_many_ways_are_stored_in_one() {
    let host = host().await;
    let mut body = sarah();
    body["email"] = "Sarah.Johnson@GXtest.com".into();
    body["nationalityCountryCode"] = "my".into();
    body["phoneNum"] = "+60 12-345 6790".into();
    body["gender"] = "Female".into();
    assert_eq!(register(&host, &body).await.code(), 200);
    let row: (String, String, String, String) = sqlx::query_as(
        r#"SELECT email, "nationalityCountryCode", "phoneNum", gender FROM "UserProfile""#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    let expected = ("sarah.johnson@gxtest.com", "MY", "+60123456790", "female");
    assert_eq!((&*row.0, &*row.1, &*row.2, &*row.3), expected);
}

#[tokio::test]
async fn names_of_any_script_are_names() {
    let host = host().await;
    for (number, name) in
        ["Åsa-Lena", "O'Neill", "D’Souza", "李", "Нина", "مريم", "कृष्ण", "Anne Marie", "José"]
            .into_iter()
            .enumerate()
    {
        let mut body = with("fname", name);
        body["email"] = format!("person{number}@gxtest.com").into();
        body["phoneNum"] = Value::Null;
        let answer = register(&host, &body).await;
        assert_eq!(answer.code(), 200, "{name}: {}", answer.text);
    }
}

/// API-15: people who have one name register without a second one, and all routes show that; the
/// stored value is a text, which older binaries can read.
#[tokio::test]
async fn people_with_one_name_have_one_name_everywhere() {
    let host = host().await;
    let mut body = sarah();
    body["fname"] = "Suharto".into();
    body.as_object_mut().unwrap().remove("lname");
    let answer = register(&host, &body).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["user"]["firstName"], "Suharto");
    assert!(answer.has_null_at("/user/lastName"), "{}", answer.text);
    let me = host.get("/api/v1/users/me", answer.text_at("/accessToken")).await;
    assert!(me.has_null_at("/user/lastName"), "{}", me.text);
    let body = json!({ "email": "sarah.johnson@gxtest.com", "password": "SecurePassword123!" });
    let login = host.post("/api/v1/auth/login", "", &body).await;
    assert!(login.has_null_at("/user/lastName"), "{}", login.text);
    let stored: String = sqlx::query_scalar(r#"SELECT "lastName" FROM "UserProfile""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(stored, "");

    let mut body = with("lname", Value::Null);
    body["email"] = "sukarno@gxtest.com".into();
    body["phoneNum"] = Value::Null;
    let answer = register(&host, &body).await;
    assert_eq!((answer.code(), answer.has_null_at("/user/lastName")), (200, true));
}

/// API-15: a name is stored in normalisation form C; an error names the field and the character.
#[tokio::test]
async fn names_are_stored_in_one_form_and_refused_by_character() {
    let host = host().await;
    let mut body = with("fname", "Jose\u{301}");
    body["lname"] = "’t Hooft".into();
    let answer = register(&host, &body).await;
    assert_eq!(answer.json["user"]["firstName"], "Jos\u{e9}", "{}", answer.text);
    let answer = register(&host, &with("lname", "John\u{200b}son")).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/lname"]));
    let message = answer.json["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("U+200B"), "{message}");
}

/// API-16: all variants of one address are one account, and each of them signs in.
#[tokio::test]
async fn each_variant_of_an_address_is_one_account_and_signs_in() {
    let host = host().await;
    let mailboxes = [
        (
            "sarah@gxtest.com",
            vec![" Sarah@GXTest.com ", "\u{a0}sarah@gxtest.com", "SARAH@ＧＸＴＥＳＴ.com"],
        ),
        (
            "do\u{308}rte@Sörensen.example",
            vec![
                "dörte@sörensen.example",
                "DÖRTE@SÖRENSEN.example",
                "dörte@xn--srensen-90a.example",
                "dörte@so\u{308}rensen.example",
            ],
        ),
        ("用户@例子.广告", vec!["用户@xn--fsqu00a.xn--4rr70v", "用户@例子。广告"]),
    ];
    for (first, variants) in mailboxes {
        let mut body = with("email", first);
        body["phoneNum"] = Value::Null;
        let answer = register(&host, &body).await;
        assert_eq!(answer.code(), 200, "{first}: {}", answer.text);
        let profile = answer.text_at("/user/profileId");
        for variant in variants.iter().chain([&first]) {
            body["email"] = (*variant).into();
            let again = register(&host, &body).await;
            assert_eq!((again.code(), again.problem()), (409, "email_taken"), "{variant}");
            let login = json!({ "email": variant, "password": "SecurePassword123!" });
            let login = host.post("/api/v1/auth/login", "", &login).await;
            assert_eq!(login.code(), 200, "{variant}: {}", login.text);
            assert_eq!(login.text_at("/user/profileId"), profile, "{variant}");
        }
    }
    let answer = register(&host, &with("email", "a@127.0.0.1")).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/email"]));
}

/// API-16: a mailbox that an account of an earlier release has in another spelling is taken.
#[tokio::test]
async fn a_mailbox_in_an_older_spelling_is_taken() {
    let host = host().await;
    let id = host.add_person("sarah@bücher.example", gx_model::AccountStatus::Registered).await;
    let mut conn = host.database.connection().await;
    gx_auth::email::mailboxes::fill(&mut conn).await.unwrap();
    let answer = register(&host, &with("email", "sarah@xn--bcher-kva.example")).await;
    assert_eq!((answer.code(), answer.problem()), (409, "email_taken"));
    let login = json!({ "email": "sarah@xn--bcher-kva.example", "password": PASSWORD });
    let login = host.post("/api/v1/auth/login", "", &login).await;
    assert_eq!(login.text_at("/user/profileId"), id);
    assert_eq!(login.text_at("/user/email"), "sarah@bücher.example");
}

/// Returns for each field values that it refuses.
fn wrong_values() -> [(&'static str, Vec<Value>); 8] {
    let long = "x".repeat(300);
    [
        ("fname", wrong_first_names()),
        (
            "lname",
            vec![json!("-"), json!("Smith-"), json!(["a"]), json!("a".repeat(101)), json!("")],
        ),
        (
            "email",
            vec![
                json!("no at"),
                json!("@gxtest.com"),
                json!("a@b"),
                json!({}),
                json!(format!("{long}@gxtest.com")),
                json!("Sarah <s@gxtest.com>"),
            ],
        ),
        (
            "phoneNum",
            vec![
                json!("0123456790"),
                json!("+1"),
                json!("+999123456789"),
                json!(60_123_456_790_i64),
                json!("+60 abc"),
                json!(format!("+{}", "1".repeat(40))),
                // Valid in Germany, and longer than E.164 allows.
                json!("+4932212345678901"),
            ],
        ),
        (
            "password",
            vec![
                json!("Short1!"),
                json!("x".repeat(257)),
                json!(true),
                json!("passwordpassword"),
                json!("sarah.johnson.at.home"),
                json!("my-gxcoin-is-nice-99"),
            ],
        ),
        ("nationalityCountryCode", vec![json!("ZZ"), json!("MYS"), json!(458), json!("")]),
        (
            "dateOfBirth",
            vec![
                json!("1992-02-30"),
                json!("20-08-1992"),
                json!("1992-8-20"),
                json!("2015-01-01"),
                json!("1800-01-01"),
                json!("2030-01-01"),
                json!(1992),
            ],
        ),
        ("gender", vec![json!("f"), json!(""), json!(1)]),
    ]
}

fn wrong_first_names() -> Vec<Value> {
    let texts = ["", "R2D2", " Sarah", "Anne  Marie", "<b>", "\u{200d}", "\u{301}", "Anne-\u{301}"];
    texts.into_iter().map(Value::from).chain([json!("a".repeat(101)), json!(7)]).collect()
}

/// API-08, SEC-API-06: a field that is wrong, too long, of the wrong type, missing or unknown is
/// refused by its name, and nothing is written.
#[tokio::test]
async fn every_wrong_field_is_refused_by_name_and_nothing_is_written() {
    let host = host().await;
    let before = host.rows().await;
    for (field, values) in wrong_values() {
        for value in values {
            let answer = register(&host, &with(field, value.clone())).await;
            assert_eq!(answer.code(), 400, "{field} = {value}: {}", answer.text);
            assert_eq!(answer.problem(), "validation_failed");
            assert_eq!(answer.pointers(), [format!("/{field}")], "{field} = {value}");
        }
        if !["lname", "phoneNum", "nationalityCountryCode"].contains(&field) {
            let mut body = sarah();
            body.as_object_mut().unwrap().remove(field);
            let answer = register(&host, &body).await;
            assert_eq!((answer.code(), answer.pointers()), (400, vec![&*format!("/{field}")]));
            assert_eq!(answer.json["errors"][0]["code"], "required");
        }
    }
    let answer = register(&host, &with("isAdmin", true)).await;
    assert_eq!((answer.code(), answer.pointers()), (400, vec!["/isAdmin"]));
    let answer = register(&host, &with("phonenum", "+60123456790")).await;
    assert_eq!(answer.json["errors"][0]["message"], "is unknown; did you mean phoneNum?");
    assert_eq!(host.rows().await, before);
}

/// API-08: all wrong fields are named at once.
#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let host = host().await;
    let answer = register(&host, &json!({ "fname": 1, "email": "x", "status": "ACTIVE" })).await;
    assert_eq!(answer.code(), 400);
    let mut pointers = answer.pointers();
    pointers.sort_unstable();
    let expected = ["/dateOfBirth", "/email", "/fname", "/gender", "/password", "/status"];
    assert_eq!(pointers, expected);
    assert!(answer.json["requestId"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(answer.json["instance"], "/api/v1/auth/register");
}

/// SEC-API-07: a body that is not JSON, of another type, or 11 MB long is refused with its reason.
#[tokio::test]
async fn an_unreadable_body_is_refused_and_nothing_is_written() {
    let host = host().await;
    let before = host.rows().await;
    let send = |content_type: &'static str, body: Vec<u8>| {
        host.ask("POST", "/api/v1/auth/register").bytes(content_type, body).send()
    };
    let broken = send("application/json", br#"{"fname": "Sarah", "#.to_vec()).await;
    assert_eq!((broken.code(), broken.problem()), (400, "malformed_json"));
    let list = send("application/json", b"[1, 2]".to_vec()).await;
    assert_eq!((list.code(), list.pointers()), (400, vec![""]));
    let twice = br#"{"fname": "Sarah", "fname": "Eve"}"#.to_vec();
    assert!(send("application/json", twice).await.text.contains("more than once"));
    let form = send("application/x-www-form-urlencoded", b"fname=Sarah".to_vec()).await;
    assert_eq!((form.code(), form.problem()), (415, "unsupported_media_type"));
    let mut large = sarah().to_string().into_bytes();
    large.resize(11 * 1024 * 1024, b' ');
    let large = send("application/json", large).await;
    assert_eq!((large.code(), large.problem()), (413, "body_too_large"));
    assert_eq!(host.rows().await, before);
}

/// API-09: a taken address or phone number gives 409 with its code.
#[tokio::test]
async fn a_taken_address_or_phone_is_a_conflict_with_its_code() {
    let host = host().await;
    assert_eq!(register(&host, &sarah()).await.code(), 200);
    let before = host.rows().await;
    let same = register(&host, &with("phoneNum", "+60123456791")).await;
    assert_eq!((same.code(), same.problem()), (409, "email_taken"));
    let phone = register(&host, &with("email", "other@gxtest.com")).await;
    assert_eq!((phone.code(), phone.problem()), (409, "phone_taken"));
    assert_eq!(host.rows().await, before);
}

/// API-09: a failure of the database reveals no SQL.
#[tokio::test]
async fn a_database_failure_is_a_problem_without_sql() {
    let host = host().await;
    sqlx::query(r#"CREATE RULE broken AS ON INSERT TO "UserSession" DO INSTEAD SELECT 1 / 0"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    let answer = register(&host, &sarah()).await;
    assert_eq!((answer.code(), answer.problem()), (500, "internal"));
    for leaked in ["UserSession", "broken", "division", "INSERT", "sql", "postgres"] {
        assert!(!answer.text.to_lowercase().contains(&leaked.to_lowercase()), "{}", answer.text);
    }
    let rows: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "UserProfile""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(rows, 0, "the person came with the session or not at all");
}

/// AUTHN-05: the whole password is hashed as it was received, also after byte 72.
#[tokio::test]
async fn the_whole_password_counts() {
    let host = host().await;
    let long = format!(" Correct horse battery staple {}", "é".repeat(60));
    let mut body = with("password", long.clone());
    body["phoneNum"] = Value::Null;
    assert_eq!(register(&host, &body).await.code(), 200);
    let log_in = async |password: &str| {
        let body = json!({ "email": "sarah.johnson@gxtest.com", "password": password });
        host.post("/api/v1/auth/login", "", &body).await.code()
    };
    assert_eq!(log_in(&long).await, 200);
    assert_eq!(log_in(long.trim()).await, 401);
    assert_eq!(log_in(&format!("{}e", &long[..long.len() - 'é'.len_utf8()])).await, 401);
    assert_ne!(long, PASSWORD);
    let mut body = with("password", "bell\u{7} and \u{0} are characters too");
    body["email"] = "odd@gxtest.com".into();
    assert_eq!(register(&host, &body).await.code(), 200);
    let login = json!({ "email": "odd@gxtest.com", "password": body["password"] });
    assert_eq!(host.post("/api/v1/auth/login", "", &login).await.code(), 200);
}

#[test]
fn the_documented_fields_are_the_ones_that_are_read() {
    let schema = serde_json::to_value(Registration::schema()).unwrap();
    let mut documented: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let mut read = Fields::names::<Registration>();
    documented.sort_unstable();
    read.sort_unstable();
    assert_eq!(documented, read);
    let required = schema["required"].as_array().unwrap().len();
    assert_eq!(required, 5, "lname, phoneNum and nationalityCountryCode are optional");
}

/// AUTHN-03: a common password, in any case of its letters, and one of the filter file are refused,
/// and the error says why.
#[tokio::test]
async fn common_and_leaked_passwords_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (list, filter) = (folder.path().join("list"), folder.path().join("filter"));
    // The SHA-1 of "four rare words: quince, gable".
    std::fs::write(&list, "5A01CCD2DE96A7E3C368C7388E5A22243AF558FA:2\n").unwrap();
    gx_auth::build_password_filter(&list, &filter).unwrap();
    let settings = HashingSettings { password_filter: Some(filter), ..HashingSettings::default() };
    let hasher = Hasher::new(&settings, gx_serve::Entropy::system()).unwrap();
    let host = TestHost::new(|mut base| {
        base.auth.hasher = hasher;
        service(&IdentitySettings::default(), base)
    })
    .await;
    for (password, code, reason) in [
        ("Password12345678", "password_too_common", "attackers try first"),
        ("aaaaaaaaaaaaaaaaaa", "password_too_common", "attackers try first"),
        ("four rare words: quince, gable", "password_leaked", "data breach of another service"),
    ] {
        let answer = register(&host, &with("password", password)).await;
        assert_eq!((answer.code(), answer.problem()), (400, "validation_failed"), "{password}");
        let error = &answer.json["errors"][0];
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some("/password"), Some(code))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
    assert_eq!(register(&host, &sarah()).await.code(), 200);
}
