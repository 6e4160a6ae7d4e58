//! A crowd of people who reach the ledger, and a restore of the database that forgets them. Called
//! by `active_storms`; `drain` approves the forgotten people again.

use std::time::Duration;

use gx_model::{Command, Qirat};
use rand::RngExt;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::Run;
use super::rounds::work_for;
use crate::client_log::{Entry, Request};
use crate::crowd::PROFILES;
use crate::environment::{BASE, Environment};

/// Number of people that are approved with one request.
const AT_ONCE: usize = 100;
/// Limit of the rounds in which the workers bring a crowd onto the ledger.
const ROUNDS: u32 = 14;
/// Time that passes in a round.
const ROUND: Duration = Duration::from_secs(3);
/// Time from the start of a seed to the next day, which is the birthday of all people.
const TO_THE_BIRTHDAY: Duration = Duration::from_hours(13);
/// One of this many people of a crowd pays another one.
const PAYS_ONE_IN: usize = 3;
/// One of this many is approved again directly after the restore.
const APPROVED_AT_ONCE_ONE_IN: usize = 4;
/// One of this many is frozen.
const FROZEN_ONE_IN: usize = 12;

/// Registers a crowd, copies the database, brings the crowd onto the ledger, where some pay and
/// some are frozen, and restores the copy. After that some are approved again, older or with
/// another e-mail address than before.
pub(crate) async fn forget(
    run: &mut Run<'_>,
    crowd: u32,
    birthday: bool,
    emails: bool,
) -> Result<(), String> {
    register(run.env, crowd).await;
    run.back_up().await;
    let first = run.env.people.len();
    let everybody: Vec<usize> = (first..).take(usize::try_from(crowd).unwrap()).collect();
    approve(run, &everybody).await?;
    work_for(run, ROUNDS, ROUND).await?;
    pay(run, &everybody).await;
    for who in everybody.iter().step_by(FROZEN_ONE_IN) {
        run.ask_for(Request::Freeze(*who, true)).await?;
    }
    work_for(run, ROUNDS, ROUND).await?;
    run.restore().await;
    if birthday {
        run.pass_time(TO_THE_BIRTHDAY);
        run.note("everybody is a year older");
    }
    if emails {
        change_emails(run.env).await;
        run.note("some have a new e-mail address");
    }
    // No projector has read the chain again yet.
    let some: Vec<usize> = everybody.into_iter().step_by(APPROVED_AT_ONCE_ONE_IN).collect();
    approve(run, &some).await
}

/// Approves people with a few batch requests.
pub(crate) async fn approve(run: &mut Run<'_>, who: &[usize]) -> Result<(), String> {
    let env = run.env;
    for some in who.chunks(AT_ONCE) {
        let ids: Vec<String> = some.iter().map(|who| env.person(*who).profile_id).collect();
        let (path, body) = ("/api/v1/admin/users/batch-approve", json!({ "profileIds": ids }));
        let mut reply = env.gx.admin.post(path, Some(&env.admin), &body).await;
        // On a machine with much else to do. Those who were approved in time stay approved.
        while reply.json["code"] == "timeout" {
            reply = env.gx.admin.post(path, Some(&env.admin), &body).await;
        }
        // No person is approved while the system is paused.
        if reply.status != 200 && reply.json["code"] != "system_paused" {
            return Err(format!("approve a crowd: {}", reply.text));
        }
        let results = reply.json["results"].as_array().cloned().unwrap_or_default();
        let approved = results.iter().filter(|result| result["approved"].is_object()).count();
        run.note(format!("approve {} people: {approved} are", some.len()));
        for (who, result) in some.iter().zip(&results) {
            let ids = result["approved"]["commandIds"].as_array().into_iter().flatten();
            let promised = ids.filter_map(Value::as_str).map(str::to_owned).collect();
            let request = Request::Approve(*who);
            run.clients.entries.push(Entry { request, promised, undone: false });
        }
    }
    Ok(())
}

/// Inserts copies of an applicant of the stage.
async fn register(env: &Environment, crowd: u32) {
    let base = BASE.0;
    let sql = format!(
        r#"INSERT INTO "UserProfile"
           SELECT (jsonb_populate_record(p, jsonb_build_object(
                      'profileId', '{PROFILES}' || lpad(n::text, 12, '0'),
                      'email', 'crowd' || n || '@gxtest.com',
                      'phoneNum', '+6013' || lpad(n::text, 7, '0')))).*
           FROM {base}."UserProfile" p, generate_series(0, $2) AS n
           WHERE p."profileId" = $1"#
    );
    let applicant = &env.people[env.participants].profile_id;
    sqlx::query(AssertSqlSafe(sql))
        .bind(applicant)
        .bind(i64::from(crowd) - 1)
        .execute(&env.pool)
        .await
        .unwrap();
}

/// Enqueues payments between members of the crowd, and one from a treasury.
async fn pay(run: &mut Run<'_>, everybody: &[usize]) {
    let env = run.env;
    let profiles: Vec<String> = everybody.iter().map(|who| env.person(*who).profile_id).collect();
    let accounts: Vec<String> = sqlx::query_scalar(
        r#"SELECT "fabricUserId" FROM "UserProfile"
           WHERE "profileId" = ANY($1) AND status = 'ACTIVE' ORDER BY "profileId""#,
    )
    .bind(profiles)
    .fetch_all(&env.pool)
    .await
    .unwrap();
    for (number, both) in accounts.windows(2).step_by(PAYS_ONE_IN).enumerate() {
        let [from, to] = both else { continue };
        let amount = Qirat::gx(run.rng.random_range(1..=40));
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let payment = Command::Transfer { from, to, amount, tx_type: None };
        env.request(&payment, &format!("crowd {number}")).await;
    }
    if let Some(somebody) = accounts.first() {
        // A treasury cannot spend before it is activated.
        let (treasury, country_code) = ("treasury_MY".parse().unwrap(), "MY".parse().unwrap());
        env.request(&Command::ActivateTreasury { country_code }, "crowd").await;
        let (to, amount) = (somebody.parse().unwrap(), Qirat::gx(1));
        let payment = Command::Transfer { from: treasury, to, amount, tx_type: None };
        env.request(&payment, "crowd treasury").await;
    }
    let count = accounts.len().saturating_sub(1).div_ceil(PAYS_ONE_IN);
    run.note(format!("{} of them are on the ledger, {count} pay", accounts.len()));
}

/// Changes the e-mail address of every second person under review.
async fn change_emails(env: &Environment) {
    sqlx::query(
        r#"UPDATE "UserProfile" SET email = 'new.' || email
           WHERE status = 'PENDING_ADMIN_APPROVAL' AND right("profileId", 1) ~ '[13579bdf]'"#,
    )
    .execute(&env.pool)
    .await
    .unwrap();
}
