//! Enqueues commands for a benchmark's people. Called by the rows and by the enqueuer's process.

use clap::ValueEnum;
use gx_model::{Command, CommandId, SignerRole};
use sqlx::PgConnection;

use crate::error::BenchError;
use crate::people;
use crate::store::commands::{self, CommandRow};

/// Number of rows that are encoded and sent at once.
const SENT_TOGETHER: u64 = 1_000;

/// The commands of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommandPattern {
    /// Each person pays another one, and another receiver in the next round.
    Transfers,
    /// Everybody except person number 0 pays that person.
    ToOne,
    /// People of one country are created; every second command is the grant of the person before.
    OneCountry,
}

impl CommandPattern {
    /// Returns command number `n`, from 0, with its id. `people` is the number of people on the
    /// chain, at least two.
    pub(crate) fn command(self, n: u64, people: u64) -> (CommandId, Command) {
        let (round, payer) = (n / people, n % people);
        let id = |kind: &str| CommandId::derive(&["bench", kind, &n.to_string()]);
        match self {
            Self::Transfers => {
                // Another receiver each round, and never the payer.
                let receiver = (payer + 1 + (round * 7_919 + people / 2) % (people - 1)) % people;
                (id("transfer"), people::pay_a_little(payer, receiver))
            }
            Self::ToOne => {
                let payer = 1 + n % (people - 1);
                (id("to one"), people::pay_a_little(payer, 0))
            }
            Self::OneCountry => {
                let number = Self::newcomer(n, people);
                if n.is_multiple_of(2) {
                    (people::create_id(number), people::create(number))
                } else {
                    (people::grant_id(number), people::grant(number))
                }
            }
        }
    }

    /// Returns the name in the arguments of a process.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no kind is skipped");
        value.get_name().to_owned()
    }

    /// Returns the number of the person of a [`CommandPattern::OneCountry`] command, who is not on
    /// the chain.
    pub(crate) fn newcomer(n: u64, people: u64) -> u64 {
        people::resident(people + n / 2)
    }

    /// Enqueues the commands from number `from` up to but not including `to` in one COPY.
    pub(crate) async fn enqueue_all(
        self,
        conn: &mut PgConnection,
        (from, to): (u64, u64),
        people: u64,
    ) -> Result<(), BenchError> {
        let mut copy = commands::copy(conn).await?;
        for first in (from..to).step_by(usize::try_from(SENT_TOGETHER).unwrap_or(1)) {
            let numbers = first..(first + SENT_TOGETHER).min(to);
            let rows: String = numbers
                .map(|n| {
                    let (id, command) = self.command(n, people);
                    row(id, &command).text()
                })
                .collect();
            copy.send(rows.as_bytes()).await?;
        }
        copy.finish().await?;
        Ok(())
    }
}

fn row(id: CommandId, command: &Command) -> CommandRow {
    let aggregate_key = command.aggregate_key();
    CommandRow {
        command_id: id.to_string(),
        kind: command.kind().name(),
        payload: command.payload().to_string(),
        signer_role: match command.kind().role() {
            SignerRole::SuperAdmin => "SUPER_ADMIN",
            SignerRole::Admin | SignerRole::PartnerApi => "ADMIN",
        },
        lane: gx_outbox::submitter::lane_of(&aggregate_key),
        aggregate_key,
        touches: command.touches(),
    }
}
