//! Everything that a database has from the chain, for comparison with another database.

use std::collections::{BTreeMap, BTreeSet};

use gx_db::PgConnection;
use gx_db::testing::TestDatabase;
use sqlx::AssertSqlSafe;

use crate::chain::PROJECTED;

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

/// Tables of the schema `gx_rebuild` that hold no rows of the read model.
const NOT_PROJECTED: [&str; 3] = ["Difference", "LedgerAttempt", "OutboxCommand"];

/// A projection has a copy for the rebuild, and each copy is in both lists, so that no projection
/// is left out of the comparisons.
#[tokio::test]
async fn the_lists_of_projected_tables_are_those_of_the_rebuild() {
    let database = TestDatabase::create().await;
    let copies: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables
         WHERE table_schema = 'gx_rebuild' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    let mut copies: BTreeSet<&str> = copies.iter().map(String::as_str).collect();
    for table in NOT_PROJECTED {
        assert!(copies.remove(table), "gx_rebuild has no table {table}");
    }
    // PoolBalance is a view of other tables.
    let compared = READ_MODEL.iter().map(|(table, _)| *table).filter(|name| *name != "PoolBalance");
    assert_eq!(compared.collect::<BTreeSet<_>>(), copies, "READ_MODEL");
    // An event is a dead letter until it is replayed, and leaves no projection.
    copies.remove("EventDLQ");
    let projected = PROJECTED.iter().map(|select| select.rsplit('"').nth(1).unwrap());
    assert_eq!(projected.collect::<BTreeSet<_>>(), copies, "PROJECTED");
}

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
