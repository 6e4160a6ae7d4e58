//! The kinds of mail: name, template, life and what each contains.

use std::time::Duration;

/// Life of a mail that has a code or a link. After it the code in the mail would be of no use.
const REQUEST_LIFE: Duration = Duration::from_hours(1);
/// Life of a notice. A mail server that is away for longer is an operator's matter.
const NOTICE_LIFE: Duration = Duration::from_hours(72);

/// A page that a link in a mail leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPage {
    /// Confirms an e-mail address.
    VerifyEmail,
    /// Sets a new password.
    ResetPassword,
}

impl LinkPage {
    /// Returns the last part of the page's path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::ResetPassword => "reset-password",
        }
    }
}

macro_rules! mail_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $template:literal;)*) => {
        /// What a mail is about. Each kind has a template.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MailKind {
            $($(#[$doc])* $variant,)*
        }

        impl MailKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name in the queue and in metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the template: a subject, an empty line, and the text.
            pub(crate) const fn template(self) -> &'static str {
                match self {
                    $(Self::$variant => {
                        include_str!(concat!("../templates/", $template, ".txt"))
                    })*
                }
            }
        }
    };
}

mail_kinds! {
    /// A code and a link that confirm the address of an account.
    EmailVerification = "EMAIL_VERIFICATION", "email_verification";
    /// A code and a link, to an address that an account is to have.
    EmailChange = "EMAIL_CHANGE", "email_change";
    /// A link with which a new password is set.
    PasswordReset = "PASSWORD_RESET", "password_reset";
    /// A link with which a new administrator sets the first password.
    AdminInvitation = "ADMIN_INVITATION", "admin_invitation";
    /// Somebody has registered with an address that has an account.
    AlreadyRegistered = "ALREADY_REGISTERED", "already_registered";
    /// Another address was asked for, to the present one.
    EmailChangeRequested = "EMAIL_CHANGE_REQUESTED", "email_change_requested";
    /// The address was changed, to the former one.
    EmailChanged = "EMAIL_CHANGED", "email_changed";
    /// The password was changed or reset.
    PasswordChanged = "PASSWORD_CHANGED", "password_changed";
    /// A sign-in from a device that the account does not know.
    NewDevice = "NEW_DEVICE", "new_device";
    /// An authenticator is in force.
    TotpEnabled = "TOTP_ENABLED", "totp_enabled";
    /// The authenticator was ended.
    TotpDisabled = "TOTP_DISABLED", "totp_disabled";
    /// The recovery codes were replaced.
    RecoveryCodesRenewed = "RECOVERY_CODES_RENEWED", "recovery_codes_renewed";
    /// Few recovery codes are left.
    RecoveryCodesLow = "RECOVERY_CODES_LOW", "recovery_codes_low";
    /// An administrator has removed all second factors.
    FactorsReset = "FACTORS_RESET", "factors_reset";
    /// A passkey was added.
    PasskeyAdded = "PASSKEY_ADDED", "passkey_added";
    /// A passkey was removed.
    PasskeyRemoved = "PASSKEY_REMOVED", "passkey_removed";
    /// A refresh token was used twice, and its session has ended.
    RefreshReused = "REFRESH_REUSED", "refresh_reused";
}

impl MailKind {
    /// Returns the kind with a name, or `None` if this release does not know it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Returns the page that the link of the mail leads to, or `None` if the mail has no token.
    pub const fn link_page(self) -> Option<LinkPage> {
        match self {
            Self::EmailVerification | Self::EmailChange => Some(LinkPage::VerifyEmail),
            Self::PasswordReset | Self::AdminInvitation => Some(LinkPage::ResetPassword),
            _ => None,
        }
    }

    /// Returns whether a token must be made before the mail is sent.
    pub const fn needs_token(self) -> bool {
        self.link_page().is_some()
    }

    /// Returns how long sending the mail is tried. Nobody waits for an invitation, whose token is
    /// made when it is sent.
    pub const fn life(self) -> Duration {
        match self {
            Self::AdminInvitation => NOTICE_LIFE,
            _ if self.needs_token() => REQUEST_LIFE,
            _ => NOTICE_LIFE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(MailKind::from_name("NOTHING"), None);
    }
}
