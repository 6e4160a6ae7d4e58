//! Takes the file of a form in, and says to the client why a file is not taken in.

use gx_auth::Person;
use gx_documents::{
    ContentError, DocumentStatus, FileClaim, KeyStoreError, ReceiveError, Received, Refusal,
    Upload, ViewError,
};
use gx_serve::problem::{ErrorChain, InvalidField, kind};
use gx_serve::{FormError, FormFile, Problem, ProblemKind};

use super::form::DocumentForm;
use crate::ServiceState;

/// The file is not taken in.
pub(crate) const DOCUMENT_REFUSED: ProblemKind =
    ProblemKind::new("document_refused", 422, "The file is not taken in");

/// Seconds after which a client may try again if the document store is not there.
const STORE_RETRY_AFTER_S: u32 = 30;
/// Seconds after which a client may try again if too many PDFs are being read.
const BUSY_RETRY_AFTER_S: u32 = 5;

/// Takes a file in and stores it, without its document. A file that is refused leaves nothing.
pub(super) async fn receive(
    state: &ServiceState,
    person: &Person,
    form: &DocumentForm,
    file: FormFile,
) -> Result<Received, Problem> {
    let upload = Upload {
        profile_id: person.profile_id.clone(),
        document: form.claim(),
        file: FileClaim { mime_type: file.mime_type.clone(), file_name: file.name.clone() },
    };
    let pool = state.base.database.pool();
    let received = state.documents.receive(pool, upload, file.into_content()).await;
    let outcome = match &received {
        Ok(received) if received.status == DocumentStatus::Quarantined => "held",
        Ok(_) => "stored",
        Err(ReceiveError::Refused(_)) => "refused",
        Err(ReceiveError::Upload(_)) => "ended",
        Err(_) => "failed",
    };
    metrics::counter!("gx_document_uploads_total", "outcome" => outcome).increment(1);
    received.map_err(problem)
}

fn problem(error: ReceiveError) -> Problem {
    match error {
        ReceiveError::Refused(Refusal::TooLarge { max_bytes }) => {
            let detail = format!("A file may have at most {max_bytes} bytes.");
            Problem::new(&kind::BODY_TOO_LARGE, detail)
        }
        ReceiveError::Refused(refusal) => {
            let detail = "Hand in another file, or save it again as `errors` says.";
            Problem::new(&DOCUMENT_REFUSED, detail).with_errors(vec![InvalidField {
                pointer: "/file".to_owned(),
                code: refusal.code(),
                message: refusal.to_string(),
            }])
        }
        ReceiveError::Upload(cause) => match cause.downcast::<FormError>() {
            Ok(error) => (*error).into(),
            Err(cause) => Problem::internal(cause.as_ref()),
        },
        ReceiveError::View(ViewError::Busy) => {
            Problem::unavailable("Too many PDFs are being read.", BUSY_RETRY_AFTER_S)
        }
        ReceiveError::Database(error) => error.into(),
        ReceiveError::Store(error) => unavailable(&error),
        ReceiveError::Keys(error) => of_keys(error),
        error @ (ReceiveError::Content(_) | ReceiveError::View(_)) => Problem::internal(&error),
    }
}

/// Returns the problem of a key that cannot be had.
pub(super) fn of_keys(error: KeyStoreError) -> Problem {
    match error {
        error @ KeyStoreError::Folder { .. } => unavailable(&error),
        error => Problem::internal(&error),
    }
}

/// Returns the problem of content that cannot be read.
pub(super) fn of_content(error: ContentError) -> Problem {
    match error {
        ContentError::Store(error) if !error.is_missing() => unavailable(&error),
        ContentError::Keys(error) => of_keys(error),
        error => Problem::internal(&error),
    }
}

/// Returns the problem of a document store or a key store that cannot be used at the moment.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(
        error = %ErrorChain(error),
        "documents cannot be read or written; check GX_DOCUMENT_STORE and GX_KEY_STORE"
    );
    let detail = "Documents cannot be read or written at the moment.";
    Problem::unavailable(detail, STORE_RETRY_AFTER_S)
}
