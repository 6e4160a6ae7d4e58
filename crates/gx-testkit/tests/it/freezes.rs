//! A freeze stops payments at once, and lasts only if the ledger confirms it.

use gx_testkit::World;
use gx_testkit::http::Reply;
use gx_testkit::story::Person;
use serde_json::{Value, json};

struct Frozen {
    world: World,
    admin: String,
    person: Person,
    to: String,
}

impl Frozen {
    async fn start() -> Self {
        let mut world = World::start().await;
        let (person, other) = (world.gx.register(1).await, world.gx.register(2).await);
        world.admit(&[person.clone(), other.clone()]).await;
        let (admin, to) = (world.admin_token().await, world.gx.id_of(&other).await);
        Self { world, admin, person, to }
    }

    async fn ask_to(&self, action: &str) -> Reply {
        let path = format!("/api/v1/admin/users/{}/{action}", self.person.profile_id);
        let body = json!({ "reason": "COMPLIANCE_REVIEW" });
        self.world.gx.admin.post(&path, Some(&self.admin), &body).await
    }

    async fn status_and_freeze(&self) -> (String, Value) {
        let path = format!("/api/v1/admin/users/{}", self.person.profile_id);
        let user = self.world.gx.admin.get(&path, &self.admin).await.expect(200);
        (user.str("/user/status").to_owned(), user.json["user"]["freeze"].clone())
    }

    async fn pay(&self, key: &str) -> u16 {
        self.world.gx.pay(&self.person, key, &self.to, "1").await.status.as_u16()
    }
}

/// OUT-13, G6: a freeze blocks spending at once and is final when the ledger confirms it; an
/// unfreeze takes effect when the ledger confirms it.
#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_freeze_becomes_final() {
    let mut story = Box::pin(Frozen::start()).await;
    assert_eq!(story.pay("before").await, 202);
    story.ask_to("freeze").await.expect(202);
    let pending = json!({ "isFrozen": false, "pending": "FREEZE_WALLET", "lastRefusal": null });
    assert_eq!(story.status_and_freeze().await, ("ACTIVE".to_owned(), pending));
    assert_eq!(story.pay("pending").await, 409);

    story.world.settle().await;
    let last = json!({ "isFrozen": true, "pending": null, "lastRefusal": null });
    assert_eq!(story.status_and_freeze().await, ("FROZEN".to_owned(), last));
    assert_eq!(story.pay("frozen").await, 409);
    let wallet = story.world.gx.wallet(&story.person).await.expect("may look");
    assert_eq!(wallet.str("/balance"), "499", "what was ordered before was paid");

    story.ask_to("unfreeze").await.expect(202);
    assert_eq!(story.pay("not yet").await, 409);
    story.world.settle().await;
    assert_eq!(story.status_and_freeze().await.0, "ACTIVE");
    assert_eq!(story.pay("after").await, 202);
}

/// OUT-13, G9: a freeze that the ledger refuses is visibly undone: the person has the previous
/// status with the reason, and the list of commands has the refused one.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_freeze_is_visibly_undone() {
    let mut story = Box::pin(Frozen::start()).await;
    story.ask_to("freeze").await.expect(202);
    story.world.settle().await;
    // The read model forgets the freeze, so that a second one is sent, which the ledger refuses.
    for sql in [
        r#"UPDATE "LedgerUser" SET "isFrozen" = false WHERE "profileId" = $1"#,
        r#"UPDATE "UserProfile" SET status = 'ACTIVE' WHERE "profileId" = $1"#,
    ] {
        let done = sqlx::query(sql).bind(&story.person.profile_id);
        done.execute(story.world.database.pool()).await.unwrap();
    }
    let command = story.ask_to("freeze").await.expect(202).str("/commandId").to_owned();
    assert_eq!(story.pay("pending").await, 409);
    story.world.settle().await;

    let undone = json!({ "isFrozen": false, "pending": null, "lastRefusal": "ALREADY_FROZEN" });
    assert_eq!(story.status_and_freeze().await, ("ACTIVE".to_owned(), undone));
    assert_eq!(story.pay("again").await, 202);
    let listed =
        story.world.gx.admin.get("/api/v1/admin/outbox?status=REFUSED", &story.admin).await;
    let failed = listed.expect(200);
    assert_eq!(failed.str("/items/0/commandId"), command);
    assert_eq!(failed.str("/items/0/kind"), "FREEZE_WALLET");
}
