//! Commands of operators about people's e-mail addresses and ids.

use std::process::{Command, Output};

use gx_db::testing::TestServer;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::roles::migrated_server;

fn gx(server: Option<&TestServer>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
    if let Some(server) = server {
        command.env("DATABASE_URL", server.url());
    }
    command.args(args).output().unwrap()
}

fn json_of(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// API-16: the migration names accounts that share a mailbox, by their ids only, and does not
/// change them; a second run prints the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_migration_names_accounts_that_share_a_mailbox() {
    let server = migrated_server().await;
    let mut sql = PgConnection::connect(&server.url()).await.unwrap();
    for (id, email) in [
        ("p1", "sarah@bücher.example"),
        ("p2", "sarah@xn--bcher-kva.example"),
        ("p3", "do\u{308}rte@gxtest.com"),
        ("p4", "eve@127.0.0.1"),
    ] {
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "createdAt", "updatedAt")
               VALUES ($1, 'A', 'B', $2, 'x', '1992-08-20', 'female', now(), now())"#,
        )
        .bind(id)
        .bind(email)
        .execute(&mut sql)
        .await
        .unwrap();
    }
    for added in [1, 0] {
        let output = gx(Some(&server), &["--json", "db", "migrate"]);
        let report = json_of(&output);
        assert_eq!(report["mailboxesAdded"], added);
        assert_eq!(report["sharedMailboxes"], json!([{ "profileId": "p1", "owner": "p2" }]));
        assert_eq!(report["unmailableAddresses"], json!(["p4"]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("profiles p1 and p2 have one mailbox"), "{said}");
        assert!(
            said.contains("profile p4 has an e-mail address that cannot be mailed to"),
            "{said}"
        );
        assert!(!said.contains("sarah"), "{said}");
    }
    let emails: Vec<(String, Option<String>)> =
        sqlx::query_as(r#"SELECT email, mailbox FROM "UserProfile" ORDER BY "profileId""#)
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let expected = [
        ("sarah@bücher.example", None),
        ("sarah@xn--bcher-kva.example", None),
        ("do\u{308}rte@gxtest.com", Some("dörte@gxtest.com")),
        ("eve@127.0.0.1", None),
    ];
    let expected = expected.map(|(email, form)| (email.to_owned(), form.map(str::to_owned)));
    assert_eq!(emails, expected);
}

/// FAB-14: an operator may paste an id in any form; the output has its one form.
#[test]
fn an_id_is_pasted_into_a_command() {
    let pasted = "\u{202a}my\u{a0}463\u{a0}aun834 0qkzb5821\u{202c}";
    let decoded = json_of(&gx(None, &["--json", "id", "decode", pasted]));
    assert_eq!(decoded["birthDate"], "1992-08-20");
    let facts =
        ["--email", "Sarah.Johnson@gxtest.com", "--birth-date", "1992-08-20", "--country", "MY"];
    let args = [&["--json", "id", "verify", pasted][..], &facts].concat();
    let verified = json_of(&gx(None, &args));
    assert_eq!(verified["fabricUserId"], "MY 463 AUN834 0QKZB 5821");
    let refused = gx(None, &["id", "decode", "MY 463"]);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("CC CCC AAANNN TCCCC NNNN"), "{said}");
}
