//! The layer that handles database failures that concern more than one request (DB-11, RDY-09). It
//! is around all routes of a service that has a database.
//!
//! It reports the failure to the database. If the request met a plan from before a migration, the
//! layer repeats the request on a new connection: the failed transaction has changed nothing, and
//! every route may be repeated, because clients do so after a 503.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use gx_db::{Database, DatabaseFailure};
use hyper::body::{Frame, SizeHint};

use crate::admission::BodyMemory;
use crate::problem::Problem;

/// Limit of repetitions of one request. A migration in steps can change the schema several times
/// meanwhile.
const MAX_REPEATS: u32 = 3;

/// Handles one request inside the layer and returns the last response. If the body cannot be read
/// again or the repetitions are used up, that is the response of the failure.
pub(crate) async fn around(database: Database, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let kept = KeptBody::new(body);
    parts.extensions.insert(kept.clone());
    let mut repeats = 0;
    loop {
        let request = Request::from_parts(parts.clone(), kept.again());
        let response = next.clone().run(request).await;
        let Some(failure) =
            response.extensions().get::<Problem>().and_then(Problem::database_failure)
        else {
            return response;
        };
        database.report_failure(failure);
        if *failure != DatabaseFailure::StalePlan || repeats == MAX_REPEATS || kept.is_lost() {
            return response;
        }
        repeats += 1;
    }
}

/// The body of a request that may have to be repeated; an extension of each request. Clones share
/// the body.
#[derive(Clone)]
pub(crate) struct KeptBody(Arc<Mutex<Content>>);

struct Content {
    /// The complete body, once an extractor has read it, and the memory that is counted for it.
    whole: Option<(Bytes, Option<BodyMemory>)>,
    /// Whether an extractor has begun to read.
    is_touched: bool,
    /// The body as the client sends it.
    arriving: Body,
}

impl KeptBody {
    fn new(arriving: Body) -> Self {
        Self(Arc::new(Mutex::new(Content { whole: None, is_touched: false, arriving })))
    }

    /// Keeps the complete body, which an extractor has read. A body that no extractor keeps, such
    /// as a stream of uploaded files, cannot be read again.
    pub(crate) fn keep(&self, whole: Bytes, memory: Option<BodyMemory>) {
        self.content().whole = Some((whole, memory));
    }

    /// Returns the body from its beginning.
    fn again(&self) -> Body {
        match &self.content().whole {
            Some((whole, _)) => Body::from(whole.clone()),
            None => Body::new(Arriving(self.clone())),
        }
    }

    /// Returns whether the body cannot be read from its beginning any more.
    fn is_lost(&self) -> bool {
        let content = self.content();
        content.is_touched && content.whole.is_none()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes the body on as it arrives. Dropping it keeps the unread rest for the next reader.
struct Arriving(KeptBody);

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut content = self.0.content();
        content.is_touched = true;
        Pin::new(&mut content.arriving).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.content().arriving.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.content().arriving.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_body_is_there_again_when_nobody_or_an_extractor_has_read_it() {
        let kept = KeptBody::new(Body::from("all of it"));
        drop(kept.again());
        assert!(!kept.is_lost());
        let whole = read(kept.again()).await;
        assert_eq!(whole, "all of it");
        assert!(kept.is_lost(), "it is not kept by itself");
        kept.keep(whole, None);
        assert!(!kept.is_lost());
        for _ in 0..2 {
            assert_eq!(read(kept.again()).await, "all of it");
        }
    }
}
