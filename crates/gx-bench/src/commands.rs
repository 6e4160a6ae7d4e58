//! Commands of a benchmark's people, put into the outbox.

use clap::ValueEnum;
use gx_model::{Command, CommandId, SignerRole};
use sqlx::PgConnection;

use crate::error::BenchError;
use crate::people;
use crate::store::commands::{self, CommandRow};

/// Rows that are encoded and sent at once.
const SENT_TOGETHER: u64 = 1_000;

/// What the commands do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Everybody pays somebody far away, over and over.
    Transfers,
    /// Everybody pays the one person number 0.
    ToOne,
    /// People of one country come to exist, each with a grant.
    OneCountry,
}

impl Wanted {
    /// Command number `n`, among people of whom there are so many, with its id.
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

    /// The name by which a process is told.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no kind is skipped");
        value.get_name().to_owned()
    }

    /// Whom a command of [`Wanted::OneCountry`] is about: nobody who is on the chain already.
    pub(crate) fn newcomer(n: u64, people: u64) -> u64 {
        people::resident(people + n / 2)
    }

    /// Enqueues the commands `from` to `to`, as the outbox does it, in one COPY.
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
        lane: gx_outbox::lane_of(&aggregate_key),
        aggregate_key,
        touches: command.touches(),
    }
}
