//! Rules for all routes of the service.

use gx_auth::testing::TestHost;
use gx_serve::RateLimitSettings;
use gx_serve::conformity::check_document;

use crate::service;

/// API-01, SEC-API-06: a wallet, its history and its transfers need their owner's session; what is
/// true for everybody is public.
#[tokio::test]
async fn every_route_that_is_not_public_needs_a_person() {
    let host = TestHost::new(service).await;
    assert_eq!(
        host.check_access_of_people().await,
        ["/api/v1/transfers/fees", "/api/v1/supply", "/api/v1/treasury/{cc}", "/api/v1/ledger"]
    );
}

/// SEC-API-09: the document is as strict as the code, and every route has an example.
#[tokio::test]
async fn the_document_keeps_the_rules_for_documents() {
    let host = TestHost::new(service).await;
    assert_eq!(check_document(&host.service.openapi), Vec::<String>::new());
}

/// SEC-API-03, API-05: every route has the fields of its limit, which is the general one.
#[tokio::test]
async fn every_route_is_limited() {
    let settings = RateLimitSettings::default();
    let host = TestHost::limited(settings.clone(), service).await;
    assert_eq!(host.check_limits(&settings).await, []);
}
