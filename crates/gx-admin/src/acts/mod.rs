//! Acts that may need a second administrator (KYC-03), as routes request them and as proposals
//! store them. The routes of these acts call [`crate::request_act`].

mod answer;
mod stored;

use gx_auth::{AdminRole, Administrator};
use gx_db::{AdminId, ProfileId};
use gx_ledger_api::named;
use gx_model::{CommandId, CountryCode, FabricUserId, ReasonCode};

use crate::review_settings::FourEyesAct;

pub(crate) use answer::{CommandBody, ProposedBody};

/// What a pause or resume is about, in proposals and in the audit log.
pub(crate) const SYSTEM: &str = "SYSTEM";

/// The change that an administrator requests for a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FreezeAction {
    Freeze,
    Unfreeze,
}

/// The change that an administrator requests for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PauseAction {
    Pause(ReasonCode),
    Resume,
}

/// The result of an approval.
pub(crate) struct ApprovalResult {
    pub(crate) fabric_user_id: FabricUserId,
    /// The enqueued commands: only those that the ledger does not have yet.
    pub(crate) command_ids: Vec<CommandId>,
}

named! {
    /// The kind of an act (`Proposal.act`).
    pub enum ActKind("no act has such a name") {
        /// Approves a person under review.
        Approve = "APPROVE",
        /// Freezes a wallet.
        Freeze = "FREEZE",
        /// Unfreezes a wallet.
        Unfreeze = "UNFREEZE",
        /// Pauses the ledger.
        Pause = "PAUSE",
        /// Resumes the ledger.
        Resume = "RESUME",
        /// Activates the treasury of a country.
        ActivateTreasury = "ACTIVATE_TREASURY",
        /// Removes the second factors of a person.
        ResetUserFactors = "RESET_USER_FACTORS",
        /// Removes the second factors of an administrator.
        ResetAdministratorFactors = "RESET_ADMINISTRATOR_FACTORS",
    }
}

impl ActKind {
    /// Returns the group by which `GX_FOUR_EYES` names the act.
    pub(crate) const fn group(self) -> FourEyesAct {
        match self {
            Self::Approve => FourEyesAct::Approval,
            Self::Freeze | Self::Unfreeze => FourEyesAct::Freeze,
            Self::Pause | Self::Resume => FourEyesAct::Pause,
            Self::ActivateTreasury => FourEyesAct::Treasury,
            Self::ResetUserFactors | Self::ResetAdministratorFactors => FourEyesAct::FactorReset,
        }
    }

    /// Returns the lowest role that may request, confirm and reject the act.
    pub(crate) const fn least_role(self) -> AdminRole {
        match self {
            Self::Approve => AdminRole::Reviewer,
            Self::Freeze | Self::Unfreeze | Self::ResetUserFactors => AdminRole::Admin,
            Self::Pause
            | Self::Resume
            | Self::ActivateTreasury
            | Self::ResetAdministratorFactors => AdminRole::SuperAdmin,
        }
    }
}

/// An act with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Approve(ProfileId),
    Freeze { profile_id: ProfileId, action: FreezeAction, reason: ReasonCode },
    Pause(PauseAction),
    ActivateTreasury(CountryCode),
    ResetUserFactors(ProfileId),
    ResetAdministratorFactors(AdminId),
}

/// What an administrator wrote about an act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActTexts {
    pub(crate) reason: Option<String>,
    pub(crate) notes: Option<String>,
}

impl ActTexts {
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(crate) fn notes(&self) -> Option<&str> {
        self.notes.as_deref()
    }
}

/// A request for an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActRequest {
    pub(crate) act: Act,
    pub(crate) texts: ActTexts,
}

/// What an act has done.
pub(crate) enum ActOutcome {
    /// A person was approved.
    Approved(ApprovalResult),
    /// A command is in the outbox.
    Enqueued(CommandId),
    /// Nothing is left to do.
    Done,
}

impl ActOutcome {
    /// Returns the commands that the act has enqueued.
    pub(crate) fn command_ids(&self) -> Vec<CommandId> {
        match self {
            Self::Approved(approved) => approved.command_ids.clone(),
            Self::Enqueued(command_id) => vec![*command_id],
            Self::Done => Vec::new(),
        }
    }
}

/// The answer to a request for an act.
pub(crate) enum ActAnswer {
    Performed(ActOutcome),
    /// The id of the proposal that another administrator must confirm.
    Proposed(String),
}

/// Who performs an act: the administrator of the request and, if the act was proposed, the other
/// one who proposed it.
#[derive(Clone, Copy)]
pub(crate) struct Performer<'a> {
    pub(crate) who: &'a Administrator,
    pub(crate) proposed_by: Option<&'a AdminId>,
}

impl<'a> Performer<'a> {
    /// Returns an administrator who acts alone.
    pub(crate) fn alone(who: &'a Administrator) -> Self {
        Self { who, proposed_by: None }
    }

    /// Returns whether this administrator is one of those who perform the act.
    pub(crate) fn includes(&self, admin_id: &AdminId) -> bool {
        self.who.admin_id == *admin_id || self.proposed_by == Some(admin_id)
    }
}
