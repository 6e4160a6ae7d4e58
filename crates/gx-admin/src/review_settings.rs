//! Settings of reviews and of acts that need a second administrator. Read by [`crate::service`].

use std::time::Duration;

use gx_ledger_api::named;
use gx_serve::settings::duration;

named! {
    /// A group of acts that may need a second administrator (`GX_FOUR_EYES`).
    pub enum FourEyesAct("must be approval, freeze, pause, treasury or factor-reset") {
        /// Approving a person.
        Approval = "approval",
        /// Freezing and unfreezing a wallet.
        Freeze = "freeze",
        /// Pausing and resuming the ledger.
        Pause = "pause",
        /// Activating a treasury.
        Treasury = "treasury",
        /// Removing the second factors of a person or an administrator.
        FactorReset = "factor-reset",
    }
}

/// Settings of reviews.
#[derive(Clone, Debug, clap::Args)]
pub struct ReviewSettings {
    /// Acts that a second administrator must confirm, separated by commas: approval, freeze, pause,
    /// treasury, factor-reset; none by default.
    #[arg(long, env = "GX_FOUR_EYES", value_delimiter = ',')]
    pub four_eyes: Vec<FourEyesAct>,
    /// How long a proposed act can be confirmed, such as 3d.
    #[arg(long, env = "GX_PROPOSAL_LIFETIME", default_value = "3d", value_parser = duration)]
    pub proposal_lifetime: Duration,
    /// How long a reviewer's claim on a person lasts, such as 15m.
    #[arg(long, env = "GX_REVIEW_LEASE", default_value = "15m", value_parser = duration)]
    pub review_lease: Duration,
    /// Time within which a person under review has a decision, such as 24h. People who wait longer
    /// are late.
    #[arg(long, env = "GX_REVIEW_TARGET", default_value = "24h", value_parser = duration)]
    pub review_target: Duration,
}

impl Default for ReviewSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            four_eyes: Vec::new(),
            proposal_lifetime: DAY * 3,
            review_lease: Duration::from_mins(15),
            review_target: DAY,
        }
    }
}

/// Returns the milliseconds of a duration, as statements take them.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
