//! Documents in a folder, and people who hand files in without an HTTP service.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gx_auth::KeyRing;
use gx_db::{PgPool, ProfileId};
use gx_model::Clock;
use gx_serve::Entropy;

use crate::documents::{DocumentParts, Documents, Upload};
use crate::intake::{FileClaim, FileLimits};
use crate::key_store::{KeyStore, KeyStoreSettings};
use crate::kinds::{DocumentSide, DocumentType};
use crate::repository::{self, Document, DocumentClaim};
use crate::store::{DocumentStore, DocumentStoreSettings};
use crate::view::{RenderProgram, Renderer, ViewSettings};

/// Returns documents with their stores in a folder, without a scanner, whose pages this program
/// draws.
pub fn documents_in(
    folder: &Path,
    ring: KeyRing,
    clock: &Clock,
    entropy: &Entropy,
    program: RenderProgram,
) -> Documents {
    let store = DocumentStoreSettings { document_store: folder.join("documents") };
    let keys = KeyStoreSettings { key_store: folder.join("keys") };
    let view = ViewSettings { render_processes: 2, render_timeout: Duration::from_mins(2) };
    let limits = FileLimits::default();
    Documents::new(DocumentParts {
        store: DocumentStore::local(&store).unwrap(),
        keys: KeyStore::open(&keys, ring.clone(), entropy.clone()).unwrap(),
        ring,
        renderer: Renderer::new(program, &view, limits),
        scanner: None,
        limits,
        clock: clock.clone(),
        entropy: entropy.clone(),
    })
}

/// Returns what a person says about a document, with a number.
pub fn claim(kind: DocumentType, side: Option<DocumentSide>, number: &str) -> DocumentClaim {
    DocumentClaim {
        kind,
        side,
        number: Some(number.to_owned()),
        issuing_country: Some("MY".to_owned()),
        issued_on: None,
        expires_on: None,
    }
}

/// Takes a file in and adds its document, without a look at the person's status.
pub async fn hand_in(
    documents: &Documents,
    pool: &PgPool,
    profile_id: &ProfileId,
    claim: DocumentClaim,
    file: &[u8],
) -> Document {
    let upload = Upload {
        profile_id: profile_id.clone(),
        document: claim,
        file: FileClaim { mime_type: None, file_name: Some("scan".to_owned()) },
    };
    let piece = Ok::<Bytes, std::io::Error>(Bytes::copy_from_slice(file));
    let content = futures_util::stream::iter([piece]);
    let received = documents.receive(pool, upload, content).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    documents.commit(&mut tx, &received).await.unwrap();
    tx.commit().await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let found = repository::document(&mut conn, profile_id, &received.document_id).await;
    found.unwrap().unwrap()
}
