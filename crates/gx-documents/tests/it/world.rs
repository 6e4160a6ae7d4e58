//! The documents of one test: a database, folders, a clock that the test sets, and one person.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use gx_auth::KeyRing;
use gx_auth::key_ring::new_line;
use gx_db::ProfileId;
use gx_db::testing::TestDatabase;
use gx_documents::repository::{self, Document, DocumentClaim};
use gx_documents::{
    DocumentParts, DocumentStore, DocumentStoreSettings, DocumentType, Documents, FileClaim,
    FileLimits, KeyStore, KeyStoreSettings, ReceiveError, RenderProgram, Renderer, Scanner, Upload,
    ViewSettings, Watermark,
};
use gx_model::Clock;
use gx_serve::Entropy;
use sqlx::PgPool;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

/// The documents of one test.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) documents: Documents,
}

pub(crate) fn ring(versions: &[i32]) -> KeyRing {
    let line =
        |version: &i32| new_line(*version, &Entropy::seeded(u64::from(version.unsigned_abs())));
    let lines: Vec<String> = versions.iter().map(line).collect();
    KeyRing::parse(&lines.join("\n"), Entropy::system()).unwrap()
}

pub(crate) fn person(name: &str) -> ProfileId {
    ProfileId::from(name.to_owned())
}

/// Returns a renderer that starts the program of this crate.
pub(crate) fn renderer(timeout: Duration, limits: FileLimits) -> Renderer {
    let program = RenderProgram {
        program: PathBuf::from(env!("CARGO_BIN_EXE_gx-render-page")),
        arguments: Vec::new(),
    };
    let settings = ViewSettings { render_processes: 2, render_timeout: timeout };
    Renderer::new(program, &settings, limits)
}

pub(crate) fn watermark() -> Watermark {
    Watermark {
        viewer: "reviewer@example.com".to_owned(),
        case: "case 4711".to_owned(),
        at: "2026-11-30 12:00 UTC".to_owned(),
    }
}

pub(crate) fn upload(profile_id: &ProfileId, kind: DocumentType, file: FileClaim) -> Upload {
    Upload {
        profile_id: profile_id.clone(),
        document: DocumentClaim {
            kind,
            side: None,
            number: Some("A 123-456".to_owned()),
            issuing_country: Some("MY".to_owned()),
            issued_on: None,
            expires_on: None,
        },
        file,
    }
}

/// Returns a file as it comes over a network: in pieces.
pub(crate) fn pieces(
    file: &[u8],
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let pieces: Vec<_> = file.chunks(9_000).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    futures_util::stream::iter(pieces)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(None).await
    }

    pub(crate) async fn with(scanner: Option<Scanner>) -> Self {
        let database = TestDatabase::create().await;
        let folder = TempDir::new().unwrap();
        let clock = Clock::manual(datetime!(2026-11-30 12:00 UTC));
        let documents = documents_in(&folder, &clock, scanner, &[1]);
        let world = Self { database, folder, clock, documents };
        world.add_person("anna").await;
        world
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    pub(crate) async fn add_person(&self, id: &str) {
        sqlx::query(
            r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email,
                   "passwordHash", "dateOfBirth", gender, "createdAt", "updatedAt")
               VALUES ($1, 'A', 'B', $1 || '@example.com', 'x', '1990-01-01', 'female', now(),
                   now())"#,
        )
        .bind(id)
        .execute(self.pool())
        .await
        .unwrap();
    }

    /// Takes a file in and adds its document.
    pub(crate) async fn add(&self, file: &[u8]) -> Result<Document, ReceiveError> {
        self.add_for("anna", file).await
    }

    pub(crate) async fn add_for(&self, id: &str, file: &[u8]) -> Result<Document, ReceiveError> {
        let upload = upload(&person(id), DocumentType::Passport, FileClaim::default());
        let received = self.documents.receive(self.pool(), upload, pieces(file)).await?;
        let mut tx = self.pool().begin().await.unwrap();
        self.documents.commit(&mut tx, &received).await.unwrap();
        tx.commit().await.unwrap();
        Ok(self.document(id, &received.document_id).await.unwrap())
    }

    pub(crate) async fn document(&self, id: &str, document_id: &str) -> Option<Document> {
        let mut conn = self.pool().acquire().await.unwrap();
        repository::document(&mut conn, &person(id), document_id).await.unwrap()
    }

    /// Closes the account of a person at a time.
    pub(crate) async fn close(&self, id: &str, at: OffsetDateTime) {
        let sql = r#"UPDATE "UserProfile" SET status = 'CLOSED', "closedAt" = $2
                     WHERE "profileId" = $1"#;
        sqlx::query(sql).bind(id).bind(at).execute(self.pool()).await.unwrap();
    }

    /// Begins or ends a legal hold.
    pub(crate) async fn hold(&self, id: &str, is_held: bool) {
        let sql = r#"UPDATE "UserProfile"
                     SET "legalHoldAt" = CASE WHEN $2 THEN now() END,
                         "legalHoldBy" = CASE WHEN $2 THEN 'admin' END
                     WHERE "profileId" = $1"#;
        sqlx::query(sql).bind(id).bind(is_held).execute(self.pool()).await.unwrap();
    }

    /// Returns the content of a document.
    pub(crate) async fn content(&self, document: &Document) -> Vec<u8> {
        let stream = self.documents.content(document).await.unwrap();
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        pieces.concat()
    }

    /// Returns the names of files that are stored, and of files without a row.
    pub(crate) async fn files_and_orphans(&self) -> (Vec<String>, Vec<String>) {
        let files = stored_files(&self.folder);
        let rows: Vec<String> = sqlx::query_scalar(
            r#"SELECT "storageKey" FROM "KYCDocument" WHERE "wrappedKey" IS NOT NULL"#,
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        let orphans = files.iter().filter(|file| !rows.contains(file)).cloned().collect();
        (files, orphans)
    }

    /// Waits until nothing is left of ended uploads, which are cleaned up in the background.
    pub(crate) async fn wait_until_clean(&self) {
        for _ in 0..600 {
            let announced: i64 = sqlx::query_scalar(r#"SELECT count(*) FROM "DocumentObject""#)
                .fetch_one(self.pool())
                .await
                .unwrap();
            if announced == 0 && self.files_and_orphans().await.1.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("left: {:?}", self.files_and_orphans().await);
    }
}

pub(crate) fn documents_in(
    folder: &TempDir,
    clock: &Clock,
    scanner: Option<Scanner>,
    versions: &[i32],
) -> Documents {
    let store = DocumentStoreSettings { document_store: folder.path().join("store") };
    let keys = KeyStoreSettings { key_store: folder.path().join("keys") };
    let limits = FileLimits::default();
    let ring = ring(versions);
    Documents::new(DocumentParts {
        store: DocumentStore::local(&store).unwrap(),
        keys: KeyStore::open(&keys, ring.clone(), Entropy::system()).unwrap(),
        ring,
        renderer: renderer(Duration::from_mins(2), limits),
        scanner,
        limits,
        clock: clock.clone(),
        entropy: Entropy::system(),
    })
}

/// Returns the names of all files under `documents/`, unfinished ones too.
pub(crate) fn stored_files(folder: &TempDir) -> Vec<String> {
    let root = folder.path().join("store/documents");
    let Ok(shards) = std::fs::read_dir(root) else { return Vec::new() };
    let mut files = Vec::new();
    for shard in shards {
        let shard = shard.unwrap();
        let name = shard.file_name().into_string().unwrap();
        for file in std::fs::read_dir(shard.path()).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            files.push(format!("documents/{name}/{file}"));
        }
    }
    files.sort();
    files
}
