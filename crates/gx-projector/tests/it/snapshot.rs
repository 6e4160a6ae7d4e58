//! Everything that a database has from the chain, for comparison with another database.

use std::collections::BTreeMap;

use gx_db::PgConnection;
use sqlx::AssertSqlSafe;

/// The rows of a table as JSON, in order, with the table's name.
pub(crate) type Snapshot = BTreeMap<&'static str, Vec<String>>;

/// The projected tables and the people, and for each table the columns that say when or in which
/// order this database was written.
const READ_MODEL: [(&str, &[&str]); 12] = [
    ("EventLog", &[]),
    ("EventDLQ", &["deadEventId", "createdAt", "resolvedAt"]),
    ("LedgerSystem", &[]),
    ("LedgerPool", &[]),
    ("PoolBalance", &[]),
    ("LedgerCountry", &[]),
    ("LedgerPoolMove", &[]),
    ("LedgerUser", &[]),
    ("Wallet", &[]),
    ("Transaction", &[]),
    ("UserProfile", &[]),
    ("ProjectorState", &["updatedAt"]),
];

/// Returns every row that depends only on the chain.
pub(crate) async fn read_model(conn: &mut PgConnection) -> Snapshot {
    let mut all = Snapshot::new();
    for (table, without) in READ_MODEL {
        let without: String = without.iter().map(|column| format!(" - '{column}'")).collect();
        let sql =
            format!(r#"SELECT (to_jsonb(t){without})::text AS row FROM "{table}" t ORDER BY 1"#);
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *conn).await.unwrap();
        all.insert(table, rows);
    }
    all
}

/// Fails with the rows that only one side has.
pub(crate) fn assert_same(left: &Snapshot, right: &Snapshot) {
    for (table, rows) in left {
        let others = &right[table];
        let only_left: Vec<_> = rows.iter().filter(|row| !others.contains(row)).collect();
        let only_right: Vec<_> = others.iter().filter(|row| !rows.contains(row)).collect();
        let same = only_left.is_empty() && only_right.is_empty() && rows.len() == others.len();
        assert!(same, "{table}: {only_left:#?} against {only_right:#?}");
    }
}
