//! Policies: which quotas exist, what each is counted by, and which of them hold on a route. Routes
//! name a [`RouteLimit`]; clients read the names of policies.

/// A quota with its name. The settings have its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitPolicy {
    /// Sign-ins of one client with one e-mail address.
    Login,
    /// Sign-ins of one client.
    LoginClient,
    /// Passkeys and codes that the clients of one network send, and options for passkeys.
    CredentialNetwork,
    /// Registrations of one client.
    Register,
    /// Mails to one e-mail address.
    Mail,
    /// Mails that one client asks for.
    MailClient,
    /// Mails that the clients of one network ask for.
    MailNetwork,
    /// Refreshes of one session.
    Refresh,
    /// Files that one session sends or fetches.
    Files,
    /// All other requests of one session, and requests without a session of one client.
    General,
}

/// What a policy is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// The client's address.
    Client,
    /// The network of an IPv6 address, of 48 bits, or an IPv4 address.
    Network,
    /// The client's address and the e-mail address of the request.
    ClientAndEmail,
    /// The e-mail address of the request.
    Email,
    /// The session, or the client's address if the request has no session.
    Session,
}

impl LimitPolicy {
    /// All policies.
    pub const ALL: [Self; 10] = [
        Self::Login,
        Self::LoginClient,
        Self::CredentialNetwork,
        Self::Register,
        Self::Mail,
        Self::MailClient,
        Self::MailNetwork,
        Self::Refresh,
        Self::Files,
        Self::General,
    ];

    /// Returns the name in header fields, problems and metrics.
    pub const fn name(self) -> &'static str {
        self.as_list()[0]
    }

    /// Returns the name as a list of one, for `violated-policies`.
    pub(crate) const fn as_list(self) -> &'static [&'static str] {
        match self {
            Self::Login => &["login"],
            Self::LoginClient => &["login-client"],
            Self::CredentialNetwork => &["credential-network"],
            Self::Register => &["register"],
            Self::Mail => &["mail"],
            Self::MailClient => &["mail-client"],
            Self::MailNetwork => &["mail-network"],
            Self::Refresh => &["refresh"],
            Self::Files => &["files"],
            Self::General => &["general"],
        }
    }

    pub(crate) const fn partition(self) -> Partition {
        match self {
            Self::LoginClient | Self::Register | Self::MailClient => Partition::Client,
            Self::CredentialNetwork | Self::MailNetwork => Partition::Network,
            Self::Login => Partition::ClientAndEmail,
            Self::Mail => Partition::Email,
            Self::Refresh | Self::Files | Self::General => Partition::Session,
        }
    }

    /// Returns whether passwords can be guessed by what the policy limits. Each process admits a
    /// third of it while the processes cannot share a count.
    pub(crate) const fn is_of_sign_ins(self) -> bool {
        matches!(self, Self::Login | Self::LoginClient)
    }
}

/// The limit of a route. A route that is added names one; the layer of all routes and the
/// authorization count what they know, and a handler that reads an e-mail address calls
/// [`RequestLimits::admit_email`](super::RequestLimits::admit_email).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteLimit {
    /// For a route that has no limit of its own.
    General,
    /// For a sign-in with an e-mail address. The handler counts the address.
    Login,
    /// For another route that checks a secret without a session, such as a passkey or a code.
    Credential,
    /// For a registration.
    Register,
    /// For a registration that sends mail. The handler counts the address.
    RegisterByMail,
    /// For a route that sends mail, whether or not there is a session. The handler counts the
    /// address that the mail goes to.
    Mail,
    /// For a route that takes a file, or answers with files.
    Files,
    /// For an exchange of refresh tokens. The layer counts the client before the body is read, and
    /// the handler the session.
    Refresh,
}

impl RouteLimit {
    /// Returns the policies, in the order in which a request is counted.
    pub const fn policies(self) -> &'static [LimitPolicy] {
        match self {
            Self::General => &[LimitPolicy::General],
            Self::Login => &[LimitPolicy::LoginClient, LimitPolicy::Login],
            Self::Credential => &[LimitPolicy::CredentialNetwork, LimitPolicy::LoginClient],
            Self::Register => &[LimitPolicy::Register],
            Self::RegisterByMail => &[
                LimitPolicy::Register,
                LimitPolicy::MailNetwork,
                LimitPolicy::MailClient,
                LimitPolicy::Mail,
            ],
            Self::Mail => &[LimitPolicy::MailNetwork, LimitPolicy::MailClient, LimitPolicy::Mail],
            Self::Files => &[LimitPolicy::Files],
            Self::Refresh => &[LimitPolicy::General, LimitPolicy::Refresh],
        }
    }

    /// Returns the policy that counts the session of a request.
    pub(super) const fn session_policy(self) -> Option<LimitPolicy> {
        match self {
            Self::General => Some(LimitPolicy::General),
            Self::Refresh => Some(LimitPolicy::Refresh),
            Self::Files => Some(LimitPolicy::Files),
            Self::Login | Self::Credential | Self::Register | Self::RegisterByMail | Self::Mail => {
                None
            }
        }
    }
}
