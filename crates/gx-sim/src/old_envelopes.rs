//! All envelopes that were ever stored, which are sent again at the worst moment. A run collects
//! them after each stored attempt; the checks ask whether every transaction was stored before it
//! was sent.

use std::collections::BTreeSet;

use sqlx::PgConnection;

/// The envelopes that a run has stored.
#[derive(Debug, Default)]
pub(crate) struct OldEnvelopes {
    /// Transaction id and envelope, in the order in which they were stored.
    pub(crate) envelopes: Vec<(String, Vec<u8>)>,
    known: BTreeSet<String>,
}

impl OldEnvelopes {
    /// Collects the envelopes that were stored since the last call, and returns the number of all.
    pub(crate) async fn collect(&mut self, conn: &mut PgConnection) -> usize {
        let known: Vec<String> = self.known.iter().cloned().collect();
        let new: Vec<(String, Vec<u8>)> = sqlx::query_as(
            r#"SELECT a."txId", a.envelope FROM "LedgerAttempt" a
               WHERE a."txId" <> ALL($1)
               ORDER BY (SELECT min(number) FROM "OutboxCommand" c
                         WHERE c."commandId" = ANY(a."commandIds"))"#,
        )
        .bind(known)
        .fetch_all(conn)
        .await
        .unwrap();
        self.known.extend(new.iter().map(|(tx_id, _)| tx_id.clone()));
        self.envelopes.extend(new);
        self.envelopes.len()
    }

    /// Returns whether a transaction was stored before it was sent.
    pub(crate) fn knows(&self, tx_id: &str) -> bool {
        self.known.contains(tx_id)
    }
}
