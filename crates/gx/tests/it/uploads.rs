//! What documents that many people hand in at once cost the process that takes them in.

use axum::body::{Body, Bytes};
use gx_documents::testing::{Form, form, png, png_of_chunks};
use gx_testkit::http::{Reply, request};
use gx_testkit::story::{Person, ServiceEndpoint};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use tokio::task::JoinSet;

use crate::stack::Stack;

const PEOPLE: u32 = 20;
/// Uploads of one person at once.
const UPLOADS_OF_ONE: usize = 5;
/// Size of each, in bytes: several times what a process keeps of one. `gx-documents` has a test
/// with 10 MiB each.
const UPLOAD_BYTES: usize = 2 * 1024 * 1024;
/// Limit of what all may cost, in KiB.
const MAX_GROWTH_KIB: u64 = 64 * 1024;

/// A form with a large picture. Clones share its bytes.
#[derive(Clone)]
struct LargeForm {
    content_type: HeaderValue,
    body: Bytes,
}

impl LargeForm {
    fn new() -> Self {
        let still = png(8, 8);
        let padding = png_of_chunks(&[(b"teXt", "x".repeat(UPLOAD_BYTES).as_bytes())]);
        // Chunks begin behind a signature of 8 bytes, and the header chunk ends at 33.
        let picture = [&still[..33], &padding[8..], &still[33..]].concat();
        let fields = [("type", "PROOF_OF_ADDRESS")];
        let Form { content_type, body } = form(&fields, "bill.png", "image/png", &picture);
        Self { content_type: content_type.parse().unwrap(), body: body.into() }
    }

    async fn hand_in(self, identity: ServiceEndpoint, token: String) -> Reply {
        let path = "/api/v1/users/me/kyc/documents";
        let mut request = request(Method::POST, path, Some(&token), None);
        request.headers_mut().insert(CONTENT_TYPE, self.content_type);
        *request.body_mut() = Body::from(self.body);
        identity.send(request).await
    }
}

/// FILE-02: a hundred uploads over a hundred connections raise the process by less than 64 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn file_02_a_hundred_uploads_over_sockets_cost_less_than_64_mib() {
    let stack = Stack::start().await;
    let (gx, form) = (stack.gx(), LargeForm::new());
    let mut people: Vec<Person> = Vec::new();
    for n in 1..=PEOPLE {
        people.push(gx.register(n).await);
    }
    form.clone().hand_in(gx.identity.clone(), people[0].token.clone()).await.expect(201);

    stack.forget_peak_memory();
    let before = stack.memory_kib("VmRSS");
    let mut uploads = JoinSet::new();
    for person in &people {
        for _ in 0..UPLOADS_OF_ONE {
            uploads.spawn(form.clone().hand_in(gx.identity.clone(), person.token.clone()));
        }
    }
    for reply in uploads.join_all().await {
        reply.expect(201);
    }
    let growth = stack.memory_kib("VmHWM").saturating_sub(before);
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
}
