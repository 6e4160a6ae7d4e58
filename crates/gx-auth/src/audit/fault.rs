//! What is wrong with an audit log.

/// The first fault of the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditLogFault {
    /// A row of the chain is missing.
    #[error("row {0} of the audit log is missing; compare the log with a backup")]
    MissingRow(i64),
    /// A row of the chain was changed after it was written.
    #[error("row {0} of the audit log was changed; compare the row with a backup")]
    ChangedRow(i64),
    /// A batch is missing.
    #[error("batch {0} of the audit log is missing; compare the log with a backup")]
    MissingBatch(i64),
    /// A batch, or the list of its entries, was changed after it was sealed.
    #[error("batch {0} of the audit log was changed; compare the batch with a backup")]
    ChangedBatch(i64),
    /// A sealed entry is missing.
    #[error("entry {0} of the audit log is missing; compare the log with a backup")]
    MissingEntry(i64),
    /// An entry was changed after it was sealed.
    #[error("entry {0} of the audit log was changed; compare the entry with a backup")]
    ChangedEntry(i64),
    /// A text of an entry was changed, removed or added.
    #[error(
        "a text of entry {0} of the audit log was changed, removed or added; compare the text with \
         a backup"
    )]
    ChangedText(i64),
    /// A text was erased, and no entry records it.
    #[error(
        "a text of entry {0} of the audit log was erased without a record; compare the text with a \
         backup"
    )]
    UnrecordedErasure(i64),
    /// An entry is in no batch and does not wait to be sealed.
    #[error(
        "entry {0} of the audit log neither is sealed nor waits: it was added by hand, or taken \
         from the queue; compare the log with a backup"
    )]
    AddedEntry(i64),
}

/// Why the audit log could not be confirmed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log has a fault.
    #[error(transparent)]
    Fault(#[from] AuditLogFault),
    /// A row could not be read.
    #[error("the audit log cannot be read; check the database and its log")]
    Database(#[from] sqlx::Error),
}
