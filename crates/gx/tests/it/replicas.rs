//! Several processes of one service that share a database: what one does holds for the next request
//! to each other one.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use gx_db::testing::TestServer;
use gx_documents::testing::{passport_form, selfie_form};
use gx_testkit::eventually;
use gx_testkit::http::request;
use gx_testkit::story::{PASSWORD, ServiceEndpoint, registration};
use http::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::role::{Role, master_keys};
use crate::roles::{create_administrator, migrated_server};
use crate::stack::BOUND;

const ME: &str = "/api/v1/users/me";

/// Two processes of svc-identity and one of svc-admin.
struct Replicas {
    identities: [Role; 2],
    admin: Role,
    admin_token: String,
    server: TestServer,
}

/// A person with an access token of each replica.
struct Person {
    number: u32,
    id: String,
    tokens: [String; 2],
}

impl Replicas {
    async fn start() -> Self {
        let server = migrated_server().await;
        let password = create_administrator(&server);
        let identities = [(); 2].map(|()| Role::start("svc-identity", &server.url(), &[]));
        let admin = Role::start("svc-admin", &server.url(), &[]);
        for role in identities.iter().chain([&admin]) {
            role.wait_for_readyz(200).await;
        }
        let credentials = json!({ "email": "ada@gx.example", "password": password });
        let log_in = ServiceEndpoint::Tcp(admin.address);
        let signed_in = log_in.post("/api/v1/admin/auth/login", None, &credentials).await;
        let admin_token = signed_in.expect(200).str("/accessToken").to_owned();
        Self { identities, admin, admin_token, server }
    }

    fn identity(&self, replica: usize) -> ServiceEndpoint {
        ServiceEndpoint::Tcp(self.identities[replica].address)
    }

    /// Registers person number `number` at the first replica and signs in at the second.
    async fn person(&self, number: u32) -> Person {
        let (identity, body) = (self.identity(0), registration(number));
        let registered = identity.post("/api/v1/auth/register", None, &body).await.expect(200);
        let second = self.log_in(1, number).await;
        let first = registered.str("/accessToken").to_owned();
        let id = registered.str("/user/profileId").to_owned();
        let person = Person { number, id, tokens: [first, second] };
        for replica in [0, 1] {
            for token in &person.tokens {
                self.identity(replica).get(ME, token).await.expect(200);
            }
        }
        person
    }

    async fn log_in(&self, replica: usize, number: u32) -> String {
        let body = json!({ "email": registration(number)["email"], "password": PASSWORD });
        let reply = self.identity(replica).post("/api/v1/auth/login", None, &body).await;
        reply.expect(200).str("/accessToken").to_owned()
    }

    async fn administrate(&self, path: &str, body: &Value) {
        let admin = ServiceEndpoint::Tcp(self.admin.address);
        let reply = admin.post(path, Some(&self.admin_token), body).await;
        assert!(reply.status.is_success(), "{path}: {}", reply.text);
    }

    async fn sql(&self, sql: String) {
        let mut conn = PgConnection::connect(&self.server.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    }

    /// Sets the status of an account step by step, as the rules of the table demand.
    async fn set_status(&self, person: &Person, path: &[&str]) {
        let set = |status: &&str| {
            let id = &person.id;
            format!(r#"UPDATE "UserProfile" SET status = '{status}' WHERE "profileId" = '{id}';"#)
        };
        self.sql(path.iter().map(set).collect()).await;
    }

    /// Checks that the very next request with each token is refused by both replicas, and prints
    /// how long that took.
    async fn refuse(&self, what: &str, tokens: &[&String]) {
        let since = Instant::now();
        let mut slowest = Duration::ZERO;
        for token in tokens {
            for replica in [0, 1] {
                let reply = self.identity(replica).get(ME, token).await;
                slowest = slowest.max(since.elapsed());
                assert_eq!(reply.status.as_u16(), 401, "{what}, replica {replica}: {}", reply.text);
            }
        }
        eprintln!("{what}: refused by both replicas after {} ms", slowest.as_millis());
    }
}

/// SESS-02, G6: an account that is locked, denied for good, closed or suspended is refused on the
/// next request by each of two processes, whichever of them has opened the session.
#[tokio::test(flavor = "multi_thread")]
async fn sess_02_every_replica_refuses_a_closed_account_on_the_next_request() {
    let replicas = Replicas::start().await;
    let people = [
        replicas.person(1).await,
        replicas.person(2).await,
        replicas.person(3).await,
        replicas.person(4).await,
    ];
    let [locked, denied, closed, suspended] = &people;

    let path = format!("/api/v1/admin/users/{}/lock", locked.id);
    replicas.administrate(&path, &json!({ "reason": "a drill" })).await;
    replicas.refuse("locked", &locked.tokens.each_ref()).await;

    for form in [passport_form(), selfie_form()] {
        replicas.identity(0).hand_in(&denied.tokens[0], form).await.expect(201);
    }
    let submit = "/api/v1/users/me/kyc/submit";
    let submitted = replicas.identity(1).post(submit, Some(&denied.tokens[0]), &json!({})).await;
    submitted.expect(200);
    let path = format!("/api/v1/admin/users/{}/deny", denied.id);
    let denial = json!({ "reasonCode": "DOCUMENT_FORGED", "finality": "FINAL" });
    replicas.administrate(&path, &denial).await;
    replicas.refuse("denied", &denied.tokens.each_ref()).await;

    replicas.set_status(closed, &["CLOSED"]).await;
    replicas.refuse("closed", &closed.tokens.each_ref()).await;
    let active = ["PENDING_ADMIN_APPROVAL", "APPROVED_PENDING_ONCHAIN", "ACTIVE", "SUSPENDED"];
    replicas.set_status(suspended, &active).await;
    replicas.refuse("suspended", &suspended.tokens.each_ref()).await;
}

/// SESS-02, SESS-03: a session that its owner or an administrator has ended is refused on the next
/// request by each of two processes, and so are all sessions after a sign-out everywhere and after
/// a change of the password. Other sessions go on.
#[tokio::test(flavor = "multi_thread")]
async fn sess_02_every_replica_refuses_an_ended_session_on_the_next_request() {
    let replicas = Replicas::start().await;
    let mut person = replicas.person(1).await;
    let sessions = replicas.identity(0).get("/api/v1/users/me/sessions", &person.tokens[1]).await;
    let items = sessions.json["items"].as_array().unwrap();
    let other = items.iter().find(|item| item["isCurrent"] == false).unwrap();
    let path = format!("/api/v1/users/me/sessions/{}", other["sessionId"].as_str().unwrap());
    let end = request(Method::DELETE, &path, Some(&person.tokens[1]), None);
    replicas.identity(1).send(end).await.expect(204);
    replicas.refuse("ended by its owner", &[&person.tokens[0]]).await;
    for replica in [0, 1] {
        replicas.identity(replica).get(ME, &person.tokens[1]).await.expect(200);
    }

    person.tokens[0] = replicas.log_in(0, person.number).await;
    let everywhere = "/api/v1/auth/logout-all";
    let signed_out =
        replicas.identity(0).post(everywhere, Some(&person.tokens[0]), &json!({})).await;
    signed_out.expect(204);
    replicas.refuse("signed out everywhere", &person.tokens.each_ref()).await;

    person.tokens = [replicas.log_in(0, 1).await, replicas.log_in(1, 1).await];
    let path = format!("/api/v1/admin/users/{}/sessions", person.id);
    let end = request(Method::DELETE, &path, Some(&replicas.admin_token), None);
    ServiceEndpoint::Tcp(replicas.admin.address).send(end).await.expect(204);
    replicas.refuse("ended by an administrator", &person.tokens.each_ref()).await;

    person.tokens = [replicas.log_in(0, 1).await, replicas.log_in(1, 1).await];
    let change =
        json!({ "currentPassword": PASSWORD, "newPassword": "four rare words: quince, gable" });
    let path = "/api/v1/auth/password/change";
    replicas.identity(1).post(path, Some(&person.tokens[0]), &change).await.expect(204);
    replicas.refuse("password changed", &person.tokens.each_ref()).await;
}

/// Runs `gx keys signing` on the database of a server.
fn signing(server: &TestServer, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gx"))
        .args(["--json", "keys", "signing"])
        .args(args)
        .env("DATABASE_URL", server.url())
        .env("GX_MASTER_KEY_FILE", master_keys())
        .output()
        .unwrap()
}

/// Returns the printed JSON of a command that succeeded.
fn printed(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the header of a token, which names the key.
fn header(token: &str) -> &str {
    token.split_once('.').unwrap().0
}

/// TOK-03: a command replaces the signing key while two processes run. The new key is published
/// before it signs, each process accepts the tokens of the other one and those of the key before,
/// and neither is restarted.
#[tokio::test(flavor = "multi_thread")]
async fn tok_03_two_processes_replace_their_signing_key_while_they_run() {
    let server = migrated_server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token-key.pem");
    gx_auth::create_key_file(&file).unwrap();
    let settings = [("GX_TOKEN_KEY_FILE".to_owned(), file.display().to_string())];
    let mut roles = [(); 2].map(|()| Role::start("svc-identity", &server.url(), &settings));
    for role in &roles {
        role.wait_for_readyz(200).await;
    }
    let [one, two] = roles.each_ref().map(|role| ServiceEndpoint::Tcp(role.address));
    let registered = one.post("/api/v1/auth/register", None, &registration(1)).await.expect(200);
    let before = registered.str("/accessToken");

    // No key is added while another one waits for its time, but that one can be retired.
    let waiting = printed(&signing(&server, &["rotate", "--after", "1h"]));
    let again = signing(&server, &["rotate"]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("does not sign yet"), "{said}");
    let published = two.get("/.well-known/jwks.json", "").await.expect(200);
    let ids = published.json["keys"].as_array().unwrap().iter().map(|key| &key["kid"]);
    let ids: Vec<&Value> = ids.collect();
    assert_eq!((ids.len(), ids[1]), (2, &waiting["keyId"]));
    let id = waiting["keyId"].as_str().unwrap();
    let retired = signing(&server, &["retire", id, "--reason", "a drill"]);
    assert!(retired.status.success(), "{}", String::from_utf8_lossy(&retired.stderr));
    let added = printed(&signing(&server, &["rotate", "--after", "2s"]));

    let log_in = async |service: &ServiceEndpoint| {
        let body = json!({ "email": registration(1)["email"], "password": PASSWORD });
        let reply = service.post("/api/v1/auth/login", None, &body).await;
        reply.expect(200).str("/accessToken").to_owned()
    };
    let after = eventually("the new key signs", BOUND, async || {
        let token = log_in(&two).await;
        (header(&token) != header(before)).then_some(token)
    })
    .await;
    for service in [&one, &two] {
        service.get(ME, &after).await.expect(200);
        service.get(ME, before).await.expect(200);
    }
    assert_eq!(header(&log_in(&one).await), header(&after));
    assert!(roles.iter_mut().all(Role::is_alive));

    let listed = printed(&signing(&server, &["list"]));
    assert_eq!((&listed[0]["keyId"], &listed[0]["state"]), (&added["keyId"], &json!("SIGNING")));
    let id = added["keyId"].as_str().unwrap();
    let signs = signing(&server, &["retire", id, "--reason", "a drill"]);
    assert!(String::from_utf8_lossy(&signs.stderr).contains("add another one"));
}
