//! A restore of the database to a time before an approval that the ledger already has.

use std::time::Duration;

use gx_model::Clock;
use gx_projector::{Correction, Rebuilder, Verifier, VerifyLimits};
use gx_testkit::World;
use gx_testkit::http::Reply;
use gx_testkit::story::Person;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

/// Longest time of an adoption.
const BOUND: Duration = Duration::from_secs(30);

/// The part of the removed approval that the ledger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// The person and the grant.
    Both,
    /// The person alone: the grant had not been sent.
    CreationOnly,
    /// The person, the grant, payments both ways and a freeze.
    FrozenPayer,
}

/// The change before the person is approved again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Nothing,
    /// The age in the command is another one.
    Birthday,
    /// The checksum in a newly drawn id would be another one.
    Email,
}

/// The time of the second approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// After the read model has applied the removed blocks.
    CaughtUp,
    /// Before the read model has applied any of them.
    AtOnce,
}

/// A World after a restore, and the person who was approved before it.
struct Restored {
    world: World,
    person: Person,
    /// Her Fabric User ID on the ledger.
    id: String,
    admin: String,
}

impl Restored {
    /// Approves a person, settles, and restores the database to the time before the approval.
    async fn approve_and_restore(carried: Carried, since: Since) -> Self {
        let mut world = World::start().await;
        let other = world.participant(2).await;
        let person = world.gx.register(1).await;
        world.gx.submit(&person).await;
        world.back_up().await;
        let admin = world.admin_token().await;
        let approved = world.gx.approve(&admin, &person).await.expect(200);
        let id = approved.str("/fabricUserId").to_owned();
        if since == Since::Birthday {
            // The approval was on the day before her birthday.
            let younger = r#"UPDATE "OutboxCommand" SET payload = jsonb_set(
                payload, '{age}', to_jsonb((payload ->> 'age')::int - 1))
                WHERE kind = 'CREATE_USER' AND "profileId" = $1"#;
            change_person(&world, younger, &person).await;
        }
        if carried == Carried::CreationOnly {
            let unsent = r#"DELETE FROM "OutboxCommand"
                WHERE kind = 'DISTRIBUTE_GENESIS' AND "profileId" = $1"#;
            change_person(&world, unsent, &person).await;
        }
        world.settle().await;
        if carried == Carried::FrozenPayer {
            let to = world.gx.id_of(&other).await;
            world.gx.pay(&person, "out", &to, "7").await.expect(202);
            world.gx.pay(&other, "in", &id, "11").await.expect(202);
            world.settle().await;
            let path = format!("/api/v1/admin/users/{}/freeze", person.profile_id);
            let reason = json!({ "reason": "COURT_ORDER" });
            world.gx.admin.post(&path, Some(&admin), &reason).await.expect(202);
            world.settle().await;
        }
        world.restore().await;
        if since == Since::Email {
            let email = r#"UPDATE "UserProfile" SET email = 'married.' || email
                WHERE "profileId" = $1"#;
            change_person(&world, email, &person).await;
        }
        let admin = world.admin_token().await;
        Self { world, person, id, admin }
    }

    async fn approve(&self) -> Reply {
        self.world.gx.approve(&self.admin, &self.person).await
    }

    async fn settle(&mut self) {
        self.world.settle().await;
        // The projector runs its tasks between blocks.
        let waiting = r#"SELECT count(*)::text FROM "ProjectorTask"
                         WHERE state = 'WAITING' AND $1 <> ''"#;
        let deadline = tokio::time::Instant::now() + BOUND;
        while self.query(waiting).await.as_deref() != Some("0") {
            self.world.projector.step(Duration::from_millis(1)).await.unwrap();
            assert!(tokio::time::Instant::now() < deadline, "an adoption was not carried out");
        }
    }

    async fn query(&self, sql: &'static str) -> Option<String> {
        let row = sqlx::query_scalar(sql).bind(&self.person.profile_id);
        row.fetch_one(self.world.database.pool()).await.unwrap()
    }

    /// Checks that there is one person with one grant and the ledger's balance, and nothing to do.
    async fn assert_whole(&self, status: &str) {
        let profile = r#"SELECT concat_ws('|', status, "onchainStatus", "fabricUserId")
                         FROM "UserProfile" WHERE "profileId" = $1"#;
        let expected = format!("{status}|REGISTERED|{}", self.id);
        assert_eq!(self.query(profile).await, Some(expected));
        let wallet = self.world.gx.wallet(&self.person).await.expect("she may look");
        assert_eq!(wallet.str("/fabricUserId"), self.id);
        let balance = self.query(r#"SELECT balance::text FROM "Wallet" WHERE "profileId" = $1"#);
        let on_chain = self.world.balance_on_chain(&self.id).await;
        assert_eq!(balance.await, Some(on_chain.to_string()));
        let people = r#"SELECT concat_ws('|', count(*), count("profileId"), count("genesisTxId"))
                        FROM "LedgerUser" WHERE $1 <> ''"#;
        assert_eq!(self.query(people).await.as_deref(), Some("2|2|2"), "she and the other one");
        let supply = self.world.ledger.evaluate("TokenomicsContract:GetSupplyStatus", &[]).await;
        let supply: serde_json::Value = serde_json::from_slice(&supply.unwrap()).unwrap();
        assert_eq!(supply["users"], 2, "one grant for each: {supply}");
        let open = r#"SELECT count(*)::text FROM "OutboxCommand"
                      WHERE "settledAt" IS NULL AND $1 <> ''"#;
        assert_eq!(self.query(open).await.as_deref(), Some("0"));
        assert_eq!(self.approve().await.status, 409, "a second approval is not possible");
        self.is_what_the_chain_makes_it().await;
    }

    /// G3: checks that a verify and a rebuild find no difference.
    async fn is_what_the_chain_makes_it(&self) {
        let (pool, ledger) = (self.world.database.pool().clone(), self.world.ledger.clone());
        let mut found = vec![];
        let verifier = Verifier::new(pool.clone(), ledger.clone(), VerifyLimits::default());
        let report = verifier.run(|one| found.push(one.to_string())).await.unwrap();
        assert!(report.is_clean(), "{report:?} {found:?}");
        let settings = self.world.projector.context().settings.clone();
        let rebuilder = Rebuilder { pool, ledger, settings, clock: Clock::system() };
        let rng = StdRng::seed_from_u64(5);
        let rebuilt = rebuilder.run(Correction::ReportOnly, rng, |_| {}, |_| {}).await.unwrap();
        assert!(rebuilt.is_equal(), "{rebuilt:#?}");
    }
}

async fn change_person(world: &World, sql: &'static str, person: &Person) {
    let done = sqlx::query(sql).bind(&person.profile_id).execute(world.database.pool()).await;
    assert_eq!(done.unwrap().rows_affected(), 1, "{sql}");
}

async fn approve_again(carried: Carried, since: Since, again: Again) -> Restored {
    let mut story = Box::pin(Restored::approve_and_restore(carried, since)).await;
    if again == Again::CaughtUp {
        story.world.settle().await;
        assert!(story.world.gx.wallet(&story.person).await.is_none(), "she is nobody's yet");
    }
    story.approve().await.expect(200);
    story.settle().await;
    story
}

/// PRJ-15, G2: a restore removes an approval that the ledger has. The same approval again, before
/// or after the read model has caught up, leads to one person with one grant, usable at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_approval_adopts_the_person_of_the_first() {
    for again in [Again::CaughtUp, Again::AtOnce] {
        let story = Box::pin(approve_again(Carried::Both, Since::Nothing, again)).await;
        story.assert_whole("ACTIVE").await;
        let wallet = story.world.gx.wallet(&story.person).await.unwrap();
        assert_eq!(wallet.str("/balance"), "500");
    }
}

/// PRJ-15, G2: a birthday or another e-mail address between the approval and its repetition
/// makes the command another one; the ledger's person stays the only one, with one grant.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_since_makes_no_second_person() {
    for since in [Since::Birthday, Since::Email] {
        for again in [Again::CaughtUp, Again::AtOnce] {
            let story = Box::pin(approve_again(Carried::Both, since, again)).await;
            story.assert_whole("ACTIVE").await;
        }
    }
}

/// PRJ-15, G2: if the ledger has created the person and made no grant, the repeated approval makes
/// the grant once, whatever has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_was_never_made_is_made_once() {
    for since in [Since::Nothing, Since::Birthday, Since::Email] {
        for again in [Again::CaughtUp, Again::AtOnce] {
            let story = Box::pin(approve_again(Carried::CreationOnly, since, again)).await;
            story.assert_whole("ACTIVE").await;
            let wallet = story.world.gx.wallet(&story.person).await.unwrap();
            assert_eq!(wallet.str("/balance"), "500", "{since:?} {again:?}");
        }
    }
}

/// PRJ-15, G6: a person who was frozen before the restore is adopted frozen, with the ledger's
/// balance; at no moment can the account pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_person_is_adopted_frozen() {
    for (since, again) in [(Since::Nothing, Again::CaughtUp), (Since::Email, Again::AtOnce)] {
        let story = Box::pin(approve_again(Carried::FrozenPayer, since, again)).await;
        story.assert_whole("FROZEN").await;
        let to = story.id.clone();
        let refused = story.world.gx.pay(&story.person, "frozen", &to, "1").await;
        assert_eq!(refused.status, 409);
    }
}

/// PRJ-15: a ledger account without an owner delays nobody: others pay to it, and new people get
/// their grants.
#[tokio::test(flavor = "multi_thread")]
async fn others_go_on_while_a_person_has_no_owner() {
    let mut story = Box::pin(Restored::approve_and_restore(Carried::Both, Since::Nothing)).await;
    story.world.settle().await;
    let third = story.world.participant(3).await;
    assert_eq!(story.world.gx.balance(&third).await, "500");
    story.world.gx.pay(&third, "to no owner", &story.id, "20").await.expect(202);
    story.world.settle().await;
    // 20 GX and a fee of five basis points.
    assert_eq!(story.world.gx.balance(&third).await, "479.99");
    story.is_what_the_chain_makes_it().await;
}

/// PRJ-15, G2: if the ledger refused the first approval, its repetition with other content is
/// refused, too, and the account goes back to review; the next approval creates the person.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_creation_that_is_repeated_goes_back_to_review() {
    let mut world = World::start().await;
    let person = world.gx.register(1).await;
    world.gx.submit(&person).await;
    world.back_up().await;
    let admin = world.admin_token().await;
    world.gx.approve(&admin, &person).await.expect(200);
    let elsewhere = r#"UPDATE "OutboxCommand" SET payload = payload || '{"nationality": "SG"}'
                       WHERE kind = 'CREATE_USER' AND "profileId" = $1"#;
    change_person(&world, elsewhere, &person).await;
    world.settle().await;
    let status = async |world: &World| -> String {
        sqlx::query_scalar(r#"SELECT status FROM "UserProfile" WHERE "profileId" = $1"#)
            .bind(&person.profile_id)
            .fetch_one(world.database.pool())
            .await
            .unwrap()
    };
    assert_eq!(status(&world).await, "PENDING_ADMIN_APPROVAL");
    world.restore().await;
    world.settle().await;
    let admin = world.admin_token().await;
    world.gx.approve(&admin, &person).await.expect(200);
    world.settle().await;
    assert_eq!(status(&world).await, "PENDING_ADMIN_APPROVAL");
    world.gx.approve(&admin, &person).await.expect(200);
    world.settle().await;
    assert_eq!(status(&world).await, "ACTIVE");
    assert_eq!(world.gx.balance(&person).await, "500");
}
