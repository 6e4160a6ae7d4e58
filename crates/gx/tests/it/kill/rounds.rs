//! `kill -9` at random moments while people pay each other, round after round.

use std::time::Duration;

use gx_testkit::eventually;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::audit;
use super::payers::Payers;
use crate::role::Role;
use crate::stack::Stack;

/// Rounds that every test run plays.
const FEW: u32 = 3;
/// How long the load goes on before something dies.
const LONGEST_PEACE_MS: u64 = 1_200;
/// By when all that was ordered must have ended.
const DRAINED_WITHIN: Duration = Duration::from_secs(180);

/// G1, G2, G3, G4: whatever is killed, whenever, each transfer that was answered moves money
/// once or is refused, and the read model is what the ledger says.
#[tokio::test(flavor = "multi_thread")]
async fn money_moves_once_whatever_is_killed() {
    play(FEW).await;
}

/// G1, G2, G3, G4: the same, as often as `ROUNDS` says.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make test-kill"]
async fn money_moves_once_whatever_is_killed_many_times() {
    play(rounds_asked_for()).await;
}

/// Who dies in a round.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// `gx dev`: services, workers and ledger.
    Stack,
    /// That and PostgreSQL.
    StackAndDatabase,
    /// The submitter that runs beside the stack's own.
    Submitter,
    /// The projector that runs beside the stack's own.
    Projector,
    /// Every process there is.
    Everything,
}

const VICTIMS: [Victim; 5] = [
    Victim::Stack,
    Victim::Submitter,
    Victim::Projector,
    Victim::StackAndDatabase,
    Victim::Everything,
];

async fn play(rounds: u32) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start().await;
    let payers = Payers::start(&world.stack).await;
    for round in 1..=rounds {
        moment(&mut rng).await;
        // Each kind dies as often as the others.
        let victim = VICTIMS[usize::try_from(round).unwrap() % VICTIMS.len()];
        println!("round {round}: {victim:?} dies; {} transfers answered", payers.answered());
        world.kill(victim).await;
    }
    let answered = payers.stop().await;
    world.drain().await;
    audit::check(&world.stack, &answered).await;
    world.verify();
}

/// The stack, and a second one of each worker.
struct World {
    stack: Stack,
    submitter: Role,
    projector: Role,
    ledger: Vec<(String, String)>,
}

impl World {
    async fn start() -> Self {
        let stack = Stack::start().await;
        let profile = stack.data_dir().join("ledger/connection-profile.yaml");
        let ledger = [
            ("GX_FABRIC_PROFILE", profile.display().to_string()),
            ("GX_INSTANCE", "second".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let url = stack.env("DATABASE_URL");
        let submitter = Role::start("outbox-submitter", &url, &ledger);
        let projector = Role::start("projector", &url, &ledger);
        Self { stack, submitter, projector, ledger }
    }

    /// SIGKILL, and another process in the place of each that died.
    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Stack => self.stack.kill(),
            Victim::StackAndDatabase => {
                self.stack.kill();
                self.stack.kill_postgres();
            }
            Victim::Submitter => self.submitter.kill(),
            Victim::Projector => self.projector.kill(),
            Victim::Everything => {
                self.stack.kill();
                self.submitter.kill();
                self.projector.kill();
                self.stack.kill_postgres();
            }
        }
        if matches!(victim, Victim::Submitter | Victim::Everything) {
            self.submitter.restart();
        }
        if matches!(victim, Victim::Projector | Victim::Everything) {
            self.projector.restart();
        }
        if matches!(victim, Victim::Stack | Victim::StackAndDatabase | Victim::Everything) {
            self.stack.run().await;
        }
    }

    /// Waits until nothing is left to do.
    async fn drain(&mut self) {
        let stack = &self.stack;
        eventually("every command has ended", DRAINED_WITHIN, async || {
            audit::is_drained(stack).await.then_some(())
        })
        .await;
    }

    /// The operator's own comparison of read model and ledger.
    fn verify(&self) {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_gx"))
            .args(["projection", "verify", "--environment", "development"])
            .env("DATABASE_URL", self.stack.env("DATABASE_URL"))
            .envs(self.ledger.iter().cloned())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// Goes on at some moment.
async fn moment(rng: &mut StdRng) {
    let peace = Duration::from_millis(rng.random_range(0..LONGEST_PEACE_MS));
    tokio::time::sleep(peace).await;
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line")]
fn rounds_asked_for() -> u32 {
    let asked = std::env::var("ROUNDS").expect("make test-kill sets ROUNDS");
    asked.parse().expect("ROUNDS is a number")
}
