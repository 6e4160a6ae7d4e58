//! The queue of people under review, who has waited longest first (KYC-05). Called by the route
//! `GET /api/v1/admin/review/queue` and by the check `review`.
//!
//! Somebody waits from the submission on, without the time for which the clock was stopped. A
//! person whose wait is longer than the target (`GX_REVIEW_TARGET`) is late.

pub(crate) mod http;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use store::count;
