//! Accounts of administrators, through the router.

use gx_auth::testing::{Answer, TestHost, all, token_in};
use gx_auth::{AdminRole, Audience, TokenUse};
use serde_json::{Value, json};

use crate::tests::host;

const ADMINISTRATORS: &str = "/api/v1/admin/administrators";

struct Staff {
    token: String,
    id: String,
}

async fn staff(host: &TestHost, role: AdminRole) -> Staff {
    let token = host.add_administrator(role).await.access_token;
    let tokens = host.base.auth.sessions.tokens();
    let id = tokens.verify(&token, TokenUse::Access, Audience::Admin).unwrap().sub;
    Staff { token, id }
}

async fn change(host: &TestHost, by: &Staff, id: &str, body: &Value) -> Answer {
    let ask = host.ask("PATCH", &format!("{ADMINISTRATORS}/{id}")).token(&by.token);
    ask.json(body).send().await
}

async fn looks(host: &TestHost, by: &Staff) -> u16 {
    host.get(ADMINISTRATORS, &by.token).await.code()
}

/// AUTHZ: another role counts from the next request on, because it ends all sessions of the
/// account; a lock does the same; both are audited with before and after.
#[tokio::test]
async fn another_role_and_a_lock_end_all_sessions() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let other = staff(&host, AdminRole::Admin).await;
    assert_eq!(looks(&host, &other).await, 200);
    let same = change(&host, &own, &other.id, &json!({ "role": "ADMIN" })).await;
    assert_eq!(same.code(), 200, "{}", same.text);
    assert_eq!(looks(&host, &other).await, 200, "nothing has changed");
    let body = json!({ "role": "AUDITOR", "reason": "left the team" });
    let changed = change(&host, &own, &other.id, &body).await;
    assert_eq!((changed.code(), changed.text_at("/role")), (200, "AUDITOR"));
    assert_eq!(looks(&host, &other).await, 401);
    let log = host.get("/api/v1/admin/audit?limit=1", &own.token).await;
    let entry = &log.json["items"][0];
    assert_eq!(entry["action"], "admin.changed");
    assert_eq!(entry["before"], json!({ "role": "ADMIN", "isLocked": false }));
    let after =
        json!({ "role": "AUDITOR", "isLocked": false, "ended": 1, "reason": "left the team" });
    assert_eq!(entry["after"], after);

    let third = staff(&host, AdminRole::Reviewer).await;
    assert_eq!(change(&host, &own, &third.id, &json!({ "isLocked": true })).await.code(), 200);
    assert_eq!(looks(&host, &third).await, 401);
    let list = host.get(&format!("{ADMINISTRATORS}?limit=2"), &own.token).await;
    let next = list.text_at("/nextCursor");
    let rest = host.get(&format!("{ADMINISTRATORS}?cursor={next}"), &own.token).await;
    let pages = [list.json["items"].as_array().unwrap(), rest.json["items"].as_array().unwrap()];
    assert_eq!(pages.map(Vec::len), [2, 1]);
    let locked = pages.into_iter().flatten().filter(|item| item["isLocked"] == true);
    assert_eq!(locked.map(|item| &item["adminId"]).collect::<Vec<_>>(), [&json!(third.id)]);
    assert_eq!(change(&host, &own, "nobody", &json!({})).await.problem(), "no_administrator");
    let null = change(&host, &own, &third.id, &json!({ "role": null })).await;
    assert_eq!(null.pointers(), ["/role"]);
}

/// AUTHZ: the last SUPER_ADMIN who is not locked can neither be locked nor lose the role.
#[tokio::test]
async fn the_last_super_admin_stays() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let other = staff(&host, AdminRole::SuperAdmin).await;
    assert_eq!(change(&host, &own, &other.id, &json!({ "isLocked": true })).await.code(), 200);
    for body in [json!({ "role": "ADMIN" }), json!({ "isLocked": true })] {
        let answer = change(&host, &own, &own.id, &body).await;
        assert_eq!((answer.code(), answer.problem()), (409, "last_super_admin"), "{body}");
    }
    assert_eq!(looks(&host, &own).await, 200);
    assert_eq!(change(&host, &own, &other.id, &json!({ "role": "ADMIN" })).await.code(), 200);
}

/// AUTHZ: of two requests at the same time, each of which takes the power of the other of the two
/// last SUPER_ADMINs, one succeeds.
#[tokio::test]
async fn two_super_admins_do_not_remove_each_other() {
    let host = host().await;
    let [one, other] =
        [staff(&host, AdminRole::SuperAdmin).await, staff(&host, AdminRole::SuperAdmin).await];
    for body in [json!({ "role": "ADMIN" }), json!({ "isLocked": true })] {
        sqlx::query(r#"UPDATE "AdminUser" SET role = 'SUPER_ADMIN', "isLocked" = false"#)
            .execute(host.database.pool())
            .await
            .unwrap();
        sqlx::query(r#"UPDATE "AdminSession" SET "revokedAt" = NULL, "revokedBecause" = NULL"#)
            .execute(host.database.pool())
            .await
            .unwrap();
        let pairs = [(&one, &other), (&other, &one)];
        all(pairs.map(|(by, of)| change(&host, by, &of.id, &body))).await;
        let left: i64 = sqlx::query_scalar(
            r#"SELECT count(*) FROM "AdminUser" WHERE role = 'SUPER_ADMIN' AND NOT "isLocked""#,
        )
        .fetch_one(host.database.pool())
        .await
        .unwrap();
        assert_eq!(left, 1, "{body}");
    }
}

/// AUTHZ: a new administrator sets the first password with a token that works once, and only while
/// it is valid and the account is not locked.
#[tokio::test]
async fn a_new_administrator_sets_the_first_password_once() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let invite = async |email: &str| {
        let body = json!({ "email": email, "role": "REVIEWER", "displayName": "Wei" });
        host.post(ADMINISTRATORS, &own.token, &body).await
    };
    let set = async |token: &str, password: &str| {
        let body = json!({ "token": token, "newPassword": password });
        host.post("/api/v1/admin/auth/password/set", "", &body).await
    };
    let log_in = async |password: &str| {
        let body = json!({ "email": "wei@gxtest.com", "password": password });
        host.post("/api/v1/admin/auth/login", "", &body).await
    };
    let invited = invite("Wei@GXtest.com").await;
    assert_eq!(invited.code(), 201, "{}", invited.text);
    assert_eq!(
        (invited.text_at("/email"), invited.text_at("/role")),
        ("wei@gxtest.com", "REVIEWER")
    );
    assert_eq!(invited.json["isInvited"], true);
    assert_eq!(invite("wei@gxtest.com").await.problem(), "administrator_exists");
    let token = invited.text_at("/passwordToken");
    let password = "four random words here";
    assert_eq!(log_in(password).await.problem(), "invalid_credentials");
    assert_eq!(set(token, "short").await.pointers(), ["/newPassword"]);
    assert_eq!(set(token, "the words of wei@gxtest.com").await.pointers(), ["/newPassword"]);
    assert_eq!(set("another", password).await.problem(), "invalid_invitation");
    assert_eq!(set(token, password).await.code(), 204);
    assert_eq!(set(token, password).await.problem(), "invalid_invitation");
    assert_eq!(log_in(password).await.code(), 200);

    for end in [
        r#"UPDATE "AdminInvitation" SET "expiresAt" = clock_timestamp()"#,
        r#"UPDATE "AdminUser" SET "isLocked" = true WHERE email LIKE 'late%'"#,
    ] {
        let email = format!("late{}@gxtest.com", end.len());
        let late = invite(&email).await;
        sqlx::query(end).execute(host.database.pool()).await.unwrap();
        let refused = set(late.text_at("/passwordToken"), password).await;
        assert_eq!((refused.code(), refused.problem()), (401, "invalid_invitation"));
    }
}

/// SEC-API-02: an invitation that is repeated with its key adds nobody, and gets another token for
/// the same account until the password is set.
#[tokio::test]
async fn a_repeated_invitation_gets_another_token() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let invite = async || {
        let body = json!({ "email": "wei@gxtest.com", "role": "REVIEWER" });
        let ask = host.ask("POST", ADMINISTRATORS).token(&own.token).json(&body);
        ask.header("idempotency-key", "k1").send().await
    };
    let set = async |token: &str| {
        let body = json!({ "token": token, "newPassword": "four random words here" });
        host.post("/api/v1/admin/auth/password/set", "", &body).await
    };
    let (first, again) = (invite().await, invite().await);
    assert_eq!((first.code(), again.code()), (201, 201), "{}{}", first.text, again.text);
    assert_eq!(first.json["adminId"], again.json["adminId"]);
    assert_eq!(set(first.text_at("/passwordToken")).await.problem(), "invalid_invitation");
    assert_eq!(set(again.text_at("/passwordToken")).await.code(), 204);
    assert!(invite().await.has_null_at("/passwordToken"));
}

/// AUTHZ: a new administrator who sets the password by mail ends the invitation with it.
#[tokio::test]
async fn a_password_by_mail_ends_the_invitation() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let body = json!({ "email": "wei@gxtest.com", "role": "REVIEWER" });
    let invited = host.post(ADMINISTRATORS, &own.token, &body).await;
    assert_eq!(invited.code(), 201, "{}", invited.text);
    let forgot = json!({ "email": "wei@gxtest.com" });
    host.post("/api/v1/admin/auth/password/forgot", "", &forgot).await;
    let mail = host.mail_about("Set a new password").await;
    let body = json!({ "token": token_in(&mail), "newPassword": "four random words here" });
    let reset = host.post("/api/v1/admin/auth/password/reset", "", &body).await;
    assert_eq!(reset.code(), 204, "{}", reset.text);
    let token = invited.text_at("/passwordToken");
    let body = json!({ "token": token, "newPassword": "four other random words" });
    let refused = host.post("/api/v1/admin/auth/password/set", "", &body).await;
    assert_eq!((refused.code(), refused.problem()), (401, "invalid_invitation"));
}
