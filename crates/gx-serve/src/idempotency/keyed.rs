//! The request with a key that is being handled, and its end: the answer is stored in the
//! transaction of the work. The extractor of bodies, [`begin`] and the layer of all routes share it
//! through a task-local value, so that no handler has to pass it on.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::Bytes;
use gx_db::{Database, Postgres, Transaction};
use gx_model::Clock;
use http::StatusCode;
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http_body_util::BodyExt;
use serde_json::Value;

use super::store::{self, StoredResponse};
use super::{Fingerprint, IN_PROGRESS, IdempotencyKey, KEPT_FOR, KEY_REUSED, KeyedRequest, reused};
use crate::database::connection;
use crate::fingerprint_key::FingerprintKeys;
use crate::problem::{ErrorChain, Problem};
use crate::reply::LoggedActor;
use crate::request_id::RequestId;

tokio::task_local! {
    static CURRENT: Keyed;
}

/// Parts of member names under which an answer has a secret. Such an answer is never stored.
const SECRET_NAME_PARTS: [&str; 5] = ["token", "password", "secret", "recoverycode", "challenge"];
/// Names of members with a secret that have none of these parts.
const SECRET_NAMES: [&str; 2] = ["uri", "qr"];

/// What the layer of a service needs to handle keys.
#[derive(Clone)]
pub(crate) struct KeySettings {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) fingerprint_keys: FingerprintKeys,
}

/// A request with a key. Clones share it.
#[derive(Clone)]
pub(super) struct Keyed(Arc<Shared>);

pub(super) struct Shared {
    pub(super) settings: KeySettings,
    pub(super) key: IdempotencyKey,
    /// Method and pattern of the path: with the principal, the scope of the key.
    pub(super) route: String,
    /// Method, path and query, which are part of the fingerprint.
    pub(super) target: String,
    pub(super) path: String,
    pub(super) request_id: RequestId,
    pub(super) progress: Mutex<Progress>,
}

#[derive(Default)]
pub(super) struct Progress {
    /// Id of the caller, or empty on a route that needs no session.
    principal: String,
    fingerprint: Option<Fingerprint>,
    /// The handler handles the key.
    is_own: bool,
    /// The first request has finished, and its answer was not stored.
    is_repeated: bool,
    end: End,
}

/// What the layer does when the handler has answered.
#[derive(Default)]
enum End {
    /// No transaction was begun.
    #[default]
    Nothing,
    /// Sends the stored answer instead.
    Replay(StoredResponse),
    /// Stores the answer in the handler's transaction, and commits it.
    Store { tx: Transaction<'static, Postgres>, is_committed: bool },
}

impl Keyed {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Returns the request that is being handled, unless it has no key or the handler handles it.
    pub(super) fn current() -> Option<Self> {
        let keyed = CURRENT.try_with(Self::clone).ok()?;
        let is_own = keyed.progress().is_own;
        (!is_own).then_some(keyed)
    }

    /// Handles the request and returns the answer that the client gets.
    pub(super) async fn run(self, handling: impl Future<Output = Response>) -> Response {
        use axum::response::IntoResponse as _;
        let response = CURRENT.scope(self.clone(), handling).await;
        match self.finish(response).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprint(&self, body: &[u8]) -> Fingerprint {
        let keys = &self.0.settings.fingerprint_keys;
        Fingerprint::Keyed(keys.hashes(&[self.0.target.as_bytes(), body]))
    }

    fn request<'a>(&'a self, principal: &'a str, fingerprint: &'a Fingerprint) -> KeyedRequest<'a> {
        KeyedRequest {
            principal,
            route: &self.0.route,
            key: &self.0.key,
            fingerprint,
            request_id: &self.0.request_id,
        }
    }

    /// Looks for the answer to an earlier request as soon as the body is known, before costly work.
    async fn look_up(&self, body: &[u8]) -> Result<(), Problem> {
        let fingerprint = self.fingerprint(body);
        let principal = {
            let mut progress = self.progress();
            progress.fingerprint = Some(fingerprint.clone());
            progress.principal.clone()
        };
        let now = self.0.settings.clock.now();
        let mut conn = connection(&self.0.settings.database).await?;
        let request = self.request(&principal, &fingerprint);
        match store::response(&mut conn, &request, now).await? {
            None => Ok(()),
            Some(stored) => self.repeat(stored, &fingerprint),
        }
    }

    /// Handles a repetition: the error makes the handler end, and the layer sends the stored
    /// answer. If there is none, the handler runs.
    fn repeat(&self, stored: StoredResponse, fingerprint: &Fingerprint) -> Result<(), Problem> {
        if !fingerprint.has_hash(stored.key_version, &stored.fingerprint) {
            return Err(reused());
        }
        let mut progress = self.progress();
        if stored.is_withheld {
            progress.is_repeated = true;
            return Ok(());
        }
        progress.end = End::Replay(stored);
        Err(in_progress())
    }

    /// Locks the key in the transaction that the handler's work will be part of.
    async fn open(&self, tx: &mut Transaction<'static, Postgres>) -> Result<(), Problem> {
        let (fingerprint, principal, knows) = {
            let mut progress = self.progress();
            let fingerprint = progress.fingerprint.get_or_insert_with(|| self.fingerprint(b""));
            (fingerprint.clone(), progress.principal.clone(), progress.is_repeated)
        };
        let request = self.request(&principal, &fingerprint);
        if !store::try_lock(tx, &request).await? {
            return Err(in_progress());
        }
        let now = self.0.settings.clock.now();
        if let Some(stored) = store::response(tx, &request, now).await? {
            self.repeat(stored, &fingerprint)?;
            if !knows {
                // The first request has just finished, and the handler does not know it.
                return Err(in_progress());
            }
        }
        Ok(store::set_savepoint(tx).await?)
    }

    /// Ends the transaction of an earlier part of the request. The last one carries the answer.
    async fn end_earlier(&self) -> Result<(), sqlx::Error> {
        let earlier = take(&mut self.progress().end);
        match earlier {
            End::Store { tx, is_committed: true } => tx.commit().await,
            End::Store { tx, is_committed: false } => tx.rollback().await,
            End::Nothing | End::Replay(_) => Ok(()),
        }
    }

    pub(super) fn park(&self, tx: Transaction<'static, Postgres>, is_committed: bool) {
        self.progress().end = End::Store { tx, is_committed };
    }

    async fn finish(&self, response: Response) -> Result<Response, Problem> {
        let progress = take(&mut *self.progress());
        let fingerprint = progress.fingerprint.unwrap_or_else(|| self.fingerprint(b""));
        let request = self.request(&progress.principal, &fingerprint);
        match progress.end {
            _ if progress.is_own => Ok(response),
            End::Replay(stored) => Ok(replay(stored, &response)),
            End::Store { tx, is_committed } => {
                let is_kept = is_kept(&response) && !progress.is_repeated;
                self.end_transaction(tx, &request, is_committed, is_kept, response).await
            }
            End::Nothing if response.status().is_success() && !progress.is_repeated => {
                let (stored, response) = self.answer(&request, response).await?;
                if let Some(stored) = stored {
                    self.store_alone(&request, &stored).await;
                }
                Ok(response)
            }
            End::Nothing => Ok(response),
        }
    }

    /// Stores the answer with the work, and commits both. If the handler did not commit, its work
    /// is undone first.
    async fn end_transaction(
        &self,
        mut tx: Transaction<'static, Postgres>,
        request: &KeyedRequest<'_>,
        is_committed: bool,
        is_kept: bool,
        response: Response,
    ) -> Result<Response, Problem> {
        if response.status().is_server_error() || !(is_committed || is_kept) {
            tx.rollback().await?;
            return Ok(response);
        }
        if !is_committed {
            store::undo_to_savepoint(&mut tx).await?;
        }
        let mut response = response;
        if is_kept {
            let (stored, answer) = self.answer(request, response).await?;
            response = answer;
            if let Some(stored) = stored {
                let now = self.0.settings.clock.now();
                store::keep(&mut tx, request, &stored, now, now + KEPT_FOR).await?;
            }
        }
        tx.commit().await?;
        Ok(response)
    }

    /// Stores the answer of a handler that has begun no transaction of [`begin`]: one that only
    /// reads, or whose work may be done twice. The work is done, so a failure is only logged.
    async fn store_alone(&self, request: &KeyedRequest<'_>, stored: &StoredResponse) {
        let now = self.0.settings.clock.now();
        let storing = async {
            let mut tx = self.0.settings.database.pool().begin().await?;
            if store::try_lock(&mut tx, request).await?
                && store::response(&mut tx, request, now).await?.is_none()
            {
                store::keep(&mut tx, request, stored, now, now + KEPT_FOR).await?;
            }
            tx.commit().await
        };
        let stored: Result<(), sqlx::Error> = storing.await;
        if let Err(error) = stored {
            tracing::warn!(error = %ErrorChain(&error),
                "the answer to a request with an idempotency key could not be stored");
        }
    }

    /// Returns the answer in the form in which it is stored. A stream is not stored.
    async fn answer(
        &self,
        request: &KeyedRequest<'_>,
        response: Response,
    ) -> Result<(Option<StoredResponse>, Response), Problem> {
        if response.body().size_hint().exact().is_none() {
            return Ok((None, response));
        }
        let (parts, body) = response.into_parts();
        let sent = collect(body).await?;
        let (content_type, body) = match parts.extensions.get::<Problem>() {
            // The layer around all requests writes a problem again, in the same way.
            Some(problem) => {
                let written = problem.respond(&self.0.request_id.0, &self.0.path);
                (written.headers().get(CONTENT_TYPE).cloned(), collect(written.into_body()).await?)
            }
            None => (parts.headers.get(CONTENT_TYPE).cloned(), sent.clone()),
        };
        let is_withheld = parts.headers.contains_key(SET_COOKIE) || has_secret(&body);
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok());
        let stored = StoredResponse {
            fingerprint: request.fingerprint.hash().to_vec(),
            key_version: request.fingerprint.key_version(),
            status: i16::try_from(parts.status.as_u16()).expect("a status has three digits"),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: if is_withheld { Vec::new() } else { body.to_vec() },
            is_withheld,
        };
        Ok((Some(stored), Response::from_parts(parts, Body::from(sent))))
    }
}

/// Says whose request is being handled. Called by the authorization.
pub fn set_principal(id: &str) {
    if let Some(keyed) = Keyed::current() {
        id.clone_into(&mut keyed.progress().principal);
    }
}

/// Returns whether the same request with the same key has finished, and its answer has not been
/// stored because it had secrets. The handler then answers without doing its work again.
pub fn is_repeated() -> bool {
    Keyed::current().is_some_and(|keyed| keyed.progress().is_repeated)
}

/// Leaves the key to the handler.
pub(super) fn leave_to_handler() {
    if let Some(keyed) = Keyed::current() {
        keyed.progress().is_own = true;
    }
}

/// Looks for the answer to an earlier request with the key and this body.
pub(crate) async fn body_arrived(body: &[u8]) -> Result<(), Problem> {
    match Keyed::current() {
        Some(keyed) => keyed.look_up(body).await,
        None => Ok(()),
    }
}

/// Looks for the answer to an earlier request with the key, whose form had this text and a file
/// with this hash. A handler that reads a [`FileForm`](crate::FileForm) calls it once the file is there,
/// and before its transaction.
///
/// # Errors
/// The problem of a key that another request has, or of a database failure. Also if there is such
/// an answer: the client gets that answer then.
pub async fn file_arrived(text: &[u8], hash: &[u8]) -> Result<(), Problem> {
    body_arrived(&[text, hash].concat()).await
}

/// Begins a transaction, which has the lock of the key if the request has one.
pub(super) async fn begin(
    pool: &sqlx::PgPool,
) -> Result<(Transaction<'static, Postgres>, Option<Keyed>), Problem> {
    let Some(keyed) = Keyed::current() else {
        return Ok((pool.begin().await?, None));
    };
    keyed.end_earlier().await?;
    let mut tx = pool.begin().await?;
    if let Err(problem) = keyed.open(&mut tx).await {
        // Dropping the transaction would keep its lock a moment longer.
        tx.rollback().await?;
        return Err(problem);
    }
    Ok((tx, Some(keyed)))
}

fn in_progress() -> Problem {
    Problem::new(&IN_PROGRESS, "Wait for the response, or repeat the request in a moment.")
}

/// Returns whether a repetition gets this answer. After a failure on our side, without a session,
/// or at a limit, the same request may succeed later.
fn is_kept(response: &Response) -> bool {
    let passing = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    let of_the_key = |problem: &Problem| [&IN_PROGRESS, &KEY_REUSED].contains(&problem.kind());
    let status = response.status();
    !status.is_server_error()
        && !passing.contains(&status)
        && !response.extensions().get::<Problem>().is_some_and(of_the_key)
}

/// Returns the stored answer, for the log line of the same caller.
fn replay(stored: StoredResponse, instead_of: &Response) -> Response {
    use axum::response::IntoResponse as _;
    let mut response = stored.into_response();
    if let Some(actor) = instead_of.extensions().get::<LoggedActor>() {
        response.extensions_mut().insert(actor.clone());
    }
    response
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    Ok(body.collect().await.map_err(|why| Problem::internal(&why))?.to_bytes())
}

/// Returns whether an answer has a member whose name says that it is a secret.
fn has_secret(body: &[u8]) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::Object(members) => {
                members.iter().any(|(name, value)| is_secret_name(name) || any(value))
            }
            Value::Array(items) => items.iter().any(any),
            _ => false,
        }
    }
    serde_json::from_slice(body).is_ok_and(|value: Value| any(&value))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.contains(&name.as_str())
        || SECRET_NAME_PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-API-02: an answer with a token, password, secret, recovery code or challenge is not
    /// stored, wherever in the answer it is.
    #[test]
    fn answers_with_secrets_are_found() {
        for secret in [
            r#"{"accessToken":"a","user":{}}"#,
            r#"{"refreshToken":"a"}"#,
            r#"{"deviceToken":"a"}"#,
            r#"{"enrolmentToken":"a"}"#,
            r#"{"secret":"a","uri":"otpauth:","qr":"<svg/>"}"#,
            r#"{"qr":"<svg/>"}"#,
            r#"{"recoveryCodes":["a"]}"#,
            r#"{"challengeId":"a"}"#,
            r#"{"items":[{"publicKey":{"challenge":"a"}}]}"#,
            r#"{"newPassword":"a"}"#,
        ] {
            assert!(has_secret(secret.as_bytes()), "{secret}");
        }
        for plain in ["", "not JSON", r#"{"status":"PENDING"}"#, r#"[{"sessionId":"token"}]"#] {
            assert!(!has_secret(plain.as_bytes()), "{plain}");
        }
    }
}
