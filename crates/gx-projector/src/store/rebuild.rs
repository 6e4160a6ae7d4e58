//! SQL of a rebuild: the copies in their own schema, their differences from the live rows, and
//! how those are put right.
//!
//! The live schema is whichever the connection began with, so the statements are made for it.

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{AssertSqlSafe, query, query_as, query_scalar};

/// A projected table that is compared and put right as a whole.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Its primary key.
    pub(crate) key: &'static [&'static str],
    /// All other columns.
    pub(crate) columns: &'static [&'static str],
    /// Whether another unique key may stand in the way of an update: then changed rows are
    /// deleted and added.
    pub(crate) has_other_keys: bool,
}

/// Every such table, what others refer to before those that do.
pub(crate) const TABLES: [Table; 8] = [
    Table {
        name: "EventLog",
        key: &["channel", "blockNumber", "txId", "eventIndex"],
        columns: &["txIndex", "commandId", "eventName", "payload", "ledgerAt"],
        has_other_keys: false,
    },
    Table {
        name: "LedgerSystem",
        key: &["channel"],
        columns: &["bootstrappedAt", "bootstrappedTxId", "isPaused", "pauseReason", "pausedAt"],
        has_other_keys: false,
    },
    Table {
        name: "LedgerPool",
        key: &["poolId"],
        columns: &["startBalance"],
        has_other_keys: false,
    },
    Table {
        name: "LedgerCountry",
        key: &["countryCode"],
        columns: &["name", "sharePpb", "users", "userTotal", "treasuryTotal"],
        has_other_keys: false,
    },
    Table {
        name: "LedgerPoolMove",
        key: &["txId", "poolId", "kind"],
        columns: &["amount", "at"],
        has_other_keys: false,
    },
    Table {
        name: "LedgerUser",
        key: &["fabricUserId"],
        columns: &[
            "profileId",
            "countryCode",
            "createdTxId",
            "createdAt",
            "genesisTxId",
            "genesisAmount",
            "genesisPhase",
            "genesisRefusal",
            "isFrozen",
            "frozenReason",
        ],
        has_other_keys: true,
    },
    Table {
        name: "Wallet",
        key: &["walletId"],
        columns: &[
            "accountId",
            "kind",
            "profileId",
            "fabricUserId",
            "balance",
            "isLocked",
            "lastTxId",
            "asOfBlock",
            "createdAt",
            "updatedAt",
        ],
        has_other_keys: true,
    },
    Table {
        name: "Transaction",
        key: &["id"],
        columns: &[
            "onChainTxId",
            "eventIndex",
            "accountId",
            "blockNumber",
            "commandId",
            "type",
            "direction",
            "counterparty",
            "amount",
            "fee",
            "at",
        ],
        has_other_keys: true,
    },
];

/// Under which name differences of the projector's columns of `UserProfile` stand.
pub(crate) const PROFILES: &str = "UserProfile";

/// Becomes the one rebuild of a channel, for as long as the connection lives.
pub(crate) async fn try_begin(conn: &mut PgConnection, channel: &str) -> Result<bool, sqlx::Error> {
    query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtext('gx rebuild'), hashtext($1)) AS "begins!""#,
        channel,
    )
    .fetch_one(conn)
    .await
}

/// Lets the connection's statements write to the copies; the live schema, quoted. Statements
/// over whole tables take their time.
pub(crate) async fn turn_to_copies(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    let live: String =
        query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *conn).await?;
    for sql in [format!("SET search_path = gx_rebuild, {live}"), "SET statement_timeout = 0".into()]
    {
        query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(live)
}

/// Lets the transaction's statements write to the live rows from here on.
pub(crate) async fn turn_to_live(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
    let sql = format!("SET LOCAL search_path = {live}");
    query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Empties the copies.
pub(crate) async fn clear(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query(
        r#"TRUNCATE gx_rebuild."ProjectorState", gx_rebuild."EventDLQ", gx_rebuild."EventLog",
               gx_rebuild."LedgerSystem", gx_rebuild."LedgerPool", gx_rebuild."LedgerCountry",
               gx_rebuild."LedgerPoolMove", gx_rebuild."LedgerUser", gx_rebuild."Wallet",
               gx_rebuild."Transaction", gx_rebuild."UserProfile", gx_rebuild."Difference""#,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Keeps what one transaction reads at one moment; its first statement.
pub(crate) async fn hold_moment(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(conn).await.map(drop)
}

/// A checkpoint: the last block's number and hash.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct At {
    pub(crate) number: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) genesis: Vec<u8>,
}

/// The live rows' checkpoint.
pub(crate) async fn live_checkpoint(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
    lock: bool,
) -> Result<Option<At>, sqlx::Error> {
    let lock = if lock { "FOR UPDATE" } else { "" };
    let sql = format!(
        r#"SELECT "blockNumber" AS number, "blockHash" AS hash, "genesisHash" AS genesis
           FROM {live}."ProjectorState" WHERE channel = $1 {lock}"#
    );
    query_as(AssertSqlSafe(sql)).bind(channel).fetch_optional(conn).await
}

/// An event that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Dead {
    pub(crate) block: i64,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// The copy's first dead letter.
pub(crate) async fn first_dead(conn: &mut PgConnection) -> Result<Option<Dead>, sqlx::Error> {
    query_as(
        r#"SELECT "blockNumber" AS block, coalesce("eventName", 'without a name') AS name, reason
           FROM gx_rebuild."EventDLQ" ORDER BY "blockNumber", "txIndex", "eventIndex" LIMIT 1"#,
    )
    .fetch_optional(conn)
    .await
}

/// Adds the accounts that the chain may know and that the copy does not have yet.
pub(crate) async fn add_profiles(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
    let sql = format!(
        r#"INSERT INTO gx_rebuild."UserProfile" ("profileId")
           SELECT "profileId" FROM {live}."FabricIdReservation"
           UNION SELECT "profileId" FROM {live}."UserProfile"
                 WHERE "fabricUserId" IS NOT NULL OR "onchainRegisteredAt" IS NOT NULL
                    OR "lastSyncedAt" IS NOT NULL
           EXCEPT SELECT "profileId" FROM gx_rebuild."UserProfile""#
    );
    query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// Notes every row that differs; how many. Both sides must stand at the same block.
pub(crate) async fn compare(conn: &mut PgConnection, live: &str) -> Result<u64, sqlx::Error> {
    query(r#"DELETE FROM gx_rebuild."Difference""#).execute(&mut *conn).await?;
    let mut differ = 0;
    for table in &TABLES {
        let sql = compare_sql(table, live);
        differ += query(AssertSqlSafe(sql)).execute(&mut *conn).await?.rows_affected();
    }
    let sql = format!(
        r#"INSERT INTO gx_rebuild."Difference" ("tableName", key, here, rebuilt)
           SELECT '{PROFILES}', jsonb_build_object('profileId', p."profileId"), h.row, r.row
           FROM {live}."UserProfile" p
           JOIN gx_rebuild."UserProfile" s USING ("profileId"),
           LATERAL (SELECT jsonb_build_object(
               'fabricUserId', p."fabricUserId",
               'isRegistered', p."onchainStatus" = 'REGISTERED',
               'onchainRegisteredAt', p."onchainRegisteredAt",
               'lastSyncedAt', p."lastSyncedAt") AS row) h,
           LATERAL (SELECT jsonb_build_object(
               'fabricUserId', s."fabricUserId",
               'isRegistered', s."onchainStatus" = 'REGISTERED',
               'onchainRegisteredAt', s."onchainRegisteredAt",
               'lastSyncedAt', s."lastSyncedAt") AS row) r
           WHERE h.row <> r.row"#
    );
    Ok(differ + query(AssertSqlSafe(sql)).execute(conn).await?.rows_affected())
}

fn compare_sql(table: &Table, live: &str) -> String {
    let name = table.name;
    let keys = each(table.key, ", ", |c| format!(r#"'{c}', coalesce(l."{c}", s."{c}")"#));
    let same = each(table.key, " AND ", |c| format!(r#"l."{c}" = s."{c}""#));
    let side = |alias: &str| {
        let all = [table.key, table.columns].concat();
        format!("ROW({})", each(&all, ", ", |c| format!(r#"{alias}."{c}""#)))
    };
    let is_there = |alias: &str| format!(r#"{alias}."{}" IS NOT NULL"#, table.key[0]);
    format!(
        r#"INSERT INTO gx_rebuild."Difference" ("tableName", key, here, rebuilt)
           SELECT '{name}', jsonb_build_object({keys}),
                  CASE WHEN {here} THEN to_jsonb(l) END, CASE WHEN {rebuilt} THEN to_jsonb(s) END
           FROM {live}."{name}" l FULL JOIN gx_rebuild."{name}" s ON {same}
           WHERE {left} IS DISTINCT FROM {right}"#,
        here = is_there("l"),
        rebuilt = is_there("s"),
        left = side("l"),
        right = side("s"),
    )
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct DifferentRow {
    pub(crate) table_name: String,
    pub(crate) key: Value,
    pub(crate) here: Option<Value>,
    pub(crate) rebuilt: Option<Value>,
}

/// The first of the rows that differ.
pub(crate) async fn different_rows(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<DifferentRow>, sqlx::Error> {
    query_as(
        r#"SELECT "tableName" AS table_name, key, here, rebuilt FROM gx_rebuild."Difference"
           ORDER BY "tableName", key LIMIT $1"#,
    )
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// How many rows of a table are missing here, are too many, or differ.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Count {
    pub(crate) table_name: String,
    pub(crate) missing: i64,
    pub(crate) surplus: i64,
    pub(crate) changed: i64,
}

/// Counts of the rows that differ, by table.
pub(crate) async fn counts(conn: &mut PgConnection) -> Result<Vec<Count>, sqlx::Error> {
    query_as(
        r#"SELECT "tableName" AS table_name, count(*) FILTER (WHERE here IS NULL) AS missing,
                  count(*) FILTER (WHERE rebuilt IS NULL) AS surplus,
                  count(*) FILTER (WHERE here IS NOT NULL AND rebuilt IS NOT NULL) AS changed
           FROM gx_rebuild."Difference" GROUP BY 1 ORDER BY 1"#,
    )
    .fetch_all(conn)
    .await
}

/// Makes the noted rows what they are in the copies now; how many statements' rows that were.
pub(crate) async fn put_right(conn: &mut PgConnection, live: &str) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for table in TABLES.iter().rev() {
        rows += query(AssertSqlSafe(delete_sql(table, live)))
            .execute(&mut *conn)
            .await?
            .rows_affected();
    }
    for table in &TABLES {
        rows +=
            query(AssertSqlSafe(write_sql(table, live))).execute(&mut *conn).await?.rows_affected();
    }
    Ok(rows + put_profiles_right(conn, live).await?)
}

/// Picks the noted rows of a table by their keys.
fn noted(table: &Table, live: &str, alias: &str) -> String {
    let name = table.name;
    let same = each(table.key, " AND ", |c| format!(r#"{alias}."{c}" = k."{c}""#));
    format!(
        r#"gx_rebuild."Difference" d, jsonb_populate_record(NULL::{live}."{name}", d.key) k
           WHERE d."tableName" = '{name}' AND {same}"#
    )
}

fn delete_sql(table: &Table, live: &str) -> String {
    let (name, noted) = (table.name, noted(table, live, "l"));
    let same = each(table.key, " AND ", |c| format!(r#"s."{c}" = l."{c}""#));
    let which = if table.has_other_keys {
        String::new()
    } else {
        format!(r#" AND NOT EXISTS (SELECT FROM gx_rebuild."{name}" s WHERE {same})"#)
    };
    format!(r#"DELETE FROM {live}."{name}" l USING {noted}{which}"#)
}

fn write_sql(table: &Table, live: &str) -> String {
    let (name, noted) = (table.name, noted(table, live, "s"));
    let quoted = |c: &str| format!(r#""{c}""#);
    let all = [table.key, table.columns].concat();
    let (columns, key) = (each(&all, ", ", quoted), each(table.key, ", ", quoted));
    let values = each(&all, ", ", |c| format!(r#"s."{c}""#));
    let set = each(table.columns, ", ", |c| format!(r#""{c}" = EXCLUDED."{c}""#));
    format!(
        r#"INSERT INTO {live}."{name}" ({columns})
           SELECT {values} FROM gx_rebuild."{name}" s, {noted}
           ON CONFLICT ({key}) DO UPDATE SET {set}"#
    )
}

/// Only the projector's own columns, and of `onchainStatus` only whether it is REGISTERED;
/// never an account's status. Ids are freed first: two accounts may have each other's.
async fn put_profiles_right(conn: &mut PgConnection, live: &str) -> Result<u64, sqlx::Error> {
    let free = format!(
        r#"UPDATE {live}."UserProfile" p
           SET "fabricUserId" = NULL,
               "onchainStatus" = CASE p."onchainStatus" WHEN 'REGISTERED' THEN 'PENDING'
                                                        ELSE p."onchainStatus" END
           FROM gx_rebuild."Difference" d, gx_rebuild."UserProfile" s
           WHERE d."tableName" = '{PROFILES}' AND p."profileId" = d.key ->> 'profileId'
             AND s."profileId" = p."profileId"
             AND (p."fabricUserId" IS DISTINCT FROM s."fabricUserId"
                  OR p."onchainStatus" = 'REGISTERED' AND s."onchainStatus" <> 'REGISTERED')"#
    );
    query(AssertSqlSafe(free)).execute(&mut *conn).await?;
    let set = format!(
        r#"UPDATE {live}."UserProfile" p
           SET "fabricUserId" = s."fabricUserId",
               "onchainRegisteredAt" = s."onchainRegisteredAt",
               "lastSyncedAt" = s."lastSyncedAt",
               "onchainStatus" = CASE s."onchainStatus" WHEN 'REGISTERED' THEN 'REGISTERED'
                                                        ELSE p."onchainStatus" END
           FROM gx_rebuild."Difference" d, gx_rebuild."UserProfile" s
           WHERE d."tableName" = '{PROFILES}' AND p."profileId" = d.key ->> 'profileId'
             AND s."profileId" = p."profileId""#
    );
    Ok(query(AssertSqlSafe(set)).execute(conn).await?.rows_affected())
}

fn each(columns: &[&str], between: &str, say: impl Fn(&str) -> String) -> String {
    columns.iter().map(|column| say(column)).collect::<Vec<_>>().join(between)
}
