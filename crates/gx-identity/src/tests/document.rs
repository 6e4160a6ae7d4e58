//! The OpenAPI document of the service.

use gx_serve::conformity::check_document;

use super::{Value, hand_in, host};

/// SEC-API-09: the document is as strict as the code, and every route has an example.
#[tokio::test]
async fn the_document_keeps_the_rules_for_documents() {
    assert_eq!(check_document(&host().await.service.openapi), Vec::<String>::new());
}

/// SEC-API-09: the example of each body can be read, and a person who registers with it can
/// send most of the others.
#[tokio::test]
async fn the_examples_of_the_document_can_be_sent() {
    let host = host().await;
    let register = &host.service.openapi["paths"]["/api/v1/auth/register"]["post"];
    let example: &Value = &register["requestBody"]["content"]["application/json"]["example"];
    let answer = host.post("/api/v1/auth/register", "", example).await;
    assert_eq!(answer.code(), 200, "{}", answer.text);
    let sarah = answer.text_at("/user/profileId");
    hand_in(&host, answer.text_at("/accessToken")).await;
    assert_eq!(
        host.try_examples(async || host.session_of(sarah).await.access_token).await,
        [
            "POST /api/v1/auth/email/verification",
            "POST /api/v1/auth/email/change",
            "POST /api/v1/auth/password/forgot",
            "POST /api/v1/auth/login",
            "POST /api/v1/auth/passkeys/options",
            "POST /api/v1/auth/logout",
            "POST /api/v1/auth/logout-all",
            "POST /api/v1/auth/password/change",
            "PATCH /api/v1/users/me",
            "POST /api/v1/users/me/kyc/submit",
        ]
    );
}
