//! Keeps the routes of a service closed until it may serve, while its probes answer already. Called
//! by `gx` for services whose start has work to do that may wait for the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;

/// Seconds after which a client may ask again.
const RETRY_AFTER_S: u32 = 2;

/// Whether a service may serve. Clones share it; once open it stays so.
#[derive(Clone, Debug, Default)]
pub struct Opening(Arc<AtomicBool>);

impl Opening {
    /// Lets the service serve from now on.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Handles one request inside the layer: refuses it while the service is closed.
    pub(crate) async fn around(self, request: Request, next: Next) -> Response {
        if self.0.load(Ordering::Acquire) {
            return next.run(request).await;
        }
        let detail = "The service has just started. Repeat the request in a moment.";
        Problem::unavailable(detail, RETRY_AFTER_S).into_response()
    }
}
