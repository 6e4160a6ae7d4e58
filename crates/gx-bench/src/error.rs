//! Why a benchmark has no result. The error of any row ends the run; `main` prints it.

use std::path::PathBuf;

/// Why a row cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("there is no row {name}; there are {known}")]
    UnknownRow { name: String, known: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Results { path: PathBuf, source: serde_json::Error },
    #[error("{part} has ended early; its messages are above")]
    Ended { part: &'static str },
    #[error("{part} printed an unexpected line: {line}")]
    Unexpected { part: &'static str, line: String },
    #[error("a message cannot be encoded or decoded: {0}")]
    Message(#[from] serde_json::Error),
    #[error("input or output failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the ledger: {0}")]
    Ledger(#[from] gx_fabric_client::LedgerError),
    #[error("blocks: {0}")]
    Blocks(String),
    #[error("transaction {tx_id} is not valid: {code}")]
    Invalid { tx_id: String, code: String },
    #[error("the development ledger: {0}")]
    Devnet(#[from] gx_devnet::DevnetError),
    #[error("the empty server: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("the empty server answered {0}")]
    Status(#[from] tonic::Status),
    #[error("the benchmarks' PostgreSQL: {0}")]
    Cluster(#[from] gx_db::cluster::ClusterError),
    #[error("the schema: {0}")]
    Migrate(#[from] gx_db::MigrateError),
    #[error("the database: {0}")]
    Database(#[from] gx_db::DbError),
    #[error("the outbox: {0}")]
    Enqueue(#[from] gx_outbox::enqueue::EnqueueError),
    #[error("SQL: {0}")]
    Sql(#[from] sqlx::Error),
    #[error("a worker halted: {0}")]
    Worker(String),
    #[error("{what}: found {found} instead of {expected}")]
    Wrong { what: &'static str, expected: u64, found: u64 },
    #[error("{what} made no progress for {seconds} s")]
    Stuck { what: &'static str, seconds: u64 },
    #[error("documents: {0}")]
    Documents(String),
    #[error("openssl printed no speed: {output}")]
    Openssl { output: String },
    #[error("keys or certificates: {0}")]
    Keys(String),
}
