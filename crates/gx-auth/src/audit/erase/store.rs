//! SQL of erasures. Each statement finds its rows by an index.

use gx_db::PgConnection;

use super::ErasedText;

/// A text that is not erased, with the object of its entry.
pub(super) struct ErasableText {
    pub(super) entry: i64,
    pub(super) field: String,
    pub(super) text: String,
    pub(super) target_type: String,
    pub(super) target_id: Option<String>,
    /// The commands of an entry about many.
    pub(super) command_ids: Option<Vec<String>>,
}

impl ErasableText {
    pub(super) fn erased(&self) -> ErasedText {
        ErasedText { entry: self.entry, field: self.field.clone() }
    }
}

/// An entry about many commands.
pub(super) struct BulkEntry {
    pub(super) seq: i64,
    /// Whether the entry names a command whose texts are to be erased.
    pub(super) names_one: bool,
}

/// Texts that rows of another table may contain, too: each with the id of its row.
#[derive(Default)]
pub(super) struct TextCopies {
    ids: Vec<String>,
    texts: Vec<String>,
}

impl TextCopies {
    pub(super) fn add(&mut self, id: &str, text: &str) {
        self.ids.push(id.to_owned());
        self.texts.push(text.to_owned());
    }
}

/// Returns the types of objects that entries are about. Each step of the recursion reads the index
/// at one place.
pub(super) async fn target_types(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"WITH RECURSIVE known (name) AS (
               (SELECT "targetType" FROM "AuditEntry" ORDER BY "targetType" LIMIT 1)
               UNION ALL
               SELECT (SELECT e."targetType" FROM "AuditEntry" AS e
                       WHERE e."targetType" > known.name ORDER BY e."targetType" LIMIT 1)
               FROM known WHERE known.name IS NOT NULL)
           SELECT name AS "name!" FROM known WHERE name IS NOT NULL"#
    )
    .fetch_all(conn)
    .await
}

/// Returns the entries about objects of these types with these ids.
pub(super) async fn entries_about(
    conn: &mut PgConnection,
    types: &[String],
    ids: &[String],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT seq FROM "AuditEntry"
           WHERE "targetType" = ANY($1) AND "targetId" = ANY($2)"#,
        types,
        ids,
    )
    .fetch_all(conn)
    .await
}

/// Returns the next entries about many commands after an entry, and which of them name one of these
/// commands. They are ordered as in the index.
pub(super) async fn entries_about_many_commands(
    conn: &mut PgConnection,
    commands: &[String],
    after: i64,
    limit: i64,
) -> Result<Vec<BulkEntry>, sqlx::Error> {
    sqlx::query_as!(
        BulkEntry,
        r#"SELECT seq, EXISTS (
                 SELECT FROM jsonb_array_elements_text(e.after -> 'commandIds') AS named (id)
                 WHERE named.id = ANY($1)) AS "names_one!"
           FROM "AuditEntry" AS e
           WHERE "targetType" = 'OutboxCommand' AND "targetId" IS NULL AND seq > $2
           ORDER BY "targetId", seq LIMIT $3"#,
        commands,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Locks and returns the texts of these entries that are not erased.
pub(super) async fn lock_texts(
    conn: &mut PgConnection,
    entries: &[i64],
) -> Result<Vec<ErasableText>, sqlx::Error> {
    sqlx::query_as!(
        ErasableText,
        r#"SELECT t.seq AS entry, t.field, t.text AS "text!", e."targetType" AS target_type,
                  e."targetId" AS target_id,
                  ARRAY(SELECT jsonb_array_elements_text(e.after -> 'commandIds')) AS command_ids
           FROM "AuditText" AS t JOIN "AuditEntry" AS e USING (seq)
           WHERE t.seq = ANY($1) AND e.seq = ANY($1) AND t.text IS NOT NULL
           ORDER BY t.seq, t.field FOR UPDATE OF t"#,
        entries,
    )
    .fetch_all(conn)
    .await
}

/// Erases texts. `erased_by` is the entry that records it.
pub(super) async fn erase_texts(
    conn: &mut PgConnection,
    texts: &[ErasedText],
    erased_by: i64,
) -> Result<(), sqlx::Error> {
    let seqs: Vec<i64> = texts.iter().map(|text| text.entry).collect();
    let fields: Vec<String> = texts.iter().map(|text| text.field.clone()).collect();
    sqlx::query!(
        r#"UPDATE "AuditText" AS t SET salt = NULL, text = NULL, "erasedBy" = $3
           FROM unnest($1::bigint[], $2::text[]) AS given (seq, field)
           WHERE t.seq = given.seq AND t.field = given.field"#,
        &seqs,
        &fields,
        erased_by,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Erases reason and notes of the locks in force that are these texts, and returns the number of
/// accounts. The lock stays.
pub(super) async fn erase_lock_texts(
    conn: &mut PgConnection,
    TextCopies { ids, texts }: &TextCopies,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "UserProfile" AS p
           SET "lockReason" = CASE WHEN p."lockReason" = ANY(given.texts) THEN NULL
                                   ELSE p."lockReason" END,
               "lockNotes" = CASE WHEN p."lockNotes" = ANY(given.texts) THEN NULL
                                  ELSE p."lockNotes" END
           FROM (SELECT id, array_agg(text) AS texts
                 FROM unnest($1::text[], $2::text[]) AS given (id, text) GROUP BY id) AS given
           WHERE p."profileId" = ANY($1) AND p."profileId" = given.id
             AND (p."lockReason" = ANY(given.texts) OR p."lockNotes" = ANY(given.texts))"#,
        ids,
        texts,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Erases reason and notes of the lock of an account, and the comments of its reviews. Returns the
/// number of rows. The lock and the reviews stay.
pub(super) async fn erase_account_texts(
    conn: &mut PgConnection,
    profile_id: &str,
) -> Result<u64, sqlx::Error> {
    let locks = sqlx::query!(
        r#"UPDATE "UserProfile" SET "lockReason" = NULL, "lockNotes" = NULL
           WHERE "profileId" = $1 AND ("lockReason" IS NOT NULL OR "lockNotes" IS NOT NULL)"#,
        profile_id,
    )
    .execute(&mut *conn)
    .await?;
    let reviews = sqlx::query!(
        r#"UPDATE "KYCVerification" SET "publicComment" = NULL, "privateComment" = NULL
           WHERE "profileId" = $1
             AND ("publicComment" IS NOT NULL OR "privateComment" IS NOT NULL)"#,
        profile_id,
    )
    .execute(conn)
    .await?;
    Ok(locks.rows_affected() + reviews.rows_affected())
}
