//! Names of commands, the functions that carry them out, and who may sign them.

use crate::named::named;

named! {
    /// The name of a command, as `OutboxCommand.kind` has it.
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

named! {
    /// Who signs: each role may do all that the ones before it may.
    pub enum SignerRole("a signer is PARTNER_API, ADMIN or SUPER_ADMIN") {
        /// `gx_partner_api`
        PartnerApi = "PARTNER_API",
        /// `gx_admin`
        Admin = "ADMIN",
        /// `gx_super_admin`
        SuperAdmin = "SUPER_ADMIN",
    }
}

impl SignerRole {
    /// The value of the X.509 attribute `gxc_role`.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::PartnerApi => "gx_partner_api",
            Self::Admin => "gx_admin",
            Self::SuperAdmin => "gx_super_admin",
        }
    }

    /// The role of that attribute.
    pub fn from_attribute(attribute: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.attribute() == attribute)
    }
}

/// What must be found on the ledger once a command has committed. It stays true for ever
/// after, so that it does not matter how late somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostCondition {
    /// Every pool exists and holds something.
    PoolsFilled,
    /// Each country of the payload is known, with its share.
    CountriesKnown,
}

impl CommandKind {
    /// What is looked for on the ledger before the command counts as COMMITTED. Declared for
    /// what is done once and all else stands on; what every person or payment needs has its
    /// event alone.
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

    /// The contract function that carries it out.
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

    /// The kind that this contract function carries out.
    pub fn from_function(function: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.function() == function)
    }

    /// The least role that may call it.
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

    /// The role the submitter signs with: its identities are admin and super-admin.
    pub fn signer(self) -> SignerRole {
        self.role().max(SignerRole::Admin)
    }

    /// Names of the arguments, the command id left out.
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
