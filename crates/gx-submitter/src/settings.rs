//! The submitter's settings.

use std::time::Duration;

use gx_fabric_client::LedgerLimits;
use gx_outbox::{BatchLimits, LANES};

/// How the submitter claims and sends.
#[derive(Clone, Debug, clap::Args)]
pub struct SubmitterSettings {
    /// Name under which lanes are leased. A process that starts under the name of an
    /// earlier one takes that one's lanes back at once; two that run side by side need two
    /// names.
    #[arg(long, env = "GX_INSTANCE", default_value = "outbox-submitter")]
    pub instance: String,
    /// How long lanes are leased, in milliseconds. Must exceed what the ledger is given to
    /// endorse and to accept a transaction.
    #[arg(long, env = "GX_SUBMITTER_LEASE_MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub lease_ms: u64,
    /// How often work is looked for without being told of it, in milliseconds.
    #[arg(long, env = "GX_SUBMITTER_POLL_MS", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub poll_ms: u64,
    /// How long a transaction may take to stand in a block before it is sent again, in
    /// milliseconds.
    #[arg(long, env = "GX_SUBMITTER_RESEND_MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub resend_ms: u64,
    /// Most commands in one transaction.
    #[arg(long, env = "GX_SUBMITTER_BATCH", default_value_t = 500,
          value_parser = clap::value_parser!(u16).range(1..=500))]
    pub batch_commands: u16,
    /// How long commands are let gather for the next transactions, in milliseconds, after
    /// several came at once and filled none. One that comes alone is sent at once.
    #[arg(long, env = "GX_SUBMITTER_GATHER_MS", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub gather_ms: u64,
    /// How long finished commands stay among those that are worked on, in seconds, before they
    /// move to the archive.
    #[arg(long, env = "GX_SUBMITTER_ARCHIVE_AFTER_S", default_value_t = 86_400,
          value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub archive_after_s: u64,
    /// Most transactions under way at once, from forming to submission.
    #[arg(long, env = "GX_SUBMITTER_BATCHES", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=32))]
    pub batches: u8,
    /// Most lanes leased at once. A submitter that gets all of them keeps them until it
    /// stops; others stand by. Several that share the work lease fewer.
    #[arg(long, env = "GX_SUBMITTER_LANES", default_value_t = LANES,
          value_parser = clap::value_parser!(u8).range(1..=i64::from(LANES)))]
    pub lanes: u8,
}

impl Default for SubmitterSettings {
    fn default() -> Self {
        Self {
            instance: "outbox-submitter".to_owned(),
            lease_ms: 60_000,
            poll_ms: 500,
            resend_ms: 5_000,
            batch_commands: 500,
            gather_ms: 50,
            archive_after_s: 31_536_000,
            batches: 4,
            lanes: LANES,
        }
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Another submitter could claim commands that this one is still sending.
    #[error(
        "GX_SUBMITTER_LEASE_MS is {lease_ms}, but endorsing and submitting may take {needed_ms} \
         milliseconds: set it above that"
    )]
    LeaseTooShort {
        /// As configured.
        lease_ms: u64,
        /// What the ledger is given.
        needed_ms: u128,
    },
    /// Lanes cannot be leased under no name.
    #[error("GX_INSTANCE is empty: give this submitter a name of its own")]
    NoInstance,
}

impl SubmitterSettings {
    /// Checks the settings against what the ledger is given.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn check(&self, ledger: &LedgerLimits) -> Result<(), SettingsError> {
        if self.instance.trim().is_empty() {
            return Err(SettingsError::NoInstance);
        }
        let needed = ledger.endorse_timeout + ledger.submit_timeout;
        if self.lease() <= needed {
            let needed_ms = needed.as_millis();
            return Err(SettingsError::LeaseTooShort { lease_ms: self.lease_ms, needed_ms });
        }
        Ok(())
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn archive_after(&self) -> Duration {
        Duration::from_secs(self.archive_after_s)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) fn resend(&self) -> Duration {
        Duration::from_millis(self.resend_ms)
    }

    /// The pause after a step in which so many commands were tried.
    pub(crate) fn gather(&self, tried: usize) -> Duration {
        let is_trickle = (2..usize::from(self.batch_commands)).contains(&tried);
        Duration::from_millis(if is_trickle { self.gather_ms } else { 0 })
    }

    pub(crate) fn batch_limits(&self) -> BatchLimits {
        let max_commands = usize::from(self.batch_commands);
        BatchLimits { max_commands, ..BatchLimits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_gather_only_while_several_come_and_fill_no_transaction() {
        let settings = SubmitterSettings { gather_ms: 7, ..SubmitterSettings::default() };
        let pauses = [0, 1, 2, 499, 500, 2_000].map(|tried| settings.gather(tried).as_millis());
        assert_eq!(pauses, [0, 0, 7, 7, 0, 0]);
    }
}
