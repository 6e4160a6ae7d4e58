//! The projector's settings. `gx` reads them from its arguments and environment, where a value out
//! of range ends the start, and passes them to [`crate::run()`].

use std::time::Duration;

use crate::leader::LeadSettings;

/// Intervals and timeouts of the projector.
#[derive(Clone, Debug, clap::Args)]
pub struct ProjectorSettings {
    /// How often the peers are asked for their newest block, in milliseconds.
    #[arg(long, env = "GX_TIP_INTERVAL_MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub tip_interval_ms: u64,
    /// Age of the last contact with the ledger above which the lag is unknown, in
    /// milliseconds.
    #[arg(long, env = "GX_TIP_MAX_AGE_MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1_000..=600_000))]
    pub tip_max_age_ms: u64,
    /// How often a standby tries to take the lead, in milliseconds.
    #[arg(long, env = "GX_STANDBY_POLL_MS", default_value_t = 500,
          value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub standby_poll_ms: u64,
    /// How often the leader keeps its session alive, in milliseconds; at most a third of
    /// GX_LEADER_SILENCE_MS counts.
    #[arg(long, env = "GX_LEADER_PING_MS", default_value_t = 3_000,
          value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub leader_ping_ms: u64,
    /// How long the leader's session may be silent before the database server ends it and
    /// another projector leads, in milliseconds.
    #[arg(long, env = "GX_LEADER_SILENCE_MS", default_value_t = 12_000,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub leader_silence_ms: u64,
    /// How long the leader's step may make no progress before it gives the lead up, in
    /// milliseconds.
    #[arg(long, env = "GX_LEADER_PATIENCE_MS", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub leader_patience_ms: u64,
    /// How often the newest projected block's commit hash is compared with other
    /// organisations' peers, in milliseconds.
    #[arg(long, env = "GX_COMMIT_HASH_INTERVAL_MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(50..=86_400_000))]
    pub commit_hash_interval_ms: u64,
    /// How often the whole read model is compared with the ledger, in milliseconds; 0 to compare
    /// only on request.
    #[arg(long, env = "GX_RECONCILE_INTERVAL_MS", default_value_t = 86_400_000,
          value_parser = clap::value_parser!(u64).range(0..=2_592_000_000))]
    pub reconcile_interval_ms: u64,
}

impl Default for ProjectorSettings {
    fn default() -> Self {
        Self {
            tip_interval_ms: 1_000,
            tip_max_age_ms: 10_000,
            standby_poll_ms: 500,
            leader_ping_ms: 3_000,
            leader_silence_ms: 12_000,
            leader_patience_ms: 20_000,
            commit_hash_interval_ms: 60_000,
            reconcile_interval_ms: 86_400_000,
        }
    }
}

impl ProjectorSettings {
    pub(crate) fn tip_interval(&self) -> Duration {
        Duration::from_millis(self.tip_interval_ms)
    }

    pub(crate) fn tip_max_age(&self) -> Duration {
        Duration::from_millis(self.tip_max_age_ms)
    }

    pub(crate) fn standby_poll(&self) -> Duration {
        Duration::from_millis(self.standby_poll_ms)
    }

    /// Returns the settings of the lead. The ping interval is at most a third of the silence, so
    /// that one lost ping does not end the session.
    pub fn lead(&self) -> LeadSettings {
        let silence = Duration::from_millis(self.leader_silence_ms);
        LeadSettings {
            ping: Duration::from_millis(self.leader_ping_ms).min(silence / 3),
            silence,
            progress_timeout: Duration::from_millis(self.leader_patience_ms),
        }
    }

    pub(crate) fn commit_hash_interval(&self) -> Duration {
        Duration::from_millis(self.commit_hash_interval_ms)
    }

    /// Returns the interval, or `None` to compare only on request.
    pub(crate) fn reconcile_interval(&self) -> Option<Duration> {
        (self.reconcile_interval_ms > 0).then(|| Duration::from_millis(self.reconcile_interval_ms))
    }
}
