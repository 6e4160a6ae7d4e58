//! Asks a server with the migrated schema for the parameters and columns of each query. Called by
//! the parent module. A query that the schema refuses is a finding; any other failure is an error.

use std::collections::BTreeMap;

use gx_db::testing::TestDatabase;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, PgConnection, SqlSafeStr};

use super::queries::Query;
use crate::error::Error;

/// The setting with which the macros read from query plans which columns may be null.
const GENERIC_PLANS: &str = "SET SESSION plan_cache_mode = 'force_generic_plan'";

/// A file of the folder `.sqlx`, as the macros would save it.
pub(crate) struct DescriptionFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The server's answers about all queries.
#[derive(Default)]
pub(crate) struct Described {
    pub(crate) files: Vec<DescriptionFile>,
    /// Findings about queries that the schema refuses.
    pub(crate) misfits: Vec<String>,
}

/// Describes each distinct query on a new, migrated database.
pub(crate) async fn all(queries: &[Query]) -> Result<Described, Error> {
    let database = TestDatabase::create().await;
    let mut connection = database.connection().await;
    connection.execute(GENERIC_PLANS).await.map_err(Error::Database)?;
    let distinct: BTreeMap<&str, &Query> =
        queries.iter().map(|query| (query.sql.as_str(), query)).collect();
    let mut described = Described::default();
    for query in distinct.values() {
        match describe(&mut connection, &query.sql).await {
            Ok(file) => described.files.push(file),
            Err(sqlx::Error::Database(refusal)) => {
                described.misfits.push(format!("{}: {}", query.place, refusal.message()));
            }
            Err(error) => return Err(Error::Database(error)),
        }
    }
    Ok(described)
}

/// Asks the server about one query.
async fn describe(connection: &mut PgConnection, sql: &str) -> sqlx::Result<DescriptionFile> {
    let statement = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let describe = connection.describe(statement).await?;
    let describe =
        serde_json::to_value(describe).map_err(|error| sqlx::Error::Encode(error.into()))?;
    Ok(file(sql, &describe))
}

/// Returns the file that the macros would save for a query.
fn file(sql: &str, describe: &Value) -> DescriptionFile {
    let hash = hex::encode(Sha256::digest(sql.as_bytes()));
    let saved =
        json!({ "db_name": "PostgreSQL", "query": sql, "describe": describe, "hash": hash });
    DescriptionFile { name: format!("query-{hash}.json"), text: format!("{saved:#}\n") }
}
