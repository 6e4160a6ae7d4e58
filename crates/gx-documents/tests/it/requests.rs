//! Requests for documents, on a migrated database.

use gx_documents::requests::{self, DocumentRequest};
use gx_documents::{DocumentSide, DocumentType};
use time::macros::datetime;

use crate::world::{World, person};

fn names(open: &[DocumentRequest]) -> Vec<(DocumentType, Option<DocumentSide>)> {
    open.iter().map(|request| (request.kind, request.side.map(|side| side.0))).collect()
}

/// KYC-05: a request stays open until a document of its type and side is there, and a decision ends
/// those that are left.
#[tokio::test]
async fn kyc_05_a_request_is_open_until_its_document_is_there() {
    use DocumentSide::{Back, Front};
    use DocumentType::{NationalId, Passport, SelfiePhoto};
    let world = World::new().await;
    let (anna, now) = (person("anna"), datetime!(2026-11-30 12:00 UTC));
    sqlx::query(
        r#"INSERT INTO "AdminUser" ("adminId", email, "displayName", "passwordHash", role,
               "createdAt", "updatedAt")
           VALUES ('kim', 'kim@gxtest.com', 'Kim', 'x', 'REVIEWER', now(), now())"#,
    )
    .execute(world.pool())
    .await
    .unwrap();
    let mut conn = world.pool().acquire().await.unwrap();
    for wanted in [(Passport, None), (NationalId, Some(Front)), (NationalId, Some(Back))] {
        requests::ask(&mut conn, &anna, wanted, ("kim", "too dark"), now).await.unwrap();
    }
    requests::ask(&mut conn, &anna, (Passport, None), ("kim", "cut off"), now).await.unwrap();
    let open = requests::open_requests(&mut conn, &anna).await.unwrap();
    let expected = [(NationalId, Some(Back)), (NationalId, Some(Front)), (Passport, None)];
    assert_eq!(names(&open), expected);
    assert_eq!(open[2].public_comment.as_deref(), Some("cut off"), "the later request counts");
    assert!(open[2].is_met_by(Passport, Some(Front)));
    assert!(open[2].is_met_by(Passport, None));
    assert!(open[0].is_met_by(NationalId, Some(Back)));
    assert!(!open[0].is_met_by(NationalId, Some(Front)));
    assert!(!open[0].is_met_by(NationalId, None));

    assert_eq!(requests::meet(&mut conn, &anna, SelfiePhoto, None).await.unwrap(), 3);
    assert_eq!(requests::meet(&mut conn, &anna, NationalId, None).await.unwrap(), 3);
    assert_eq!(requests::meet(&mut conn, &anna, Passport, Some(Front)).await.unwrap(), 2);
    assert_eq!(requests::meet(&mut conn, &anna, NationalId, Some(Back)).await.unwrap(), 1);
    assert_eq!(requests::meet(&mut conn, &person("other"), Passport, None).await.unwrap(), 0);
    requests::end(&mut conn, &anna).await.unwrap();
    assert!(requests::open_requests(&mut conn, &anna).await.unwrap().is_empty());
    // The table knows every type that the code knows.
    for kind in DocumentType::ALL {
        requests::ask(&mut conn, &anna, (kind, None), ("kim", "again"), now).await.unwrap();
    }
    let open = requests::open_requests(&mut conn, &anna).await.unwrap();
    assert_eq!(open.len(), DocumentType::ALL.len());
}
