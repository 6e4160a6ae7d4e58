//! The submitter's settings. `gx` reads them from its arguments and environment, and
//! [`crate::Submitter::new`] checks them; a value that cannot work ends the start.

use std::time::Duration;

use gx_fabric_client::LedgerLimits;
use gx_outbox::submitter::{BatchLimits, LANES};

/// Settings of the submitter.
#[derive(Clone, Debug, clap::Args)]
pub struct SubmitterSettings {
    /// Name under which lanes are leased. A process that starts with the name of an earlier one
    /// releases that one's lanes at once; two that run at the same time need two names.
    #[arg(long, env = "GX_INSTANCE", default_value = "outbox-submitter")]
    pub instance: String,
    /// How long lanes are leased, in milliseconds. Must be longer than the ledger's timeouts for
    /// endorsing and submitting together.
    #[arg(long, env = "GX_SUBMITTER_LEASE_MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub lease_ms: u64,
    /// How often the submitter looks for work without a notification, in milliseconds.
    #[arg(long, env = "GX_SUBMITTER_POLL_MS", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub poll_ms: u64,
    /// How long to wait for a block with a transaction before the transaction is sent again, in
    /// milliseconds.
    #[arg(long, env = "GX_SUBMITTER_RESEND_MS", default_value_t = 5_000,
          value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub resend_ms: u64,
    /// Limit of the commands in one transaction.
    #[arg(long, env = "GX_SUBMITTER_BATCH", default_value_t = 500,
          value_parser = clap::value_parser!(u16).range(1..=500))]
    pub batch_commands: u16,
    /// How long to wait for more commands, in milliseconds, after a step that sent several commands
    /// but filled no transaction. A single command is sent at once.
    #[arg(long, env = "GX_SUBMITTER_GATHER_MS", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub gather_ms: u64,
    /// How long settled commands stay in the outbox before they move to the archive, in seconds.
    #[arg(long, env = "GX_SUBMITTER_ARCHIVE_AFTER_S", default_value_t = 86_400,
          value_parser = clap::value_parser!(u64).range(1..=315_360_000))]
    pub archive_after_s: u64,
    /// Limit of the transactions in flight, from forming to submission.
    #[arg(long, env = "GX_SUBMITTER_BATCHES", default_value_t = 4,
          value_parser = clap::value_parser!(u8).range(1..=32))]
    pub batches: u8,
    /// Limit of the lanes leased at once. A submitter that gets all of them keeps them until it
    /// stops, and others are standbys. Several that share the work lease fewer.
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
            // Tests and benchmarks read settled commands, and move the clock by days.
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
         milliseconds; set it higher"
    )]
    LeaseTooShort {
        /// The configured lease.
        lease_ms: u64,
        /// The timeouts for endorsing and submitting together.
        needed_ms: u128,
    },
    /// The name of the instance is empty.
    #[error("GX_INSTANCE is empty; set a name that no other submitter uses")]
    NoInstance,
}

impl SubmitterSettings {
    /// Checks the settings against the ledger's timeouts.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that cannot work.
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

    /// Returns the pause after a step in which `tried` commands were tried: zero unless several
    /// were tried and they filled no transaction.
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
