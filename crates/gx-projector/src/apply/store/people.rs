//! SQL of people: their rows in `LedgerUser`, grants, wallets, and the projector's columns in
//! `UserProfile`. Called by `row_plan`, `new_people` and `block`.

use gx_db::{PgConnection, ProfileId, StoredCommandId};
use sqlx::{query, query_scalar};
use time::OffsetDateTime;

use super::rows::{self, ColumnType, InsertTarget, Row};
use crate::apply::effects::{Balance, Grant, Person};
use crate::place::{BEFORE_ALL, Place, Places};

/// A person that is about to be created, with everything that the plan says about the person.
pub(crate) struct NewPerson<'a> {
    pub(crate) person: &'a Person,
    pub(crate) place: &'a Place,
    pub(crate) facts: &'a NewPersonFacts,
    pub(crate) grant: Option<(&'a Grant, &'a Place)>,
    pub(crate) balance: Option<(&'a Balance, &'a Place)>,
}

/// What the database knows about a person before the creation is applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewPersonFacts {
    /// The owner: the account that has reserved the id, or else the account whose command creates
    /// the person. `None` if there is neither, or if the account already has a person.
    pub(crate) profile_id: Option<ProfileId>,
    /// A freeze that was applied before the creation, because the creation was a dead letter.
    pub(crate) freeze: Option<EarlyFreeze>,
}

/// The freeze state of a person who is not created here yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EarlyFreeze {
    pub(crate) is_frozen: bool,
    pub(crate) seen_at: OffsetDateTime,
}

/// Looks up people that are about to be created, each with the command that creates the person.
pub(crate) async fn new_person_facts(
    conn: &mut PgConnection,
    ids: &[&str],
    command_ids: &[&str],
) -> Result<Vec<(String, NewPersonFacts)>, sqlx::Error> {
    // Nearly all people are found by their id. People with only a known freeze have their own
    // index.
    let rows = query!(
        r#"SELECT new.id AS "id!", owner.id AS "profile_id?: ProfileId",
                  early."isFrozen" AS "is_frozen?", early."freezeSeenAt" AS "freeze_seen_at?"
           FROM unnest($1::text[], $2::text[]) AS new (id, "commandId")
           LEFT JOIN "FabricIdReservation" named ON named."fabricUserId" = new.id
           LEFT JOIN LATERAL (
               SELECT coalesce(named."profileId", (
                   SELECT asked."profileId" FROM "FabricIdReservation" asked
                   WHERE asked."commandId" = new."commandId")) AS id) owner
               ON NOT EXISTS (SELECT FROM "LedgerUser" u WHERE u."profileId" = owner.id)
           LEFT JOIN "LedgerUser" early
               ON early."fabricUserId" = new.id AND early."createdTxId" IS NULL"#,
        ids as &[&str],
        command_ids as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let new_people = rows.into_iter().map(|row| {
        let freeze = row.is_frozen.zip(row.freeze_seen_at);
        let freeze = freeze.map(|(is_frozen, seen_at)| EarlyFreeze { is_frozen, seen_at });
        (row.id, NewPersonFacts { profile_id: row.profile_id, freeze })
    });
    Ok(new_people.collect())
}

/// Adds people that were not known.
pub(crate) async fn create_users(
    conn: &mut PgConnection,
    people: &[&NewPerson<'_>],
) -> Result<(), sqlx::Error> {
    const LEDGER_USER: InsertTarget = InsertTarget {
        table: "LedgerUser",
        columns: &[
            ("fabricUserId", ColumnType::Text),
            ("profileId", ColumnType::Text),
            ("countryCode", ColumnType::Text),
            ("createdTxId", ColumnType::Text),
            ("createdCommandId", ColumnType::Text),
            ("createdAt", ColumnType::Time),
            ("genesisTxId", ColumnType::Text),
            ("genesisAmount", ColumnType::BigInt),
            ("genesisPhase", ColumnType::SmallInt),
            ("genesisRefusal", ColumnType::Text),
            ("grantBlock", ColumnType::BigInt),
            ("grantTxIndex", ColumnType::Integer),
            ("grantEventIndex", ColumnType::Integer),
        ],
    };
    rows::add(conn, &LEDGER_USER, people, |new, row| {
        let (block, tx_index, event_index) =
            new.grant.map_or(BEFORE_ALL, |(_, place)| place.order());
        row.text(&new.person.fabric_user_id)
            .option(new.facts.profile_id.as_ref().map(ProfileId::as_str), Row::text)
            .text(&new.person.country_code)
            .text(&new.place.tx_id)
            .text(&new.place.command_id)
            .time(new.place.ledger_at)
            .option(new.grant, |row, (_, place)| row.text(&place.tx_id))
            .option(new.grant, |row, (grant, _)| row.bigint(grant.amount))
            .option(new.grant.and_then(|(grant, _)| grant.phase), Row::smallint)
            .option(new.grant.and_then(|(grant, _)| grant.refusal), Row::text)
            .bigint(block)
            .integer(tx_index)
            .integer(event_index);
    })
    .await
}

/// Adds the creation to a person with only a known freeze.
pub(crate) async fn complete_user(
    conn: &mut PgConnection,
    new: &NewPerson<'_>,
) -> Result<(), sqlx::Error> {
    query!(
        r#"UPDATE "LedgerUser"
           SET "profileId" = $2, "countryCode" = $3, "createdTxId" = $4, "createdCommandId" = $5,
               "createdAt" = $6
           WHERE "fabricUserId" = $1 AND "createdTxId" IS NULL"#,
        new.person.fabric_user_id,
        new.facts.profile_id.as_ref().map(ProfileId::as_str),
        new.person.country_code,
        &*new.place.tx_id,
        &*new.place.command_id,
        new.place.ledger_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records grants of people whose grant is older, and returns their ids.
pub(crate) async fn record_grants(
    conn: &mut PgConnection,
    grants: &[(&Grant, &Place)],
) -> Result<Vec<String>, sqlx::Error> {
    let ids: Vec<&str> = grants.iter().map(|(new, _)| new.fabric_user_id.as_str()).collect();
    let tx_ids: Vec<&str> = grants.iter().map(|(_, place)| &*place.tx_id).collect();
    let amounts: Vec<i64> = grants.iter().map(|(new, _)| new.amount).collect();
    let phases: Vec<Option<i16>> = grants.iter().map(|(new, _)| new.phase).collect();
    let refusals: Vec<Option<&str>> = grants.iter().map(|(new, _)| new.refusal).collect();
    let Places { blocks, tx_indexes, event_indexes } =
        Places::of(grants.iter().map(|(_, place)| *place));
    query_scalar!(
        r#"UPDATE "LedgerUser" u
           SET "genesisTxId" = new."txId", "genesisAmount" = new.amount,
               "genesisPhase" = new.phase, "genesisRefusal" = new.refusal,
               "grantBlock" = new.block, "grantTxIndex" = new."txIndex",
               "grantEventIndex" = new."eventIndex"
           FROM unnest($1::text[], $2::text[], $3::bigint[], $4::smallint[], $5::text[],
                       $6::bigint[], $7::integer[], $8::integer[])
                AS new (id, "txId", amount, phase, refusal, block, "txIndex", "eventIndex")
           WHERE u."fabricUserId" = new.id AND u."createdTxId" IS NOT NULL
             AND (u."grantBlock", u."grantTxIndex", u."grantEventIndex")
                 < (new.block, new."txIndex", new."eventIndex")
           RETURNING u."fabricUserId""#,
        &ids as &[&str],
        &tx_ids as &[&str],
        &amounts,
        &phases as &[Option<i16>],
        &refusals as &[Option<&str>],
        &blocks,
        &tx_indexes,
        &event_indexes,
    )
    .fetch_all(conn)
    .await
}

/// Returns which of some people are created here.
pub(crate) async fn created(
    conn: &mut PgConnection,
    ids: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    query_scalar!(
        r#"SELECT "fabricUserId" FROM "LedgerUser"
           WHERE "fabricUserId" = ANY($1) AND "createdTxId" IS NOT NULL"#,
        ids as &[&str],
    )
    .fetch_all(conn)
    .await
}

/// An account whose person was created.
#[derive(Debug)]
pub(crate) struct Registration<'a> {
    pub(crate) profile_id: &'a ProfileId,
    pub(crate) fabric_user_id: &'a str,
    /// The ledger's time of the creation.
    pub(crate) created_at: OffsetDateTime,
    /// The latest ledger time of the creation and of freezes.
    pub(crate) seen_at: OffsetDateTime,
    pub(crate) is_frozen: bool,
}

/// Marks accounts as registered on the ledger. An account becomes ACTIVE only from
/// APPROVED_PENDING_ONCHAIN, and then FROZEN if the ledger has the person frozen.
pub(crate) async fn register(
    conn: &mut PgConnection,
    registrations: &[Registration<'_>],
) -> Result<(), sqlx::Error> {
    let profiles: Vec<&str> = registrations.iter().map(|new| new.profile_id.as_str()).collect();
    let ids: Vec<&str> = registrations.iter().map(|new| new.fabric_user_id).collect();
    let created: Vec<OffsetDateTime> = registrations.iter().map(|new| new.created_at).collect();
    let seen: Vec<OffsetDateTime> = registrations.iter().map(|new| new.seen_at).collect();
    query!(
        r#"UPDATE "UserProfile" p
           SET "fabricUserId" = new.id, "onchainStatus" = 'REGISTERED',
               "onchainRegisteredAt" = new.at,
               "lastSyncedAt" = greatest(p."lastSyncedAt", new.seen),
               status = CASE p.status WHEN 'APPROVED_PENDING_ONCHAIN' THEN 'ACTIVE'
                        ELSE p.status END,
               "updatedAt" = greatest(p."updatedAt", new.seen)
           FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                AS new ("profileId", id, at, seen)
           WHERE p."profileId" = new."profileId""#,
        &profiles as &[&str],
        &ids as &[&str],
        &created,
        &seen,
    )
    .execute(&mut *conn)
    .await?;
    // An account must be ACTIVE before it can become FROZEN.
    let frozen = registrations.iter().filter(|new| new.is_frozen);
    let frozen: Vec<&str> = frozen.map(|new| new.profile_id.as_str()).collect();
    if frozen.is_empty() {
        return Ok(());
    }
    query!(
        r#"UPDATE "UserProfile" SET status = 'FROZEN'
           WHERE "profileId" = ANY($1) AND status = 'ACTIVE'"#,
        &frozen as &[&str],
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
    const WALLET: InsertTarget = InsertTarget {
        table: "Wallet",
        columns: &[
            ("walletId", ColumnType::Text),
            ("accountId", ColumnType::Text),
            ("kind", ColumnType::Text),
            ("profileId", ColumnType::Text),
            ("fabricUserId", ColumnType::Text),
            ("balance", ColumnType::BigInt),
            ("lastTxId", ColumnType::Text),
            ("asOfBlock", ColumnType::BigInt),
            ("createdAt", ColumnType::Time),
            ("updatedAt", ColumnType::Time),
            ("balanceBlock", ColumnType::BigInt),
            ("balanceTxIndex", ColumnType::Integer),
            ("balanceEventIndex", ColumnType::Integer),
        ],
    };
    rows::add(conn, &WALLET, people, |new, row| {
        let last = new.balance.map_or(new.place, |(_, place)| place);
        row.text(&new.person.wallet_id)
            .text(&new.person.fabric_user_id)
            .text("USER")
            .option(new.facts.profile_id.as_ref().map(ProfileId::as_str), Row::text)
            .text(&new.person.fabric_user_id)
            .bigint(new.balance.map_or(0, |(balance, _)| balance.balance))
            .text(&last.tx_id)
            .bigint(last.block_number)
            .time(new.place.ledger_at)
            .time(last.ledger_at)
            .bigint(last.block_number)
            .integer(last.tx_index)
            .integer(last.event_index);
    })
    .await
}

/// Sends an account back to review because the ledger refused to create its person. Returns the
/// number of accounts that changed: 0 if no account is waiting for this command.
pub(crate) async fn return_to_review(
    conn: &mut PgConnection,
    profile_id: Option<&ProfileId>,
    command_id: &StoredCommandId,
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
        profile_id.map(ProfileId::as_str),
        command_id.as_str(),
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
