//! Notes, through the router.

use gx_auth::{AdminRole, audit};
use gx_model::AccountStatus;
use serde_json::json;

use crate::tests::host;

/// LOG-03, PRIV-01: a note is shown to other administrators, its text is apart from the audit log's
/// entry, and it is gone after an erasure of the texts about the person.
#[tokio::test]
async fn priv_01_notes_about_a_person_can_be_erased() {
    let host = host().await;
    let token = host.add_administrator(AdminRole::Reviewer).await.access_token;
    let auditor = host.add_administrator(AdminRole::Auditor).await.access_token;
    let id = host.add_person("sarah@gxtest.com", AccountStatus::PendingAdminApproval).await;
    let path = format!("/api/v1/admin/users/{id}/notes");
    let add = async |text: &str| host.post(&path, &token, &json!({ "text": text })).await;
    for wrong in ["", "  ", &"x".repeat(2001)] {
        assert_eq!(add(wrong).await.pointers(), ["/text"]);
    }
    let first = add("asked her neighbour").await;
    assert_eq!(first.code(), 201, "{}", first.text);
    assert_eq!(add("a sharper photo\nby phone").await.code(), 201);
    let page = host.get(&format!("{path}?limit=1"), &auditor).await;
    assert_eq!(page.text_at("/items/0/text"), "a sharper photo\nby phone");
    let next = page.text_at("/nextCursor");
    let page = host.get(&format!("{path}?limit=1&cursor={next}"), &auditor).await;
    assert_eq!(page.json["items"][0]["noteId"], first.json["noteId"]);
    assert!(page.has_null_at("/nextCursor"));
    let entries: String =
        sqlx::query_scalar(r#"SELECT string_agg(e::text, '') FROM "AuditEntry" e"#)
            .fetch_one(host.database.pool())
            .await
            .unwrap();
    assert!(!entries.contains("neighbour"), "{entries}");
    let mut conn = host.base.connection().await.unwrap();
    let by = (audit::Actor::System("a test"), "asked for");
    let (about, now) = (audit::TextSelection::About(&id), host.clock.now());
    audit::erase(&mut conn, about, by, &host.base.entropy, now).await.unwrap();
    drop(conn);
    let erased = host.get(&path, &auditor).await;
    assert!(erased.has_null_at("/items/0/text"), "{}", erased.text);
    assert!(erased.has_null_at("/items/1/text"), "{}", erased.text);
    let nobody = host.get("/api/v1/admin/users/nobody/notes", &auditor).await;
    assert_eq!(nobody.problem(), "no_user");
}
