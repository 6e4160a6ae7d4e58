//! The list of people and its search, through the router.

use gx_auth::AdminRole;
use gx_auth::testing::TestHost;
use gx_model::AccountStatus;

use crate::tests::host;

async fn named(host: &TestHost, email: &str, first: &str, last: &str) -> String {
    let id = host.add_person(email, AccountStatus::Registered).await;
    let sql =
        r#"UPDATE "UserProfile" SET "firstName" = $2, "lastName" = $3 WHERE "profileId" = $1"#;
    let update = sqlx::query(sql).bind(&id).bind(first).bind(last);
    update.execute(host.database.pool()).await.unwrap();
    id
}

/// Percent-encodes a value of a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// API-15, API-16: people are found by any form of their name and address, also in rows of earlier
/// releases.
#[tokio::test]
async fn people_are_found_in_any_form() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let jose = named(&host, "jose@gxtest.com", "José", "’t Hooft").await;
    let asa = named(&host, "sarah@bücher.example", "A\u{30a}sa", "Öberg").await;
    let nikos = named(&host, "nikos@xn--hxajbheg2az3al.xn--qxam", "Νίκος", "Παπαδόπουλος").await;
    let reza = named(&host, "reza@gxtest.com", "علی\u{200c}رضا", "邉\u{e0100}").await;
    let mut conn = host.database.connection().await;
    gx_auth::email::mailboxes::fill(&mut conn).await.unwrap();
    for (text, found) in [
        ("josé", &jose),
        ("JOSE\u{301}", &jose),
        ("Ｊｏｓé", &jose),
        (" JOSE@GXTEST.COM ", &jose),
        ("t hooft", &jose),
        ("josé ’t", &jose),
        ("åsa", &asa),
        ("ÅSA ÖBERG", &asa),
        ("öberg", &asa),
        ("sarah@bücher.example", &asa),
        ("SARAH@BU\u{308}CHER.example", &asa),
        ("sarah@xn--bcher-kva.example", &asa),
        ("xn--bcher", &asa),
        ("νίκος", &nikos),
        ("ΝΊΚΟΣ", &nikos),
        ("علی\u{200c}رضا", &reza),
        ("علیرضا", &reza),
        ("邉", &reza),
        ("ΠΑΠΑΔΌΠΟΥΛΟ", &nikos),
        ("nikos@παράδειγμα.ελ", &nikos),
    ] {
        let path = format!("/api/v1/admin/users?q={}", encoded(text));
        let answer = host.get(&path, &token).await;
        let items = answer.json["items"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
        let ids: Vec<_> = items.iter().map(|item| item["profileId"].as_str().unwrap()).collect();
        assert_eq!(ids, [found], "{text}");
    }
    let answer = host.get("/api/v1/admin/users?q=nobody", &token).await;
    assert_eq!(answer.json["items"].as_array().unwrap().len(), 0);
    let long = format!("/api/v1/admin/users?q={}", encoded(&"é".repeat(101)));
    assert_eq!(host.get(&long, &token).await.code(), 400);
}

/// API-15: people who have one name are shown with one name.
#[tokio::test]
async fn people_with_one_name_are_shown_with_one() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Auditor).await.access_token;
    let id = named(&host, "suharto@gxtest.com", "Suharto", "").await;
    let list = host.get("/api/v1/admin/users?q=suharto", &token).await;
    assert!(list.has_null_at("/items/0/lastName"), "{}", list.text);
    let one = host.get(&format!("/api/v1/admin/users/{id}"), &token).await;
    assert!(one.has_null_at("/user/lastName"), "{}", one.text);
}

/// API-16: an administrator signs in with any spelling of the address.
#[tokio::test]
async fn an_administrator_signs_in_with_any_spelling() {
    let host = host().await;
    let mut conn = host.database.connection().await;
    let new = crate::NewAdministrator {
        email: " Admin@Bücher.example ".to_owned(),
        display_name: "A".to_owned(),
        role: AdminRole::Admin,
        password: gx_auth::NewPassword::new("four random words here").unwrap(),
    };
    let (hasher, entropy) = (&host.base.auth.hasher, &host.base.entropy);
    let now = host.clock.now();
    crate::create_administrator(&mut conn, hasher, entropy, &new, "test", now).await.unwrap();
    for email in
        ["admin@bücher.example", "ADMIN@xn--bcher-kva.example", " admin@bu\u{308}cher.example"]
    {
        let body = serde_json::json!({ "email": email, "password": "four random words here" });
        let answer = host.post("/api/v1/admin/auth/login", "", &body).await;
        assert_eq!(answer.code(), 200, "{email}: {}", answer.text);
    }
    let wrong = crate::NewAdministrator { email: "admin@127.0.0.1".to_owned(), ..new };
    let refused =
        crate::create_administrator(&mut conn, hasher, entropy, &wrong, "test", now).await;
    assert!(matches!(refused, Err(crate::CreateError::Email(_))), "{refused:?}");
}
