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

    /// Returns the ids of the objects that the entry is about.
    pub(super) fn objects(&self) -> impl Iterator<Item = &str> {
        let commands = self.command_ids.iter().flatten();
        self.target_id.iter().chain(commands).map(String::as_str)
    }
}

/// An account, or a command or proposal about one.
pub(super) struct HeldObject {
    pub(super) id: String,
    /// Whether the account is on legal hold.
    pub(super) is_held: bool,
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

/// Returns the proposals of which an object is the target.
pub(super) async fn proposals_about(
    conn: &mut PgConnection,
    id: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT "proposalId" FROM "Proposal" WHERE "targetId" = $1"#, id)
        .fetch_all(conn)
        .await
}

/// Returns those of these objects that are an account, or a command or proposal about one. The rows
/// of the accounts are locked until the transaction ends.
pub(super) async fn lock_accounts_of(
    conn: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<HeldObject>, sqlx::Error> {
    sqlx::query_as!(
        HeldObject,
        r#"SELECT given.id AS "id!", person."legalHoldAt" IS NOT NULL AS "is_held!"
           FROM (SELECT id, id AS owner FROM unnest($1::text[]) AS account (id)
                 UNION ALL
                 SELECT "commandId", "profileId" FROM "OutboxHistory" WHERE "commandId" = ANY($1)
                 UNION ALL
                 SELECT "proposalId", "targetId" FROM "Proposal" WHERE "proposalId" = ANY($1))
               AS given
           JOIN "UserProfile" AS person ON person."profileId" = given.owner
           ORDER BY person."profileId" FOR NO KEY UPDATE OF person"#,
        ids,
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

/// Erases reason and notes of open proposals that are these texts, and returns the number of
/// proposals. What is proposed stays.
pub(super) async fn erase_proposal_texts(
    conn: &mut PgConnection,
    TextCopies { ids, texts }: &TextCopies,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"UPDATE "Proposal" AS p
           SET texts = (SELECT jsonb_object_agg(one.key, CASE
                                   WHEN one.value #>> '{}' = ANY(given.texts) THEN 'null'::jsonb
                                   ELSE one.value END)
                        FROM jsonb_each(p.texts) AS one)
           FROM (SELECT id, array_agg(text) AS texts
                 FROM unnest($1::text[], $2::text[]) AS given (id, text) GROUP BY id) AS given
           WHERE p."proposalId" = ANY($1) AND p."proposalId" = given.id AND p.state = 'OPEN'
             AND EXISTS (SELECT FROM jsonb_each_text(p.texts) AS one
                         WHERE one.value = ANY(given.texts))"#,
        ids,
        texts,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Erases reason and notes of the lock of an account, the comments of its reviews, documents and
/// requests for documents, and the texts of open proposals about it. Returns the number of rows,
/// which stay without the texts.
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
    .execute(&mut *conn)
    .await?;
    let documents = sqlx::query!(
        r#"UPDATE "KYCDocument" SET "publicComment" = NULL
           WHERE "profileId" = $1 AND "publicComment" IS NOT NULL"#,
        profile_id,
    )
    .execute(&mut *conn)
    .await?;
    let requests = sqlx::query!(
        r#"UPDATE "DocumentRequest" SET "publicComment" = NULL
           WHERE "profileId" = $1 AND "publicComment" IS NOT NULL"#,
        profile_id,
    )
    .execute(&mut *conn)
    .await?;
    let proposals = sqlx::query!(
        r#"UPDATE "Proposal" SET texts = NULL
           WHERE "targetId" = $1 AND state = 'OPEN' AND texts IS NOT NULL"#,
        profile_id,
    )
    .execute(conn)
    .await?;
    let changed = [locks, reviews, documents, requests, proposals];
    Ok(changed.iter().map(sqlx::postgres::PgQueryResult::rows_affected).sum())
}
