//! Program, database and ledger have the same constants, or the start says which differ.

use gx_model::{Clock, Command, CountryList};
use gx_projector::{ProjectorSettings, differences, run};
use gx_serve::{HealthBoard, Readiness};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::waiting::eventually;
use crate::world::World;

/// A ledger with the supply and all countries, projected.
async fn agreeing() -> World {
    let world = World::start().await;
    let countries = CountryList::embedded().iter().cloned().collect();
    world.submit(&[Command::BootstrapSystem {}, Command::InitializeCountryData { countries }]).await;
    world.catch_up(&mut world.projector()).await;
    world
}

async fn named(world: &World) -> Vec<String> {
    let found = differences(&mut world.conn().await).await.unwrap();
    found.iter().map(ToString::to_string).collect()
}

async fn change(world: &World, sql: &'static str) {
    let done = sqlx::query(sql).execute(world.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
}

/// CFG-10, DB-07: what was seeded and loaded from the one source agrees. One pool's start
/// changed, and one country removed or changed on either side, are each named.
#[tokio::test]
async fn cfg_10_a_changed_constant_is_named() {
    let world = agreeing().await;
    assert_eq!(named(&world).await, [""; 0]);

    change(&world, r#"UPDATE "LedgerPool" SET "startBalance" = "startBalance" - 1
                      WHERE "poolId" = 'SYSTEM_LOAN_POOL'"#)
        .await;
    change(&world, r#"DELETE FROM "Country" WHERE "countryCode" = 'AD'"#).await;
    change(&world, r#"DELETE FROM "LedgerCountry" WHERE "countryCode" = 'MY'"#).await;
    change(&world, r#"UPDATE "LedgerCountry" SET "sharePpb" = 3 WHERE "countryCode" = 'SG'"#).await;
    let share = |code: &str| {
        CountryList::embedded().get(code.parse().unwrap()).unwrap().share_ppb
    };
    let (ad, my, sg) = (share("AD"), share("MY"), share("SG"));
    assert_eq!(
        named(&world).await,
        [
            format!("country AD: {ad} in the program, absent in the database"),
            format!("country MY: {my} in the program, absent on the ledger"),
            format!("country SG: {sg} in the program, 3 on the ledger"),
            "start of pool SYSTEM_LOAN_POOL: 312500000000000000 in the program, \
             312499999999999999 on the ledger"
                .to_owned(),
        ]
    );
}

/// CFG-10, DB-07: a projector that starts says in its health what differs, and is degraded.
#[tokio::test]
async fn db_07_the_start_report_names_a_missing_country() {
    let world = agreeing().await;
    change(&world, r#"DELETE FROM "Country" WHERE "countryCode" = 'AD'"#).await;
    let board = HealthBoard::new("projector", Clock::system());
    let shutdown = CancellationToken::new();
    let settings = ProjectorSettings { tip_interval_ms: 50, ..ProjectorSettings::default() };
    let rng = StdRng::seed_from_u64(1);
    let running =
        tokio::spawn(run(world.projector(), settings, rng, shutdown.clone(), board.clone()));
    eventually("a report that names the country", async || {
        let report = board.report().await;
        let said = &report.checks["constants"];
        let named = said["message"].as_str()?.starts_with("country AD: ");
        (report.status == Readiness::Degraded && named && said["critical"] == json!(false))
            .then_some(())
    })
    .await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
