use gx_db::testing::TestDatabase;

use super::store::TABLES;

/// Returns `Table.column type` for the tables of a schema that a rebuild copies unchanged.
const COLUMNS: &str = r#"
    SELECT table_name || '.' || column_name || ' ' || data_type
    FROM information_schema.columns c
    WHERE table_schema = $1 AND table_name NOT IN ('UserProfile', 'Difference')
      AND EXISTS (SELECT FROM information_schema.tables t
                  WHERE t.table_schema = 'gx_rebuild' AND t.table_name = c.table_name)
    ORDER BY table_name, ordinal_position"#;

/// Tables that are copied but hold no rows of the read model.
const NOT_COMPARED: [&str; 4] = ["EventDLQ", "LedgerAttempt", "OutboxCommand", "ProjectorState"];

#[tokio::test]
async fn the_copies_have_every_column_of_the_live_tables_and_all_are_compared() {
    let database = TestDatabase::create().await;
    let columns = async |schema: &str| -> Vec<String> {
        let columns = sqlx::query_scalar(COLUMNS).bind(schema);
        columns.fetch_all(database.pool()).await.unwrap()
    };
    let live = columns("public").await;
    assert_eq!(columns("gx_rebuild").await, live);
    let mut compared: Vec<String> = TABLES
        .iter()
        .flat_map(|table| {
            let columns = table.key.iter().chain(table.columns);
            columns.map(|column| format!("{}.{column}", table.name))
        })
        .collect();
    let mut wanted: Vec<String> = live
        .iter()
        .filter(|column| !NOT_COMPARED.iter().any(|table| column.starts_with(&format!("{table}."))))
        .map(|column| column.split(' ').next().unwrap().to_owned())
        .collect();
    compared.sort();
    wanted.sort();
    assert_eq!(compared, wanted);
}
