//! People who are erased: by themselves and the time after, by an operator, and again after a
//! restore of the database.

use std::path::Path;
use std::process::{Command, Output};

use gx_documents::testing::passport_form;
use gx_testkit::eventually;
use gx_testkit::http::request;
use gx_testkit::story::{PASSWORD, Person, registration};
use http::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::stack::{BOUND, Stack};

/// Registers a person with a passport, and returns the person and the route of its page.
async fn person_with_passport(stack: &Stack, n: u32) -> (Person, String) {
    let gx = stack.gx();
    let person = gx.register(n).await;
    let passport = gx.identity.hand_in(&person.token, passport_form()).await.expect(201);
    let (id, document) = (&person.profile_id, passport.str("/documentId"));
    let page = format!("/api/v1/admin/users/{id}/documents/{document}/pages/1?purpose=KYC_REVIEW");
    (person, page)
}

async fn close(stack: &Stack, person: &Person) {
    let (path, proof) = ("/api/v1/users/me/close", json!({ "password": PASSWORD }));
    stack.gx().identity.post(path, Some(&person.token), &proof).await.expect(202);
}

/// Returns whether the database has the person as erased: the account, the documents and the
/// record.
async fn is_erased(sql: &mut PgConnection, person: &Person) -> bool {
    sqlx::query_scalar(
        r#"SELECT EXISTS (SELECT FROM "UserProfile" WHERE "profileId" = $1 AND status = 'CLOSED'
                          AND "deletedAt" IS NOT NULL)
              AND EXISTS (SELECT FROM "PersonErasure" WHERE "profileId" = $1)
              AND NOT EXISTS (SELECT FROM "KYCDocument" WHERE "profileId" = $1
                              AND ("wrappedKey" IS NOT NULL OR "erasedAt" IS NULL))"#,
    )
    .bind(&person.profile_id)
    .fetch_one(sql)
    .await
    .unwrap()
}

/// Returns the number of files below a folder, which may be removed meanwhile.
fn files_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path) } else { 1 }
    };
    entries.map(count).sum()
}

/// CRY-03, G10, PRIV-01: a person closes the account and is erased; then the database's folder is
/// replaced by a copy from before. The start erases the person again before it serves: nobody signs
/// in, and nobody sees the document.
#[tokio::test(flavor = "multi_thread")]
async fn cry_03_a_copy_of_the_database_brings_no_erased_person_back() {
    let mut stack = Stack::start().await;
    let (person, page) = person_with_passport(&stack, 1).await;
    stack.gx().admin.get(&page, &stack.admin_token().await).await.expect(200);
    assert!(stack.interrupt().await.success());
    let (folder, copy) = (stack.data_dir().join("postgres"), stack.data_dir().join("copy"));
    let copied = Command::new("cp").arg("-a").arg(&folder).arg(&copy).status().unwrap();
    assert!(copied.success());

    stack.run().await;
    close(&stack, &person).await;
    let sql = tokio::sync::Mutex::new(stack.sql().await);
    eventually("the person is erased", BOUND, async || {
        is_erased(&mut *sql.lock().await, &person).await.then_some(())
    })
    .await;
    drop(sql);
    assert!(stack.interrupt().await.success());
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&copy, &folder).unwrap();

    stack.run().await;
    assert!(is_erased(&mut stack.sql().await, &person).await, "the start has erased the person");
    let credentials = json!({ "email": registration(1)["email"], "password": PASSWORD });
    let sign_in = stack.gx().identity.post("/api/v1/auth/login", None, &credentials).await;
    sign_in.expect(401);
    stack.gx().identity.get("/api/v1/users/me", &person.token).await.expect(401);
    stack.gx().admin.get(&page, &stack.admin_token().await).await.expect(410);
    let documents = stack.data_dir().join("documents/documents");
    eventually("the files are removed", BOUND, async || {
        (files_below(&documents) == 0).then_some(())
    })
    .await;
}

/// A running stack that keeps documents for a hundred years, and commands on it.
struct Office {
    stack: Stack,
}

impl Office {
    async fn open() -> Self {
        let days = ("GX_RETENTION_DOCUMENTS_DAYS".to_owned(), "36500".to_owned());
        let mut stack = Stack::with_settings(vec![days]);
        stack.run().await;
        Self { stack }
    }

    /// Runs a command that knows the database and the two stores.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.without_stores(args);
        for name in ["GX_DOCUMENT_STORE", "GX_KEY_STORE"] {
            command.env(name, self.stack.env(name));
        }
        command.output().unwrap()
    }

    /// Returns a command that knows the database alone.
    fn without_stores(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
        command.args(args).arg("--json").env("DATABASE_URL", self.stack.env("DATABASE_URL"));
        command
    }

    /// Runs a command that must fail, and returns its standard error.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Sets or ends a legal hold.
    async fn legal_hold(&self, method: Method, person: &Person) {
        let path = format!("/api/v1/admin/users/{}/legal-hold", person.profile_id);
        let token = self.stack.admin_token().await;
        let reason = json!({ "reason": "a drill" });
        let request = request(method, &path, Some(&token), Some(&reason));
        self.stack.gx().admin.send(request).await.expect(200);
    }
}

fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns how many people a run of the retention says that it has erased, or would erase.
fn people_of(output: &Output) -> u64 {
    let tables: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut tables = tables.as_array().unwrap().iter();
    let people = tables.find(|table| table["table"] == "UserProfile").unwrap();
    people["rows"].as_u64().unwrap()
}

/// PRIV-01, CRY-03: an operator erases a person whose account is closed, at once and for good, and
/// is told until when backups have the key. An open account and a legal hold are refused. The
/// retention counts people in a dry run, leaves a legal hold alone, and erases them once it has
/// ended.
#[tokio::test(flavor = "multi_thread")]
async fn priv_01_an_operator_erases_people_and_a_legal_hold_prevents_it() {
    let office = Office::open().await;
    let stack = &office.stack;
    let (asking, _) = person_with_passport(stack, 1).await;
    let (held, _) = person_with_passport(stack, 2).await;
    let erase = |person: &Person| -> Vec<String> {
        ["erase", &person.profile_id, "--reason", "asked for by letter"].map(str::to_owned).to_vec()
    };
    let (erase_asking, erase_held) = (erase(&asking), erase(&held));
    let erase_asking: Vec<&str> = erase_asking.iter().map(String::as_str).collect();
    let erase_held: Vec<&str> = erase_held.iter().map(String::as_str).collect();

    assert!(office.refused(&erase_asking).contains("is not closed"));
    assert!(office.refused(&["erase", "nobody", "--reason", "x"]).contains("no account"));
    close(stack, &asking).await;
    close(stack, &held).await;
    office.legal_hold(Method::POST, &held).await;
    let erased = printed(&office.run(&erase_asking));
    assert_eq!(erased["profileId"], asking.profile_id.as_str());
    assert_eq!(erased["reasonCode"], "REQUESTED");
    assert!(
        erased["keyBackupsUntil"].as_str().unwrap() > &erased["erasedAt"].as_str().unwrap()[..10]
    );
    let mut sql = stack.sql().await;
    assert!(is_erased(&mut sql, &asking).await);
    assert!(office.refused(&erase_asking).contains("erased before"));
    assert!(office.refused(&erase_held).contains("legal hold"));
    let reasons: Vec<String> = sqlx::query_scalar(
        r#"SELECT t.text FROM "AuditText" t JOIN "AuditEntry" e USING (seq)
           WHERE e.action = 'user.erased'"#,
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(reasons, ["asked for by letter"]);

    let now = ["retention", "run", "--retention-documents-days=0"];
    let dry = [&now[..], &["--dry-run"]].concat();
    assert_eq!(people_of(&office.run(&dry)), 0, "a legal hold is not counted");
    assert_eq!(people_of(&office.run(&now)), 0);
    office.legal_hold(Method::DELETE, &held).await;
    assert_eq!(people_of(&office.run(&dry)), 1);
    let without = office.without_stores(&now).output().unwrap();
    assert_eq!((without.status.code(), people_of(&without)), (Some(1), 0));
    let said = String::from_utf8(without.stderr).unwrap();
    assert!(said.contains("set GX_DOCUMENT_STORE and GX_KEY_STORE"), "{said}");
    let done = office.run(&now);
    assert!(done.status.success());
    assert_eq!(people_of(&done), 1);
    assert!(is_erased(&mut sql, &held).await);
    assert_eq!(files_below(&stack.data_dir().join("documents/documents")), 0);
    assert_eq!(files_below(&stack.data_dir().join("documents/erasures")), 2);
}
