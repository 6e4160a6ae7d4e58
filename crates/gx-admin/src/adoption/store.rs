//! SQL of adoption, which gives a person of the ledger who has no owner to an account: people of
//! the ledger, and the accounts that own or have reserved them.
//!
//! Called by the parent module in the transaction of an approval or an adoption, and by the batch
//! approval, which looks accounts up before it begins one. A database error goes to the caller,
//! whose transaction rolls back.

use gx_db::{Named, Parsed, PgConnection, ProfileId, StoredCommandId};
use gx_model::{AccountStatus, CommandStatus};
use time::{Date, OffsetDateTime};

/// A person of the ledger, from the read model.
#[derive(Clone, Debug)]
pub(crate) struct LedgerPerson {
    pub(crate) fabric_user_id: String,
    pub(crate) owner: Option<ProfileId>,
    pub(crate) created_command_id: Option<StoredCommandId>,
    pub(crate) has_grant: bool,
}

/// An account that may adopt a person.
pub(super) struct Adopter {
    pub(super) status: AccountStatus,
    pub(super) email: String,
    pub(super) date_of_birth: Date,
    pub(super) gender: String,
    pub(super) nationality: Option<String>,
    pub(super) approval_count: i32,
    /// Fabric User ID of the person that it owns.
    pub(super) owned: Option<String>,
}

/// A CREATE_USER command that is not settled.
pub(super) struct OpenCreation {
    pub(super) command_id: StoredCommandId,
    pub(super) status: Named<CommandStatus>,
}

/// Returns a person of the ledger, or `None` if the read model has no event that created it.
pub(super) async fn person(
    conn: &mut PgConnection,
    fabric_user_id: &str,
) -> Result<Option<LedgerPerson>, sqlx::Error> {
    sqlx::query_as!(
        LedgerPerson,
        r#"SELECT "fabricUserId" AS fabric_user_id, "profileId" AS "owner: ProfileId",
                  "createdCommandId" AS "created_command_id: StoredCommandId",
                  "genesisTxId" IS NOT NULL AS "has_grant!"
           FROM "LedgerUser" WHERE "fabricUserId" = $1 AND "createdTxId" IS NOT NULL"#,
        fabric_user_id,
    )
    .fetch_optional(conn)
    .await
}

/// The person that the ledger has for one account, or the dead letter of the event that created
/// that person.
pub(super) struct KnownRow {
    pub(super) fabric_user_id: Option<String>,
    pub(super) owner: Option<ProfileId>,
    pub(super) created_command_id: Option<StoredCommandId>,
    pub(super) has_grant: Option<bool>,
    /// Dead letter of the event that created the person, if the person is not in the read model.
    pub(super) dead_event_id: Option<i64>,
}

/// Returns the person that the ledger has for an account: the person that the account owns, else
/// one without owner, else another account's. The last two are people that the approvals of this
/// account created or whose id it has reserved; the caller checks the owner. Without a person all
/// its columns are `NULL`.
pub(super) async fn known(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
    command_ids: &[StoredCommandId],
) -> Result<KnownRow, sqlx::Error> {
    sqlx::query_as!(
        KnownRow,
        r#"SELECT person."fabricUserId" AS "fabric_user_id?",
                  person."profileId" AS "owner?: ProfileId",
                  person."createdCommandId" AS "created_command_id?: StoredCommandId",
                  person."genesisTxId" IS NOT NULL AS has_grant,
                  (SELECT d."deadEventId" FROM "EventDLQ" d
                   WHERE person."fabricUserId" IS NULL AND d."commandId" = ANY($2)
                     AND d."eventName" = 'UserCreated' AND d.state = 'HELD'
                   ORDER BY d."deadEventId" LIMIT 1) AS dead_event_id
           FROM (SELECT) AS one LEFT JOIN LATERAL (
               SELECT u."fabricUserId", u."profileId", u."createdCommandId", u."genesisTxId"
               FROM (SELECT "fabricUserId" AS id FROM "LedgerUser" WHERE "profileId" = $1
                     UNION SELECT payload #>> '{data,userId}' FROM "EventLog"
                           WHERE "commandId" = ANY($2) AND "eventName" = 'UserCreated'
                     UNION SELECT "fabricUserId" FROM "FabricIdReservation"
                           WHERE "profileId" = $1) AS named
               JOIN "LedgerUser" u ON u."fabricUserId" = named.id
               WHERE u."createdTxId" IS NOT NULL
               ORDER BY u."profileId" IS NOT DISTINCT FROM $1 DESC, u."profileId" IS NULL DESC,
                        u."createdAt", u."fabricUserId"
               LIMIT 1) AS person ON true"#,
        profile_id.as_str(),
        command_ids as &[StoredCommandId],
    )
    .fetch_one(conn)
    .await
}

/// Returns the account and locks its row, so that no other decision on it is made meanwhile. `None`
/// if there is no such account.
pub(super) async fn lock_adopter(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<Adopter>, sqlx::Error> {
    sqlx::query_as!(
        Adopter,
        r#"SELECT status AS "status: Parsed<AccountStatus>", email,
                  "dateOfBirth" AS date_of_birth, gender,
                  "nationalityCountryCode" AS nationality, "approvalCount" AS approval_count,
                  coalesce("fabricUserId",
                           (SELECT u."fabricUserId" FROM "LedgerUser" u
                            WHERE u."profileId" = p."profileId")) AS owned
           FROM "UserProfile" p WHERE "profileId" = $1 FOR UPDATE"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the account's oldest CREATE_USER command that is not settled, or `None` if all are.
pub(super) async fn open_creation(
    conn: &mut PgConnection,
    profile_id: &ProfileId,
) -> Result<Option<OpenCreation>, sqlx::Error> {
    sqlx::query_as!(
        OpenCreation,
        r#"SELECT "commandId" AS command_id, status AS "status: Named<CommandStatus>"
           FROM "OutboxCommand"
           WHERE "profileId" = $1 AND kind = 'CREATE_USER' AND "settledAt" IS NULL
           ORDER BY number LIMIT 1"#,
        profile_id.as_str(),
    )
    .fetch_optional(conn)
    .await
}

/// Returns the account that has a claim to a person: the one that has reserved the person's id.
/// If nobody has, it is the one whose approval created the person, under another id that it had
/// reserved. `None` if no account has a claim.
pub(super) async fn reserving_account(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    created_command_id: Option<&StoredCommandId>,
) -> Result<Option<ProfileId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT "profileId" FROM "FabricIdReservation"
                            WHERE "fabricUserId" = $1),
                           (SELECT "profileId" FROM "FabricIdReservation"
                            WHERE "commandId" = $2)) AS "claimant: ProfileId""#,
        fabric_user_id,
        created_command_id.map(StoredCommandId::as_str),
    )
    .fetch_one(conn)
    .await
}

/// Reserves the id of a person of the ledger for an account. Returns `false` if the id or the
/// command already has a reservation.
pub(super) async fn reserve(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    profile_id: &ProfileId,
    command_id: &StoredCommandId,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        r#"INSERT INTO "FabricIdReservation"
               ("fabricUserId", "profileId", "commandId", "reservedAt")
           VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"#,
        fabric_user_id,
        profile_id.as_str(),
        command_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
