//! The kinds of commands, their contract functions, and the roles that may sign them. The outbox
//! stores kinds, the contracts check roles, and the projector checks conditions.

use gx_ledger_api::{SignerRole, named};

named! {
    /// The kind of a command, as in `OutboxCommand.kind`.
    pub enum CommandKind("no command has such a name") {
        /// [`crate::Command::BootstrapSystem`]
        BootstrapSystem = "BOOTSTRAP_SYSTEM",
        /// [`crate::Command::InitializeCountryData`]
        InitializeCountryData = "INITIALIZE_COUNTRY_DATA",
        /// [`crate::Command::PauseSystem`]
        PauseSystem = "PAUSE_SYSTEM",
        /// [`crate::Command::ResumeSystem`]
        ResumeSystem = "RESUME_SYSTEM",
        /// [`crate::Command::ActivateTreasury`]
        ActivateTreasury = "ACTIVATE_TREASURY",
        /// [`crate::Command::CreateUser`]
        CreateUser = "CREATE_USER",
        /// [`crate::Command::DistributeGenesis`]
        DistributeGenesis = "DISTRIBUTE_GENESIS",
        /// [`crate::Command::Transfer`]
        Transfer = "TRANSFER",
        /// [`crate::Command::FreezeWallet`]
        FreezeWallet = "FREEZE_WALLET",
        /// [`crate::Command::UnfreezeWallet`]
        UnfreezeWallet = "UNFREEZE_WALLET",
    }
}

/// What must be on the ledger once a command has committed. It stays true for ever, so the time of
/// the check does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostCondition {
    /// Every pool exists and holds money.
    PoolsFilled,
    /// Each country of the payload exists, with its share.
    CountriesKnown,
}

impl CommandKind {
    /// Returns the condition that the projector checks on the ledger before the command becomes
    /// COMMITTED. If the ledger does not meet it, the command becomes COMMITTED_UNVERIFIED.
    /// Commands that are done once and that everything else depends on have one; for the commands
    /// of each person or payment, the event is enough.
    pub const fn post_condition(self) -> Option<PostCondition> {
        match self {
            Self::BootstrapSystem => Some(PostCondition::PoolsFilled),
            Self::InitializeCountryData => Some(PostCondition::CountriesKnown),
            Self::PauseSystem
            | Self::ResumeSystem
            | Self::ActivateTreasury
            | Self::CreateUser
            | Self::DistributeGenesis
            | Self::Transfer
            | Self::FreezeWallet
            | Self::UnfreezeWallet => None,
        }
    }

    /// Returns the contract function that carries out the command.
    pub const fn function(self) -> &'static str {
        match self {
            Self::BootstrapSystem => "AdminContract:BootstrapSystem",
            Self::InitializeCountryData => "AdminContract:InitializeCountryData",
            Self::PauseSystem => "AdminContract:PauseSystem",
            Self::ResumeSystem => "AdminContract:ResumeSystem",
            Self::ActivateTreasury => "AdminContract:ActivateTreasuryAccount",
            Self::CreateUser => "IdentityContract:CreateUser",
            Self::DistributeGenesis => "TokenomicsContract:DistributeGenesis",
            Self::Transfer => "TokenomicsContract:TransferWithFees",
            Self::FreezeWallet => "TokenomicsContract:FreezeWallet",
            Self::UnfreezeWallet => "TokenomicsContract:UnfreezeWallet",
        }
    }

    /// Returns the kind that this contract function carries out, or `None` if it carries out none.
    pub fn from_function(function: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.function() == function)
    }

    /// Returns the lowest role that may call the function.
    pub const fn role(self) -> SignerRole {
        match self {
            Self::BootstrapSystem
            | Self::InitializeCountryData
            | Self::PauseSystem
            | Self::ResumeSystem => SignerRole::SuperAdmin,
            Self::ActivateTreasury
            | Self::DistributeGenesis
            | Self::FreezeWallet
            | Self::UnfreezeWallet => SignerRole::Admin,
            Self::CreateUser | Self::Transfer => SignerRole::PartnerApi,
        }
    }

    /// Returns the role with which the submitter signs; it has no identity below admin.
    pub fn signer(self) -> SignerRole {
        self.role().max(SignerRole::Admin)
    }

    /// Returns the names of the arguments, without the command id.
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::BootstrapSystem | Self::ResumeSystem => &[],
            Self::InitializeCountryData => &["countries"],
            Self::PauseSystem => &["reasonCode"],
            Self::ActivateTreasury => &["countryCode"],
            Self::CreateUser => &["userID", "biometricHash", "nationality", "age"],
            Self::DistributeGenesis => &["userID", "nationality"],
            Self::Transfer => &["fromID", "toID", "amount", "txType"],
            Self::FreezeWallet => &["userID", "reasonCode"],
            Self::UnfreezeWallet => &["userID"],
        }
    }
}
