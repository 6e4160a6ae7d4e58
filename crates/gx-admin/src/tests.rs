//! Rules for all routes of the service, and the sessions of administrators.

use gx_auth::testing::{EXAMPLE_ID, PASSWORD, TestHost};
use gx_auth::{AdminRole, Foundation, NewPassword, audit};
use gx_db::AdminId;
use gx_documents::testing::{documents_in, echo_program};
use gx_documents::{Documents, RequiredDocuments};
use gx_identity::IdentitySettings;
use gx_model::AccountStatus;
use gx_serve::conformity::check_document;
use gx_serve::{RateLimitSettings, RouteAccess, RouteInfo, RouteLimit, Service};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    AdminSettings, CreateError, NewAdministrator, ReviewSettings, create_administrator, service,
};

pub(crate) fn settings() -> AdminSettings {
    AdminSettings {
        biometric_key: "a biometric key of 32 bytes, or more".into(),
        kyc_required_documents: RequiredDocuments::default(),
        review: ReviewSettings::default(),
    }
}

pub(crate) async fn host() -> TestHost {
    TestHost::new(service_of).await
}

/// Returns the service, as one of several replicas with the same database.
pub(crate) fn service_of(base: Foundation) -> Service {
    let documents = no_documents(&base);
    service(&settings(), base, documents)
}

/// Returns documents for tests that use none: their folders are removed at once.
pub(crate) fn no_documents(base: &Foundation) -> Documents {
    let folder = tempfile::tempdir().unwrap();
    let ring = base.key_ring.clone();
    documents_in(folder.path(), ring, &base.clock, &base.entropy, echo_program())
}

/// Returns svc-identity with the resources of a host, in which a review needs no document.
pub(crate) fn identity(host: &TestHost) -> Service {
    let settings = IdentitySettings {
        kyc_required_documents: RequiredDocuments::none(),
        ..IdentitySettings::default()
    };
    gx_identity::service(&settings, host.base.clone(), no_documents(&host.base))
}

/// LOG-03: entries of the audit log have ids and codes, and nothing that an administrator has
/// written about a person: reasons and notes are apart, and are shown until they are erased.
#[tokio::test]
async fn log_03_what_administrators_write_is_not_in_the_entries() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let written = json!({ "reason": "seen in the tavern", "notes": "asked her neighbour" });
    let reason = json!({ "reason": written["reason"] });
    let dry = json!({ "reason": written["reason"], "dryRun": true });
    for (path, body) in [
        (format!("users/{id}/lock"), &written),
        (format!("users/{id}/unlock"), &written),
        (format!("users/{id}/factors/reset"), &reason),
        ("projection/verify".to_owned(), &reason),
        ("projection/rebuild".to_owned(), &dry),
        ("dead-events/replay".to_owned(), &reason),
    ] {
        let answer = host.post(&format!("/api/v1/admin/{path}"), &token, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }
    let entries: String =
        sqlx::query_scalar(r#"SELECT string_agg(e::text, '') FROM "AuditEntry" e"#)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    assert!(!entries.contains("tavern") && !entries.contains("neighbour"), "{entries}");
    let texts: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "AuditText""#)
        .fetch_one(host.database.pool())
        .await
        .unwrap();
    assert_eq!(texts, 8);

    let by = (audit::Actor::System("a test"), "asked for");
    let (about, now) = (audit::TextSelection::About(&id), host.clock.now());
    let mut conn = host.base.connection().await.unwrap();
    audit::erase(&mut conn, about, by, &host.base.entropy, now).await.unwrap();
    drop(conn);
    let log = host.get("/api/v1/admin/audit", &token).await;
    assert!(log.text.contains("tavern") && !log.text.contains("neighbour"), "{}", log.text);
    let unlocked = &log.json["items"][5];
    assert_eq!(unlocked["action"], "user.unlocked");
    assert_eq!(unlocked["after"], json!({ "isLocked": false, "reason": null, "notes": null }));
    assert_eq!(unlocked["erasedTexts"], json!(["notes", "reason"]));
    assert_eq!(log.json["items"][0]["after"]["reason"], "asked for");
    assert_eq!(log.json["items"][0]["erasedTexts"], json!([]));
}

/// The problems of the authorization. Handlers answer with status 403, too, such as to a change of
/// passkeys without the password.
const UNAUTHORIZED: [&str; 2] = ["unauthenticated", "forbidden"];

/// API-01, SEC-API-06: every route needs a token with its role. Without a token or with a person's
/// token it answers 401, with each lower role 403; only sign-in and refresh are public, and a token
/// that enrols a second factor opens nothing else.
#[tokio::test]
async fn every_route_needs_its_role() {
    let host = host().await;
    let person = host.add_person("sarah@gxtest.com", AccountStatus::Active).await;
    let person = host.session_of(&person).await.access_token;
    let tokens = token_of_each_role(&host).await;
    let mut conn = host.base.connection().await.unwrap();
    let (sessions, enrolling) = (&host.base.auth.sessions, admin_id(&host).await);
    let enrolling = sessions.enrolment_token(&mut conn, &enrolling, "none").await.unwrap();
    drop(conn);
    let (mut public, mut enrols) = (Vec::new(), Vec::new());
    for RouteInfo { method, path, access, .. } in &host.service.routes {
        let segments = path.split('/');
        let named = segments.map(|part| if part.starts_with('{') { "nobody" } else { part });
        let url = named.collect::<Vec<_>>().join("/");
        let ask = async |token: &str| host.ask(method, &url).token(token).send().await.code();
        let least = match access {
            RouteAccess::Public => {
                public.push(path.as_str());
                continue;
            }
            RouteAccess::AdminEnrolling => {
                enrols.push(format!("{method} {path}"));
                AdminRole::Auditor
            }
            RouteAccess::Admin(role) => AdminRole::from_name(role).unwrap(),
            other => panic!("{path} is open to {other:?}"),
        };
        assert_eq!(ask("").await, 401, "{method} {path}");
        assert_eq!(ask(&person).await, 401, "{method} {path}");
        for (role, token) in &tokens {
            if role.includes(least) {
                continue;
            }
            assert_eq!(ask(token).await, 403, "{method} {path} for {}", role.name());
        }
        let refused = [401, 403].contains(&ask(enrolling.expose_secret()).await);
        assert_eq!(refused, *access != RouteAccess::AdminEnrolling, "{method} {path} enrolling");
        if path != "/api/v1/admin/auth/logout" {
            let answer = host.ask(method, &url).token(&tokens[3].1).send().await;
            assert!(!UNAUTHORIZED.contains(&answer.problem()), "{method} {path}");
        }
    }
    assert_eq!(
        public,
        [
            "/api/v1/admin/auth/email/verification",
            "/api/v1/admin/auth/email/verify",
            "/api/v1/admin/auth/password/forgot",
            "/api/v1/admin/auth/password/reset",
            "/api/v1/admin/auth/login",
            "/api/v1/admin/auth/passkeys/options",
            "/api/v1/admin/auth/passkeys",
            "/api/v1/admin/auth/refresh",
        ]
    );
    assert_eq!(
        enrols,
        [
            "GET /api/v1/admin/me/totp",
            "POST /api/v1/admin/me/totp",
            "POST /api/v1/admin/me/totp/confirm",
            "POST /api/v1/admin/me/totp/recovery-codes",
            "POST /api/v1/admin/me/totp/disable",
            "GET /api/v1/admin/me/passkeys",
            "POST /api/v1/admin/me/passkeys",
            "POST /api/v1/admin/me/passkeys/options",
            "DELETE /api/v1/admin/me/passkeys/{id}",
        ]
    );
}

/// Returns an administrator's token for each role.
async fn token_of_each_role(host: &TestHost) -> Vec<(AdminRole, String)> {
    let mut tokens = Vec::new();
    for role in AdminRole::ALL {
        tokens.push((role, host.add_administrator(role).await.access_token));
    }
    tokens
}

async fn admin_id(host: &TestHost) -> AdminId {
    let sql = r#"SELECT "adminId" FROM "AdminUser" LIMIT 1"#;
    let id: String = sqlx::query_scalar(sql).fetch_one(host.database.pool()).await.unwrap();
    id.into()
}

/// SEC-API-08: a method that is not declared, TRACE included, is answered with 405 and the declared
/// ones.
#[tokio::test]
async fn methods_that_are_not_declared_are_refused() {
    let host = host().await;
    for (method, path, allow) in [
        ("DELETE", "/api/v1/admin/users", "GET,HEAD"),
        ("TRACE", "/api/v1/admin/users", "GET,HEAD"),
        ("GET", "/api/v1/admin/users/1/approve", "POST"),
    ] {
        let answer = host.ask(method, path).send().await;
        assert_eq!(
            (answer.code(), answer.problem()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        assert_eq!(answer.headers["allow"], allow);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let answer = host.get("/api/v1/admin/nothing", "").await;
    assert_eq!((answer.code(), answer.problem()), (404, "not_found"));
}

/// CFG-05 (routes): each path belongs to exactly one of the three services, and the edge serves the
/// two public ones.
#[tokio::test]
async fn each_path_has_one_owner_over_all_services() {
    let host = host().await;
    let identity = identity(&host);
    let tokenomics = gx_tokenomics::service(host.base.clone());
    let all = [&host.service, &identity, &tokenomics];
    gx_serve::check_owners(all.iter().flat_map(|service| &service.routes)).unwrap();
    let request_layer =
        || gx_serve::RequestLayer::new("edge", host.clock.clone(), host.base.entropy.clone());
    assert!(gx_serve::edge(&[&identity, &tokenomics], request_layer()).is_ok());

    let mut stolen = identity.clone();
    stolen.routes.push(RouteInfo {
        method: "GET".to_owned(),
        path: "/api/v1/treasury/{country}".to_owned(),
        service: gx_identity::SERVICE,
        access: RouteAccess::Public,
        limit: None,
    });
    let conflict = gx_serve::edge(&[&stolen, &tokenomics], request_layer()).unwrap_err();
    assert!(conflict.to_string().contains("is claimed by svc-identity and by svc-tokenomics"));
}

#[tokio::test]
async fn an_administrator_is_created_signs_in_and_signs_out() {
    let host = host().await;
    let new = NewAdministrator {
        email: "Admin@GXtest.com".to_owned(),
        display_name: "First".to_owned(),
        role: AdminRole::SuperAdmin,
        password: NewPassword::new(PASSWORD).unwrap(),
    };
    let mut conn = host.base.connection().await.unwrap();
    assert!(!crate::has_administrators(&mut conn).await.unwrap());
    let (hasher, entropy) = (&host.base.auth.hasher, &host.base.entropy);
    let now = host.clock.now();
    create_administrator(&mut conn, hasher, entropy, &new, "test", now).await.unwrap();
    assert!(crate::has_administrators(&mut conn).await.unwrap());
    let again = create_administrator(&mut conn, hasher, entropy, &new, "test", now).await;
    assert!(matches!(again, Err(CreateError::Exists(email)) if email == "admin@gxtest.com"));

    let log_in = async |password: &str| {
        let body = json!({ "email": "admin@gxtest.com", "password": password });
        host.post("/api/v1/admin/auth/login", "", &body).await
    };
    assert_eq!(log_in("WrongPassword123!").await.problem(), "invalid_credentials");
    let answer = log_in(PASSWORD).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    assert_eq!(answer.json["admin"]["role"], "SUPER_ADMIN");
    let refresh = json!({ "refreshToken": answer.text_at("/refreshToken") });
    let fresh = host.post("/api/v1/admin/auth/refresh", "", &refresh).await;
    let token = fresh.text_at("/accessToken");
    assert_eq!(host.get("/api/v1/admin/users", token).await.code(), 200);
    let answer = host.post("/api/v1/admin/auth/logout", token, &json!({})).await;
    assert_eq!(answer.code(), 204);
    assert_eq!(host.get("/api/v1/admin/users", token).await.code(), 401);
}

/// SEC-API-03, API-05: every route has the fields of its limit. A new route is in this list, or is
/// limited by its session.
#[tokio::test]
async fn every_route_is_limited() {
    let limits = RateLimitSettings::default();
    let host = TestHost::limited(limits.clone(), service_of).await;
    let expected = [
        ("POST /api/v1/admin/auth/email/verification", RouteLimit::Mail),
        ("POST /api/v1/admin/auth/email/verify", RouteLimit::Credential),
        ("POST /api/v1/admin/auth/email/change", RouteLimit::Mail),
        ("POST /api/v1/admin/auth/password/forgot", RouteLimit::Mail),
        ("POST /api/v1/admin/auth/password/reset", RouteLimit::Credential),
        ("POST /api/v1/admin/auth/login", RouteLimit::Login),
        ("POST /api/v1/admin/auth/passkeys/options", RouteLimit::Credential),
        ("POST /api/v1/admin/auth/passkeys", RouteLimit::Credential),
        ("POST /api/v1/admin/auth/refresh", RouteLimit::Refresh),
    ];
    let expected = expected.map(|(route, limit)| (route.to_owned(), limit));
    assert_eq!(host.check_limits(&limits).await, expected);
}

/// API-05: an administrator's sign-ins are limited by client and address.
#[tokio::test]
async fn sign_ins_of_administrators_are_limited() {
    let limits = RateLimitSettings::default();
    let host = TestHost::limited(limits, service_of).await;
    let body = json!({ "email": "admin@gxtest.com", "password": "WrongPassword123!" });
    let ask = || host.ask("POST", "/api/v1/admin/auth/login").client("192.0.2.1").json(&body);
    for code in [401, 401, 401, 401, 401, 429, 429, 429, 429, 429] {
        assert_eq!(ask().send().await.code(), code, "failures delay the sixth and later ones");
    }
    let refused = ask().send().await;
    assert_eq!((refused.code(), refused.problem()), (429, "quota_exceeded"));
    assert_eq!(refused.json["violated-policies"], json!(["login"]));
}

/// SEC-API-02: every POST, PUT, PATCH and DELETE of the three services takes an idempotency key.
#[tokio::test]
async fn every_route_that_changes_something_takes_a_key() {
    let host = host().await;
    let identity = identity(&host);
    let tokenomics = gx_tokenomics::service(host.base.clone());
    for service in [&host.service, &identity, &tokenomics] {
        let document = &service.openapi;
        for RouteInfo { method, path, .. } in &service.routes {
            let operation = &document["paths"][path][method.to_lowercase()];
            let parameters = operation["parameters"].as_array();
            let takes = parameters.is_some_and(|all| {
                all.iter().any(|one| one["name"] == "Idempotency-Key" && one["in"] == "header")
            });
            assert_eq!(takes, method != "GET", "{method} {path}");
        }
    }
}

/// SEC-API-09: the document is as strict as the code, and every route has an example.
#[tokio::test]
async fn the_document_keeps_the_rules_for_documents() {
    assert_eq!(check_document(&host().await.service.openapi), Vec::<String>::new());
}

/// SEC-API-09: the example of each body can be read, and succeeds if the person of the examples is
/// under review.
#[tokio::test]
async fn the_examples_of_the_document_can_be_sent() {
    let host = host().await;
    host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    sqlx::query(r#"UPDATE "UserProfile" SET "profileId" = $1"#)
        .bind(EXAMPLE_ID)
        .execute(host.database.pool())
        .await
        .unwrap();
    let administrator = async || host.add_administrator(AdminRole::SuperAdmin).await.access_token;
    assert_eq!(
        host.try_examples(administrator).await,
        [
            "POST /api/v1/admin/auth/email/verification",
            "POST /api/v1/admin/auth/password/forgot",
            "POST /api/v1/admin/auth/passkeys/options",
            "POST /api/v1/admin/auth/logout",
            "POST /api/v1/admin/users/{id}/claim",
            "POST /api/v1/admin/users/{id}/release",
            "POST /api/v1/admin/users/{id}/notes",
            "POST /api/v1/admin/users/{id}/approve",
            "POST /api/v1/admin/users/batch-approve",
            "POST /api/v1/admin/users/{id}/lock",
            "POST /api/v1/admin/users/{id}/unlock",
            "POST /api/v1/admin/users/{id}/legal-hold",
            "DELETE /api/v1/admin/users/{id}/legal-hold",
            "POST /api/v1/admin/users/{id}/factors/reset",
            "POST /api/v1/admin/outbox/retry",
            "POST /api/v1/admin/outbox/discard",
            "POST /api/v1/admin/dead-events/replay",
            "POST /api/v1/admin/projection/verify",
            "POST /api/v1/admin/projection/rebuild",
            "POST /api/v1/admin/system/pause",
            "POST /api/v1/admin/administrators",
        ]
    );
}
