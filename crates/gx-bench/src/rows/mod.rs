//! All rows. `main` measures those that the operator names, in this order; the first error ends the
//! run.

mod catch_up;
mod devnet;
mod documents;
mod enqueue;
mod latency;
mod network;
mod submitter;

use crate::row::Row;

/// All rows, in the order of the report.
pub(crate) const ROWS: &[Row] = &[
    devnet::COMMIT,
    devnet::EVALUATE,
    enqueue::ENQUEUE,
    latency::IDLE,
    latency::LIVE,
    submitter::THROUGHPUT,
    submitter::WHILE_ENQUEUING,
    submitter::OLD_SNAPSHOT,
    submitter::FINISHED,
    submitter::HOT_ACCOUNT,
    submitter::HOT_COUNTRY,
    catch_up::ACCOUNTS,
    catch_up::EVERYTHING,
    documents::UPLOAD,
    documents::ENCRYPTION,
    network::THROUGHPUT,
];
