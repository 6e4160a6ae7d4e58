//! SQL of the audit log. Called by the modules of this folder only.

use gx_db::PgConnection;
use time::OffsetDateTime;

use super::content::{Batch, ChainEnd, ChainRow, SealedEntry, StoredEntry};
use super::{Actor, Entry};

/// Inserts an entry, which then waits to be sealed, and its texts. Returns its number.
pub(super) async fn append(
    conn: &mut PgConnection,
    entry: &Entry<'_>,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    let actor_type = match entry.actor {
        Actor::User(_) => "USER",
        Actor::Admin(_) => "ADMIN",
        Actor::System(_) => "SYSTEM",
    };
    let fields: Vec<String> = entry.texts.iter().map(|text| text.field.to_owned()).collect();
    let salts: Vec<Vec<u8>> = entry.texts.iter().map(|text| text.salt.to_vec()).collect();
    let texts: Vec<String> = entry.texts.iter().map(|text| text.text.to_owned()).collect();
    sqlx::query_scalar!(
        r#"WITH entry AS (
               INSERT INTO "AuditEntry" (at, "actorType", "actorId", action, "targetType",
                   "targetId", before, after, "requestId")
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq, at),
           texts AS (
               INSERT INTO "AuditText" (seq, field, salt, text)
               SELECT entry.seq, given.field, given.salt, given.text
               FROM entry, unnest($10::text[], $11::bytea[], $12::text[])
                   AS given (field, salt, text))
           INSERT INTO "AuditUnsealed" (seq, at) SELECT seq, at FROM entry RETURNING seq"#,
        now,
        actor_type,
        entry.actor.id(),
        entry.action,
        entry.target_type,
        entry.target_id,
        entry.before,
        entry.after,
        entry.request_id,
        &fields,
        &salts,
        &texts,
    )
    .fetch_one(conn)
    .await
}

/// Returns whether this session may seal until its transaction ends.
pub(super) async fn try_lock_sealer(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock(hashtextextended('AuditBatch', 0)) AS "locked!""#
    )
    .fetch_one(conn)
    .await
}

/// Takes the oldest entries that wait, and returns them in ascending order.
pub(super) async fn take_unsealed(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<StoredEntry>, sqlx::Error> {
    sqlx::query_as!(
        StoredEntry,
        r#"WITH taken AS (
               DELETE FROM "AuditUnsealed"
               WHERE seq IN (SELECT seq FROM "AuditUnsealed" ORDER BY seq LIMIT $1)
               RETURNING seq)
           SELECT e.seq, e.at, e."actorType" AS actor_type, e."actorId" AS actor_id, e.action,
                  e."targetType" AS target_type, e."targetId" AS target_id, e.before, e.after,
                  e."requestId" AS request_id
           FROM taken JOIN "AuditEntry" AS e USING (seq) ORDER BY e.seq"#,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Returns when the oldest entry that waits was written.
pub(super) async fn oldest_unsealed(
    conn: &mut PgConnection,
) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT at FROM "AuditUnsealed" ORDER BY seq LIMIT 1"#)
        .fetch_optional(conn)
        .await
}

pub(super) async fn insert_batch(
    conn: &mut PgConnection,
    batch: &Batch,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AuditBatch" (number, "sealedAt", entries, root, "chainSeq", "chainHash",
               "previousHash", hash)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        batch.number,
        batch.sealed_at,
        batch.entries,
        batch.root,
        batch.chain.seq,
        batch.chain.hash,
        batch.previous_hash,
        batch.hash,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Inserts the list of a batch's entries, with the hash of each.
pub(super) async fn insert_sealed(
    conn: &mut PgConnection,
    batch: i64,
    seqs: &[i64],
    leaves: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO "AuditSealed" (seq, batch, position, "leafHash")
           SELECT seq, $1, position - 1, leaf
           FROM unnest($2::bigint[], $3::bytea[]) WITH ORDINALITY AS entry (seq, leaf, position)"#,
        batch,
        seqs,
        leaves,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn last_batch(conn: &mut PgConnection) -> Result<Option<Batch>, sqlx::Error> {
    let number = sqlx::query_scalar!(r#"SELECT max(number) FROM "AuditBatch""#)
        .fetch_one(&mut *conn)
        .await?;
    let Some(number) = number else { return Ok(None) };
    Ok(batches(conn, number - 1, 1).await?.pop())
}

/// Returns batches after a number, in ascending order.
pub(super) async fn batches(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<Batch>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT number, "sealedAt" AS sealed_at, entries, root, "chainSeq" AS chain_seq,
                  "chainHash" AS chain_hash, "previousHash" AS previous_hash, hash
           FROM "AuditBatch" WHERE number > $1 ORDER BY number LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Batch {
            number: row.number,
            sealed_at: row.sealed_at,
            entries: row.entries,
            root: row.root,
            chain: ChainEnd { seq: row.chain_seq, hash: row.chain_hash },
            previous_hash: row.previous_hash,
            hash: row.hash,
        })
        .collect())
}

/// Returns the batch of an entry, or `None` if it is in none.
pub(super) async fn batch_of(
    conn: &mut PgConnection,
    seq: i64,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT batch FROM "AuditSealed" WHERE seq = $1"#, seq)
        .fetch_optional(conn)
        .await
}

/// Returns the entries of a batch by their positions, each with its present content. `OFFSET 0`
/// makes the planner look each one up, where a join would read the whole table for each batch.
pub(super) async fn sealed_entries(
    conn: &mut PgConnection,
    batch: i64,
) -> Result<Vec<SealedEntry>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT s.seq, s.position, s."leafHash" AS leaf_hash, e.seq AS "found?", e.at AS "at?",
                  e."actorType" AS "actor_type?", e."actorId" AS actor_id, e.action AS "action?",
                  e."targetType" AS "target_type?", e."targetId" AS target_id, e.before, e.after,
                  e."requestId" AS request_id
           FROM "AuditSealed" AS s
           LEFT JOIN LATERAL (
               SELECT seq, at, "actorType", "actorId", action, "targetType", "targetId", before,
                      after, "requestId"
               FROM "AuditEntry" WHERE seq = s.seq OFFSET 0) AS e ON true
           WHERE s.batch = $1 ORDER BY s.position"#,
        batch,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let entry = || {
                Some(StoredEntry {
                    seq: row.found?,
                    at: row.at?,
                    actor_type: row.actor_type?,
                    actor_id: row.actor_id,
                    action: row.action?,
                    target_type: row.target_type?,
                    target_id: row.target_id,
                    before: row.before,
                    after: row.after,
                    request_id: row.request_id,
                })
            };
            let (seq, position, leaf_hash) = (row.seq, row.position, row.leaf_hash);
            let entry = entry();
            let bytes = entry.as_ref().map(StoredEntry::bytes);
            let after = entry.and_then(|entry| entry.after);
            SealedEntry { seq, position, leaf_hash, bytes, after }
        })
        .collect())
}

/// Returns the last row of the chain.
pub(super) async fn chain_end(conn: &mut PgConnection) -> Result<Option<ChainEnd>, sqlx::Error> {
    sqlx::query_as!(ChainEnd, r#"SELECT seq, hash FROM "AuditLog" ORDER BY seq DESC LIMIT 1"#)
        .fetch_optional(conn)
        .await
}

/// Returns rows of the chain after a number, in ascending order.
pub(super) async fn chain_rows(
    conn: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<ChainRow>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT seq, at, "actorType" AS actor_type, "actorId" AS actor_id, action,
                  "targetType" AS target_type, "targetId" AS target_id, before, after,
                  "requestId" AS request_id, "previousHash" AS previous_hash, hash
           FROM "AuditLog" WHERE seq > $1 ORDER BY seq LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ChainRow {
            entry: StoredEntry {
                seq: row.seq,
                at: row.at,
                actor_type: row.actor_type,
                actor_id: row.actor_id,
                action: row.action,
                target_type: row.target_type,
                target_id: row.target_id,
                before: row.before,
                after: row.after,
                request_id: row.request_id,
            },
            previous_hash: row.previous_hash,
            hash: row.hash,
        })
        .collect())
}
