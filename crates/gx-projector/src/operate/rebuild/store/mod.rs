//! SQL of a rebuild: the copies in their own schema, how they differ from the live rows, and how
//! the live rows are corrected.
//!
//! Called by the parent module. Statements that read or correct live rows name the live schema,
//! which [`use_copies`] returns.

pub(crate) mod lock;

use gx_db::PgConnection;
use serde_json::Value;
use sqlx::{AssertSqlSafe, query, query_as, query_scalar};

/// A projected table whose rows are compared and corrected in all columns.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// Its primary key.
    pub(crate) key: &'static [&'static str],
    /// All other columns.
    pub(crate) columns: &'static [&'static str],
    /// Its facts that events update. For each, the columns `…Block`, `…TxIndex` and `…EventIndex`
    /// hold the place of the event that wrote it last; they are -1 if no event with a place did.
    pub(crate) facts: &'static [&'static str],
    /// Further columns that a release without places left empty, each with its fact. Like the
    /// fact's place, they are not compared while the place of the live row is -1.
    pub(crate) columns_with_fact: &'static [(&'static str, &'static str)],
    /// Whether an update may violate another unique key. Then changed rows are deleted and
    /// inserted.
    pub(crate) has_other_keys: bool,
}

/// All these tables. A table comes before those that refer to it.
pub(crate) const TABLES: [Table; 8] = [
    Table {
        name: "EventLog",
        key: &["channel", "blockNumber", "txId", "eventIndex"],
        columns: &["txIndex", "commandId", "eventName", "payload", "ledgerAt"],
        facts: &[],
        columns_with_fact: &[],
        has_other_keys: false,
    },
    Table {
        name: "LedgerSystem",
        key: &["channel"],
        columns: &[
            "bootstrappedAt",
            "bootstrappedTxId",
            "isPaused",
            "pauseReason",
            "pausedAt",
            "bootstrapBlock",
            "bootstrapTxIndex",
            "bootstrapEventIndex",
            "pauseBlock",
            "pauseTxIndex",
            "pauseEventIndex",
        ],
        facts: &["bootstrap", "pause"],
        columns_with_fact: &[],
        has_other_keys: false,
    },
    Table {
        name: "LedgerPool",
        key: &["poolId"],
        columns: &["startBalance"],
        facts: &[],
        columns_with_fact: &[],
        has_other_keys: false,
    },
    Table {
        name: "LedgerCountry",
        key: &["countryCode"],
        columns: &[
            "name",
            "sharePpb",
            "users",
            "userTotal",
            "treasuryTotal",
            "factsBlock",
            "factsTxIndex",
            "factsEventIndex",
            "countersBlock",
            "countersTxIndex",
            "countersEventIndex",
        ],
        facts: &["facts", "counters"],
        columns_with_fact: &[],
        has_other_keys: false,
    },
    Table {
        name: "LedgerPoolMove",
        key: &["txId", "poolId", "kind"],
        columns: &["amount", "at"],
        facts: &[],
        columns_with_fact: &[],
        has_other_keys: false,
    },
    Table {
        name: "LedgerUser",
        key: &["fabricUserId"],
        columns: &[
            "profileId",
            "countryCode",
            "createdTxId",
            "createdCommandId",
            "createdAt",
            "genesisTxId",
            "genesisAmount",
            "genesisPhase",
            "genesisRefusal",
            "isFrozen",
            "frozenReason",
            "freezeSeenAt",
            "grantBlock",
            "grantTxIndex",
            "grantEventIndex",
            "freezeBlock",
            "freezeTxIndex",
            "freezeEventIndex",
        ],
        facts: &["grant", "freeze"],
        columns_with_fact: &[("freezeSeenAt", "freeze")],
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
            "balanceBlock",
            "balanceTxIndex",
            "balanceEventIndex",
            "lockBlock",
            "lockTxIndex",
            "lockEventIndex",
        ],
        facts: &["balance", "lock"],
        columns_with_fact: &[],
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
        facts: &[],
        columns_with_fact: &[],
        has_other_keys: true,
    },
];

/// A column that a release without places left empty. An empty value does not differ.
const CREATED_BY: &str = "createdCommandId";

/// Table name of the differences in the projector's columns of `UserProfile`.
pub(crate) const PROFILES: &str = "UserProfile";

/// Makes the connection's statements write to the copies and returns the live schema, quoted. The
/// statement timeout is off, because statements over whole tables take long.
pub(crate) async fn use_copies(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    let live: String =
        query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *conn).await?;
    for sql in [format!("SET search_path = gx_rebuild, {live}"), "SET statement_timeout = 0".into()]
    {
        query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    Ok(live)
}

/// Makes the rest of the transaction write to the live rows.
pub(crate) async fn use_live(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
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

/// Makes the transaction read one snapshot. It must be the first statement.
pub(crate) async fn begin_snapshot(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").execute(conn).await.map(drop)
}

/// A checkpoint: the number and hash of the last block, and the hash of block 0.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Checkpoint {
    pub(crate) number: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) genesis: Vec<u8>,
}

/// Returns the checkpoint of the live rows.
pub(crate) async fn live_checkpoint(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    checkpoint_of(conn, live, channel, "").await
}

/// Returns the checkpoint of the live rows, locked until the transaction ends. Waits without a
/// limit for the block that is being applied; the lock timeout is as before afterwards.
pub(crate) async fn hold_live_checkpoint(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let before: String =
        query_scalar("SELECT current_setting('lock_timeout')").fetch_one(&mut *conn).await?;
    limit_lock_wait(conn, "0").await?;
    let at = checkpoint_of(conn, live, channel, "FOR UPDATE").await?;
    limit_lock_wait(conn, &before).await?;
    Ok(at)
}

async fn limit_lock_wait(conn: &mut PgConnection, limit: &str) -> Result<(), sqlx::Error> {
    let sql = "SELECT set_config('lock_timeout', $1, true)";
    query(sql).bind(limit).execute(conn).await.map(drop)
}

async fn checkpoint_of(
    conn: &mut PgConnection,
    live: &str,
    channel: &str,
    lock: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let sql = format!(
        r#"SELECT "blockNumber" AS number, "blockHash" AS hash, "genesisHash" AS genesis
           FROM {live}."ProjectorState" WHERE channel = $1 {lock}"#
    );
    query_as(AssertSqlSafe(sql)).bind(channel).fetch_optional(conn).await
}

/// An event that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct DeadLetter {
    pub(crate) block: i64,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Returns the first dead letter of the copy.
pub(crate) async fn first_dead(conn: &mut PgConnection) -> Result<Option<DeadLetter>, sqlx::Error> {
    query_as(
        r#"SELECT "blockNumber" AS block, coalesce("eventName", 'without a name') AS name, reason
           FROM gx_rebuild."EventDLQ" ORDER BY "blockNumber", "txIndex", "eventIndex" LIMIT 1"#,
    )
    .fetch_optional(conn)
    .await
}

/// Adds the accounts that may have a person and that the copy does not have yet.
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

/// Records every row that differs. Both sides must be at the same block.
pub(crate) async fn compare(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
    query(r#"DELETE FROM gx_rebuild."Difference""#).execute(&mut *conn).await?;
    for table in &TABLES {
        query(AssertSqlSafe(compare_sql(table, live))).execute(&mut *conn).await?;
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
    query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

fn compare_sql(table: &Table, live: &str) -> String {
    let name = table.name;
    let keys = each(table.key, ", ", |c| format!(r#"'{c}', coalesce(l."{c}", s."{c}")"#));
    let same = each(table.key, " AND ", |c| format!(r#"l."{c}" = s."{c}""#));
    let all = [table.key, table.columns].concat();
    let is_there = |alias: &str| format!(r#"{alias}."{}" IS NOT NULL"#, table.key[0]);
    format!(
        r#"INSERT INTO gx_rebuild."Difference" ("tableName", key, here, rebuilt)
           SELECT '{name}', jsonb_build_object({keys}),
                  CASE WHEN {here} THEN to_jsonb(l) END, CASE WHEN {rebuilt} THEN to_jsonb(s) END
           FROM {live}."{name}" l FULL JOIN gx_rebuild."{name}" s ON {same}
           WHERE {left} IS DISTINCT FROM {right}"#,
        here = is_there("l"),
        rebuilt = is_there("s"),
        left = row(&all, |c| compared_with(table, c)),
        right = row(&all, |c| format!(r#"s."{c}""#)),
    )
}

fn row(columns: &[&str], say: impl Fn(&str) -> String) -> String {
    format!("ROW({})", each(columns, ", ", say))
}

/// Returns a live column as it is compared. If the place of a fact is -1, the columns of the place
/// and those noted with the fact do not differ; the values of the fact are always compared.
fn compared_with(table: &Table, column: &str) -> String {
    if column == CREATED_BY {
        return format!(r#"coalesce(l."{column}", s."{column}")"#);
    }
    let is_of = |fact: &&str| ["Block", "TxIndex", "EventIndex"].map(|c| format!("{fact}{c}"));
    let fact = table.facts.iter().copied().find(|fact| is_of(fact).iter().any(|c| c == column));
    let noted = table.columns_with_fact.iter().find(|(noted, _)| *noted == column);
    match fact.or(noted.map(|(_, fact)| *fact)) {
        None => format!(r#"l."{column}""#),
        Some(fact) => {
            format!(r#"CASE WHEN l."{fact}Block" = -1 THEN s."{column}" ELSE l."{column}" END"#)
        }
    }
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct DifferentRow {
    pub(crate) table_name: String,
    pub(crate) key: Value,
    pub(crate) here: Option<Value>,
    pub(crate) rebuilt: Option<Value>,
}

/// Returns the first rows that differ.
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

/// Numbers of rows of one table that are missing, surplus or changed.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Count {
    pub(crate) table_name: String,
    pub(crate) missing: i64,
    pub(crate) surplus: i64,
    pub(crate) changed: i64,
}

/// Returns the numbers of rows that differ, by table.
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

/// Makes the recorded rows equal to those of the copies.
pub(crate) async fn correct(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
    for table in TABLES.iter().rev() {
        query(AssertSqlSafe(delete_sql(table, live))).execute(&mut *conn).await?;
    }
    for table in &TABLES {
        query(AssertSqlSafe(write_sql(table, live))).execute(&mut *conn).await?;
    }
    correct_profiles(conn, live).await
}

/// Returns the FROM and WHERE clauses that select the recorded rows of a table by their keys.
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

/// Corrects only the projector's columns, and of `onchainStatus` only whether it is REGISTERED;
/// never an account's status. The ids are cleared first, because two accounts may have each
/// other's.
async fn correct_profiles(conn: &mut PgConnection, live: &str) -> Result<(), sqlx::Error> {
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
    query(AssertSqlSafe(set)).execute(conn).await.map(drop)
}

fn each(columns: &[&str], between: &str, say: impl Fn(&str) -> String) -> String {
    columns.iter().map(|column| say(column)).collect::<Vec<_>>().join(between)
}
