//! The state machines of accounts, commands and attempts.

use crate::named::named;

named! {
    /// Where a person's account stands (`UserProfile.status`).
    pub enum AccountStatus("no account has such a status") {
        /// Registered; no documents handed in.
        Registered = "REGISTERED",
        /// Handed in, awaiting a reviewer.
        PendingAdminApproval = "PENDING_ADMIN_APPROVAL",
        /// Approved; on the way to the ledger.
        ApprovedPendingOnchain = "APPROVED_PENDING_ONCHAIN",
        /// Exists on the ledger.
        Active = "ACTIVE",
        /// Refused by a reviewer, with a [`DenialFinality`].
        Denied = "DENIED",
        /// May look but not move money, by the ledger's word.
        Frozen = "FROZEN",
        /// Shut out by an administrator, for now.
        Suspended = "SUSPENDED",
        /// Closed for good.
        Closed = "CLOSED",
    }
}

named! {
    /// Whether a denied person may try again.
    pub enum DenialFinality("a denial is RETRY or FINAL") {
        /// May hand in again.
        Retry = "RETRY",
        /// May not.
        Final = "FINAL",
    }
}

named! {
    /// What is known of a person on the ledger (`UserProfile.onchainStatus`).
    pub enum OnchainStatus("no account has such a status on the ledger") {
        /// Nothing was asked of the ledger.
        NotRegistered = "NOT_REGISTERED",
        /// Asked; no answer yet.
        Pending = "PENDING",
        /// The ledger has the person.
        Registered = "REGISTERED",
        /// The ledger refused for good.
        Failed = "FAILED",
    }
}

named! {
    /// Where a command stands (`OutboxCommand.status`).
    pub enum CommandStatus("no command has such a status") {
        /// Waits to be sent.
        Pending = "PENDING",
        /// Waits behind a predecessor that is held up.
        Held = "HELD",
        /// In an envelope that is on its way.
        Submitted = "SUBMITTED",
        /// Waits for a prerequisite on the ledger.
        Blocked = "BLOCKED",
        /// Took effect.
        Committed = "COMMITTED",
        /// Took effect, but its declared result was not found on the ledger.
        CommittedUnverified = "COMMITTED_UNVERIFIED",
        /// Refused by a rule of the ledger.
        Refused = "REFUSED",
        /// Given up until an operator decides.
        Dead = "DEAD",
        /// Withdrawn by an operator.
        Discarded = "DISCARDED",
    }
}

named! {
    /// Where a signed envelope stands (`LedgerAttempt.state`).
    pub enum AttemptState("no attempt has such a state") {
        /// Sent or to be sent; not in a block yet.
        Open = "OPEN",
        /// In a block, valid.
        Valid = "VALID",
        /// In a block, without effect.
        Invalid = "INVALID",
        /// Refused for good before it reached a block.
        Abandoned = "ABANDONED",
    }
}

/// What a signed-in person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything a person may.
    Full,
    /// Look, and not move money.
    LookOnly,
    /// Only hand in documents again.
    KycOnly,
    /// Nothing: no sign-in, and existing tokens are refused.
    Refused,
}

impl AccountStatus {
    /// The transition table, which the trigger on `UserProfile` repeats for every writer.
    pub const fn may_become(self, to: Self) -> bool {
        use AccountStatus::*;
        matches!(
            (self, to),
            (Registered | Denied, PendingAdminApproval)
                | (PendingAdminApproval, ApprovedPendingOnchain | Denied)
                | (ApprovedPendingOnchain, Active | PendingAdminApproval)
                | (Active, Frozen | Suspended)
                | (Frozen, Active | Suspended)
                | (Suspended, Active | Frozen)
                | (
                    Registered
                        | PendingAdminApproval
                        | ApprovedPendingOnchain
                        | Active
                        | Denied
                        | Frozen
                        | Suspended,
                    Closed
                )
        )
    }

    /// What a person in this status may do, a lock apart. A denial without a finality
    /// counts as final.
    pub const fn access(self, denial: Option<DenialFinality>) -> Access {
        match (self, denial) {
            (
                Self::Registered
                | Self::PendingAdminApproval
                | Self::ApprovedPendingOnchain
                | Self::Active,
                _,
            ) => Access::Full,
            (Self::Frozen, _) => Access::LookOnly,
            (Self::Denied, Some(DenialFinality::Retry)) => Access::KycOnly,
            (Self::Denied | Self::Suspended | Self::Closed, _) => Access::Refused,
        }
    }

    /// Whether a person in this status may sign in at all.
    pub fn may_sign_in(self, denial: Option<DenialFinality>) -> bool {
        self.access(denial) != Access::Refused
    }
}

impl CommandStatus {
    /// Whether the status never changes again.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Committed | Self::CommittedUnverified | Self::Refused | Self::Discarded
        )
    }
}
