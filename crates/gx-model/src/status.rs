//! The states of accounts, commands and attempts, and their transitions. Services, workers and the
//! database use the same names; services decide by them what a person may do.

use gx_ledger_api::named;

named! {
    /// The status of a person's account (`UserProfile.status`).
    pub enum AccountStatus("no account has such a status") {
        /// The person registered and has not submitted documents.
        Registered = "REGISTERED",
        /// The documents are submitted and wait for a reviewer.
        PendingAdminApproval = "PENDING_ADMIN_APPROVAL",
        /// A reviewer approved; the ledger does not have the person yet.
        ApprovedPendingOnchain = "APPROVED_PENDING_ONCHAIN",
        /// The ledger has the person.
        Active = "ACTIVE",
        /// A reviewer denied the submission, with a [`DenialFinality`].
        Denied = "DENIED",
        /// The ledger forbids the person to spend; signing in and reading is possible.
        Frozen = "FROZEN",
        /// An administrator forbids the person to sign in until the suspension ends.
        Suspended = "SUSPENDED",
        /// Closed for ever.
        Closed = "CLOSED",
    }
}

named! {
    /// Whether a denied person may submit documents again.
    pub enum DenialFinality("a denial is RETRY or FINAL") {
        /// The person may submit documents again.
        Retry = "RETRY",
        /// The person may not submit documents again.
        Final = "FINAL",
    }
}

named! {
    /// What GX knows of a person on the ledger (`UserProfile.onchainStatus`).
    pub enum OnchainStatus("no account has such a status on the ledger") {
        /// Nothing was requested from the ledger.
        NotRegistered = "NOT_REGISTERED",
        /// Creation was requested and not confirmed yet.
        Pending = "PENDING",
        /// The ledger has the person.
        Registered = "REGISTERED",
        /// The ledger refused the person finally.
        Failed = "FAILED",
    }
}

named! {
    /// The status of a command (`OutboxCommand.status`).
    pub enum CommandStatus("no command has such a status") {
        /// Waits to be sent.
        Pending = "PENDING",
        /// Waits for an earlier command of its aggregate.
        Held = "HELD",
        /// In an attempt that is open.
        Submitted = "SUBMITTED",
        /// Waits for a prerequisite on the ledger.
        Blocked = "BLOCKED",
        /// Took effect.
        Committed = "COMMITTED",
        /// Took effect, but the declared result was not found on the ledger.
        CommittedUnverified = "COMMITTED_UNVERIFIED",
        /// Refused by a rule of the ledger.
        Refused = "REFUSED",
        /// Given up until an operator retries or discards it.
        Dead = "DEAD",
        /// Withdrawn by an operator, or a payment that was given up. The ledger has cancelled the
        /// id.
        Discarded = "DISCARDED",
    }
}

named! {
    /// The state of a signed envelope (`LedgerAttempt.state`).
    pub enum AttemptState("no attempt has such a state") {
        /// Stored and sent until a block has it.
        Open = "OPEN",
        /// In a block as a valid transaction.
        Valid = "VALID",
        /// In a block as an invalid transaction, without effect.
        Invalid = "INVALID",
        /// Refused finally by the orderer, and no block can have it.
        Abandoned = "ABANDONED",
    }
}

named! {
    /// The status of a submission for review (`KYCVerification.status`).
    pub enum SubmissionStatus("no submission has such a status") {
        /// Waits for a reviewer.
        Pending = "PENDING",
        /// A reviewer approved the person.
        Approved = "APPROVED",
        /// A reviewer denied the person.
        Denied = "DENIED",
    }
}

named! {
    /// The state of a task of the projector (`ProjectorTask.state`).
    pub enum TaskState("no task has such a state") {
        /// Not ended yet.
        Waiting = "WAITING",
        /// Carried out.
        Done = "DONE",
        /// Stopped its projector too often.
        Failed = "FAILED",
        /// Cancelled by an operator.
        Cancelled = "CANCELLED",
    }
}

/// What a signed-in person may do, by the status of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAccess {
    /// Everything.
    Full,
    /// Read, but not transfer money.
    LookOnly,
    /// Only submit documents again.
    KycOnly,
    /// Nothing: no sign-in, and existing tokens are refused.
    Refused,
}

impl AccountStatus {
    /// Returns whether an account may change from this status to `to`. The trigger on `UserProfile`
    /// has the same table for every writer.
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

    /// Returns what a person with this status may do. A denial without a finality counts as final.
    pub const fn access(self, denial: Option<DenialFinality>) -> AccountAccess {
        match (self, denial) {
            (
                Self::Registered
                | Self::PendingAdminApproval
                | Self::ApprovedPendingOnchain
                | Self::Active,
                _,
            ) => AccountAccess::Full,
            (Self::Frozen, _) => AccountAccess::LookOnly,
            (Self::Denied, Some(DenialFinality::Retry)) => AccountAccess::KycOnly,
            (Self::Denied | Self::Suspended | Self::Closed, _) => AccountAccess::Refused,
        }
    }

    /// Returns whether a person with this status may sign in.
    pub fn may_sign_in(self, denial: Option<DenialFinality>) -> bool {
        self.access(denial) != AccountAccess::Refused
    }
}

impl CommandStatus {
    /// Returns whether the status never changes again.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Committed | Self::CommittedUnverified | Self::Refused | Self::Discarded
        )
    }
}
