//! Accounts of administrators, through the router.

use std::time::Duration;

use gx_auth::testing::{Answer, TestHost, all, token_in};
use gx_auth::{AdminRole, Audience, TokenUse};
use serde_json::{Value, json};

use crate::tests::host;

const ADMINISTRATORS: &str = "/api/v1/admin/administrators";
/// Subject of an invitation.
const SUBJECT: &str = "Your GX administrator account";
const PASSWORD: &str = "four random words here";
const HOUR: Duration = Duration::from_hours(1);

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

async fn invite(host: &TestHost, by: &Staff, email: &str) -> Answer {
    let body = json!({ "email": email, "role": "REVIEWER", "displayName": "Wei" });
    host.post(ADMINISTRATORS, &by.token, &body).await
}

async fn set_password(host: &TestHost, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "newPassword": password });
    host.post("/api/v1/admin/auth/password/reset", "", &body).await
}

async fn log_in(host: &TestHost, email: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD });
    host.post("/api/v1/admin/auth/login", "", &body).await
}

async fn is_invited(host: &TestHost, by: &Staff, id: &str) -> bool {
    let list = host.get(ADMINISTRATORS, &by.token).await;
    let items = list.json["items"].as_array().unwrap();
    items.iter().find(|item| item["adminId"] == id).unwrap()["isInvited"] == true
}

/// AUTHZ: a new administrator sets the first password with the link of a mail, which works once;
/// the one who invites gets no way into the account.
#[tokio::test]
async fn a_new_administrator_sets_the_first_password_once() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let invited = invite(&host, &own, "Wei@GXtest.com").await;
    assert_eq!(invited.code(), 201, "{}", invited.text);
    assert_eq!(
        (invited.text_at("/email"), invited.text_at("/role")),
        ("wei@gxtest.com", "REVIEWER")
    );
    assert_eq!(invited.json["isInvited"], true);
    assert!(!invited.text.to_lowercase().contains("token"), "{}", invited.text);
    assert_eq!(invite(&host, &own, "wei@gxtest.com").await.problem(), "administrator_exists");
    let mail = host.mail_about(SUBJECT).await;
    assert_eq!(mail.to, "wei@gxtest.com");
    let token = token_in(&mail);
    assert_eq!(log_in(&host, "wei@gxtest.com").await.problem(), "invalid_credentials");
    assert_eq!(set_password(&host, &token, "short").await.pointers(), ["/newPassword"]);
    let own_name = set_password(&host, &token, "the words of wei@gxtest.com").await;
    assert_eq!(own_name.pointers(), ["/newPassword"]);
    let id = invited.text_at("/adminId");
    assert!(is_invited(&host, &own, id).await);
    assert_eq!(set_password(&host, &token, PASSWORD).await.code(), 204);
    assert!(!is_invited(&host, &own, id).await);
    assert_eq!(set_password(&host, &token, PASSWORD).await.problem(), "invalid_mail_token");
    assert_eq!(log_in(&host, "wei@gxtest.com").await.code(), 200);
    let entry: Value = sqlx::query_scalar(
        r#"SELECT after FROM "AuditEntry" WHERE action = 'admin.password_reset'"#,
    )
    .fetch_one(host.database.pool())
    .await
    .unwrap();
    assert_eq!(entry, json!({ "ended": 0, "wasInvited": true }));
}

/// AUTHZ: the link of an invitation works for a day from its sending on, and not once the account
/// is locked, also if it is unlocked later.
#[tokio::test]
async fn an_invitation_ends_with_its_day_and_with_a_lock() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    for email in ["soon@gxtest.com", "late@gxtest.com", "locked@gxtest.com"] {
        assert_eq!(invite(&host, &own, email).await.code(), 201);
    }
    let mails = host.mails().await;
    let token_of = |email: &str| token_in(mails.iter().find(|mail| mail.to == email).unwrap());
    let locked: String =
        sqlx::query_scalar(r#"SELECT "adminId" FROM "AdminUser" WHERE email LIKE 'locked%'"#)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    for is_locked in [true, false] {
        let body = json!({ "isLocked": is_locked });
        assert_eq!(change(&host, &own, &locked, &body).await.code(), 200);
        let refused = set_password(&host, &token_of("locked@gxtest.com"), PASSWORD).await;
        assert_eq!(refused.problem(), "invalid_mail_token", "locked: {is_locked}");
    }
    host.clock.advance(HOUR * 23);
    assert_eq!(set_password(&host, &token_of("soon@gxtest.com"), PASSWORD).await.code(), 204);
    host.clock.advance(HOUR);
    let late = set_password(&host, &token_of("late@gxtest.com"), PASSWORD).await;
    assert_eq!((late.code(), late.problem()), (422, "invalid_mail_token"));
}

/// SEC-API-02: an invitation that is repeated with its key is answered as before and sends no
/// second mail.
#[tokio::test]
async fn a_repeated_invitation_sends_one_mail() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let invite = async || {
        let body = json!({ "email": "wei@gxtest.com", "role": "REVIEWER" });
        let ask = host.ask("POST", ADMINISTRATORS).token(&own.token).json(&body);
        ask.header("idempotency-key", "k1").send().await
    };
    let (first, again) = (invite().await, invite().await);
    assert_eq!((first.code(), again.code()), (201, 201), "{}{}", first.text, again.text);
    assert_eq!(first.json, again.json);
    assert_eq!(host.subjects().await, [SUBJECT]);
}

/// AUTHZ: an invitation that was lost needs no other one: a forgotten password is set by mail, and
/// that ends the invitation and its link.
#[tokio::test]
async fn a_password_by_mail_ends_the_invitation() {
    let host = host().await;
    let own = staff(&host, AdminRole::SuperAdmin).await;
    let invited = invite(&host, &own, "wei@gxtest.com").await;
    let token = token_in(&host.mail_about(SUBJECT).await);
    let forgot = json!({ "email": "wei@gxtest.com" });
    host.post("/api/v1/admin/auth/password/forgot", "", &forgot).await;
    let mail = host.mail_about("Set a new password").await;
    assert_eq!(set_password(&host, &token_in(&mail), PASSWORD).await.code(), 204);
    let refused = set_password(&host, &token, PASSWORD).await;
    assert_eq!(refused.problem(), "invalid_mail_token");
    assert!(!is_invited(&host, &own, invited.text_at("/adminId")).await);

    // A mail that is sent after the password was set has no use, and is not sent.
    sqlx::query(r#"UPDATE "QueuedMail" SET state = 'SENT', "settledAt" = now(), content = NULL"#)
        .execute(host.database.pool())
        .await
        .unwrap();
    invite(&host, &own, "ada@gxtest.com").await;
    sqlx::query(r#"DELETE FROM "AdminInvitation""#).execute(host.database.pool()).await.unwrap();
    assert!(host.mails().await.is_empty());
}
