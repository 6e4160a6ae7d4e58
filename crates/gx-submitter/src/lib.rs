//! outbox-submitter: turns committed commands into ledger transactions.
