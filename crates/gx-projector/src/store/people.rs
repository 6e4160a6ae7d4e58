//! SQL of `LedgerUser` and of the projector's columns in `UserProfile`.

use gx_db::PgConnection;
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use crate::effects::{Balance, Grant, Person};
use crate::place::Place;
use crate::store::rows::{self, Kind, Row, Target};

/// A person about to exist, with everything that is said of them at once.
pub(crate) struct NewPerson<'a> {
    pub(crate) person: &'a Person,
    pub(crate) place: &'a Place,
    pub(crate) profile_id: &'a str,
    pub(crate) grant: Option<(&'a Grant, &'a Place)>,
    pub(crate) balance: Option<(&'a Balance, &'a Place)>,
}

/// Whose accounts hold ledger ids.
pub(crate) async fn reserved_by(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = query!(
        r#"SELECT "fabricUserId" AS id, "profileId" AS profile_id FROM "FabricIdReservation"
           WHERE "fabricUserId" = ANY($1)"#,
        ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.profile_id)).collect())
}

/// Adds ledger users.
pub(crate) async fn create_users(
    conn: &mut PgConnection,
    people: &[NewPerson<'_>],
) -> Result<(), sqlx::Error> {
    const LEDGER_USER: Target = Target {
        table: "LedgerUser",
        columns: &[
            ("fabricUserId", Kind::Text),
            ("profileId", Kind::Text),
            ("countryCode", Kind::Text),
            ("createdTxId", Kind::Text),
            ("createdAt", Kind::Time),
            ("genesisTxId", Kind::Text),
            ("genesisAmount", Kind::BigInt),
            ("genesisPhase", Kind::SmallInt),
            ("genesisRefusal", Kind::Text),
        ],
    };
    rows::add(conn, &LEDGER_USER, people, |new, row| {
        row.text(&new.person.fabric_user_id)
            .text(new.profile_id)
            .text(&new.person.country_code)
            .text(&new.place.tx_id)
            .time(new.place.ledger_at)
            .option(new.grant, |row, (_, place)| row.text(&place.tx_id))
            .option(new.grant, |row, (grant, _)| row.bigint(grant.amount))
            .option(new.grant.and_then(|(grant, _)| grant.phase), Row::smallint)
            .option(new.grant.and_then(|(grant, _)| grant.refusal), Row::text);
    })
    .await
}

/// Marks accounts as registered on the ledger; they become ACTIVE only from
/// APPROVED_PENDING_ONCHAIN.
pub(crate) async fn register(
    conn: &mut PgConnection,
    people: &[NewPerson<'_>],
) -> Result<(), sqlx::Error> {
    let profiles: Vec<&str> = people.iter().map(|new| new.profile_id).collect();
    let ids: Vec<&str> = people.iter().map(|new| new.person.fabric_user_id.as_str()).collect();
    let times: Vec<OffsetDateTime> = people.iter().map(|new| new.place.ledger_at).collect();
    query!(
        r#"UPDATE "UserProfile" p
           SET "fabricUserId" = new.id, "onchainStatus" = 'REGISTERED',
               "onchainRegisteredAt" = new.at,
               "lastSyncedAt" = greatest(p."lastSyncedAt", new.at),
               status = CASE p.status WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'ACTIVE'
                        ELSE p.status END,
               "updatedAt" = greatest(p."updatedAt", new.at)
           FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS new ("profileId", id, at)
           WHERE p."profileId" = new."profileId""#,
        &profiles as &[&str],
        &ids as &[&str],
        &times,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds people's wallets.
pub(crate) async fn create_wallets(
    conn: &mut PgConnection,
    people: &[NewPerson<'_>],
) -> Result<(), sqlx::Error> {
    const WALLET: Target = Target {
        table: "Wallet",
        columns: &[
            ("walletId", Kind::Text),
            ("accountId", Kind::Text),
            ("kind", Kind::Text),
            ("profileId", Kind::Text),
            ("fabricUserId", Kind::Text),
            ("balance", Kind::BigInt),
            ("lastTxId", Kind::Text),
            ("asOfBlock", Kind::BigInt),
            ("createdAt", Kind::Time),
            ("updatedAt", Kind::Time),
        ],
    };
    rows::add(conn, &WALLET, people, |new, row| {
        let last = new.balance.map_or(new.place, |(_, place)| place);
        row.text(&new.person.wallet_id)
            .text(&new.person.fabric_user_id)
            .text("USER")
            .text(new.profile_id)
            .text(&new.person.fabric_user_id)
            .bigint(new.balance.map_or(0, |(balance, _)| balance.balance))
            .text(&last.tx_id)
            .bigint(last.block_number)
            .time(new.place.ledger_at)
            .time(last.ledger_at);
    })
    .await
}

/// Sends an account back to review because the ledger refused to create its user.
pub(crate) async fn return_to_review(
    conn: &mut PgConnection,
    profile_id: Option<&str>,
    command_id: &str,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = query!(
        r#"UPDATE "UserProfile"
           SET "onchainStatus" = 'FAILED', "updatedAt" = $3,
               status = CASE status
                   WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'PENDING_ADMIN_APPROVAL'
                   ELSE status END
           WHERE "profileId" = coalesce($1, (SELECT "profileId" FROM "FabricIdReservation"
                                             WHERE "commandId" = $2))
             AND "onchainStatus" = 'PENDING'"#,
        profile_id,
        command_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Records people's one grant; the people whom there are.
pub(crate) async fn grant(
    conn: &mut PgConnection,
    grants: &[(&Grant, &Place)],
) -> Result<Vec<String>, sqlx::Error> {
    let ids: Vec<&str> = grants.iter().map(|(new, _)| new.fabric_user_id.as_str()).collect();
    let tx_ids: Vec<&str> = grants.iter().map(|(_, place)| &*place.tx_id).collect();
    let amounts: Vec<i64> = grants.iter().map(|(new, _)| new.amount).collect();
    let phases: Vec<Option<i16>> = grants.iter().map(|(new, _)| new.phase).collect();
    let refusals: Vec<Option<&str>> = grants.iter().map(|(new, _)| new.refusal).collect();
    query_scalar!(
        r#"UPDATE "LedgerUser" u
           SET "genesisTxId" = new."txId", "genesisAmount" = new.amount,
               "genesisPhase" = new.phase, "genesisRefusal" = new.refusal
           FROM unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::text[])
                AS new (id, "txId", amount, phase, refusal)
           WHERE u."fabricUserId" = new.id
           RETURNING u."fabricUserId""#,
        &ids as &[&str],
        &tx_ids as &[&str],
        &amounts,
        &phases as &[Option<i16>],
        &refusals as &[Option<&str>],
    )
    .fetch_all(conn)
    .await
}

/// Freezes a ledger user, or ends it (no reason); whose account it is.
pub(crate) async fn set_frozen(
    conn: &mut PgConnection,
    fabric_user_id: &str,
    reason: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    query_scalar!(
        r#"UPDATE "LedgerUser" SET "isFrozen" = $2::text IS NOT NULL, "frozenReason" = $2
           WHERE "fabricUserId" = $1
           RETURNING "profileId""#,
        fabric_user_id,
        reason,
    )
    .fetch_optional(conn)
    .await
}

/// Moves an account between ACTIVE and FROZEN; any other status stays.
pub(crate) async fn move_status(
    conn: &mut PgConnection,
    profile_id: &str,
    from: &str,
    to: &str,
    at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "UserProfile"
           SET "lastSyncedAt" = greatest("lastSyncedAt", $4),
               "updatedAt" = greatest("updatedAt", $4),
               status = CASE status WHEN $2 THEN $3 ELSE status END
           WHERE "profileId" = $1"#,
        profile_id,
        from,
        to,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
