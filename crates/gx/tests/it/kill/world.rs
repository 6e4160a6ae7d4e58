//! The processes that the rounds kill and freeze.

use std::time::Duration;

use gx_testkit::eventually;
use tokio::time::Instant;

use super::audit;
use crate::role::Role;
use crate::stack::Stack;

/// Longest time until all orders have ended.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);
/// A worker that is frozen for longer has lost its lanes or its lead.
const TAKEN_OVER_AFTER: Duration = Duration::from_secs(30);
/// Longest time until the other worker has taken over, on a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

/// The processes that a round kills or freezes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victim {
    /// `gx dev`: services, workers and ledger.
    Stack,
    /// PostgreSQL.
    Database,
    /// `gx dev` and PostgreSQL.
    StackAndDatabase,
    /// The second submitter.
    Submitter,
    /// The second projector.
    Projector,
    /// All processes.
    Everything,
}

/// The stack, and a second submitter and projector.
pub(super) struct World {
    pub(super) stack: Stack,
    submitter: Role,
    projector: Role,
    ledger: Vec<(String, String)>,
}

impl World {
    pub(super) async fn start() -> Self {
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

    /// Kills processes with SIGKILL and starts them again.
    pub(super) async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Stack => self.stack.kill(),
            Victim::StackAndDatabase => {
                self.stack.kill();
                self.stack.kill_postgres();
            }
            Victim::Database => self.stack.kill_postgres(),
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

    /// Stops processes with SIGSTOP and continues them with SIGCONT after this time. PRJ-16: if one
    /// of two workers is stopped for long, the other one takes over before.
    pub(super) async fn freeze(&mut self, victim: Victim, length: Duration) {
        self.signal(victim, "STOP");
        let wakes_up_at = Instant::now() + length;
        let is_one_of_two = matches!(victim, Victim::Submitter | Victim::Projector);
        if is_one_of_two && length > TAKEN_OVER_AFTER {
            let (stack, applied) = (&self.stack, audit::blocks_applied(&self.stack).await);
            eventually("the other one goes on", TAKEN_OVER_WITHIN, async || {
                // A first block may have been applied just before the freeze.
                (audit::blocks_applied(stack).await > applied + 1).then_some(())
            })
            .await;
        }
        tokio::time::sleep_until(wakes_up_at).await;
        self.signal(victim, "CONT");
    }

    fn signal(&self, victim: Victim, signal: &str) {
        if matches!(victim, Victim::Stack | Victim::StackAndDatabase | Victim::Everything) {
            self.stack.signal(signal);
        }
        if matches!(victim, Victim::Submitter | Victim::Everything) {
            self.submitter.signal(signal);
        }
        if matches!(victim, Victim::Projector | Victim::Everything) {
            self.projector.signal(signal);
        }
        if matches!(victim, Victim::Database | Victim::StackAndDatabase | Victim::Everything) {
            self.stack.signal_postgres(signal);
        }
    }

    /// Waits until nothing is left to do.
    pub(super) async fn drain(&mut self) {
        let stack = &self.stack;
        eventually("every command has ended", DRAINED_WITHIN, async || {
            audit::is_drained(stack).await.then_some(())
        })
        .await;
    }

    /// Compares the read model with the ledger as an operator does.
    pub(super) fn verify(&self) {
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
