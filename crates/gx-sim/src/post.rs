//! Every envelope that was ever stored, to be sent again at the worst moment.

use std::collections::BTreeSet;

use sqlx::PgConnection;

/// What the run knows of envelopes.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// In the order in which they were stored.
    pub(crate) envelopes: Vec<(String, Vec<u8>)>,
    known: BTreeSet<String>,
}

impl Post {
    /// Takes note of the envelopes that were stored since; how many they are now.
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

    /// Whether a transaction was stored before it was sent.
    pub(crate) fn knows(&self, tx_id: &str) -> bool {
        self.known.contains(tx_id)
    }
}
