//! Notices: mails that tell people what happened to their account (AUTHN-15). Each is queued in the
//! transaction of the change. Passkeys call [`factor_changed`], too.

mod store;

use gx_db::PgConnection;
use gx_mail::{MailContent, MailKind};
use gx_serve::Client;

use crate::mailing::{Mailing, owner_of};
use crate::realm::Subject;

/// What happened to an account.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// A sign-in from a device that the account does not know.
    NewDevice(&'a Client),
    /// The password was changed or reset.
    PasswordChanged,
    /// Another address was asked for.
    EmailChangeRequested,
    /// The address was changed; the notice goes to the former one.
    EmailChanged {
        /// The former address.
        former: &'a str,
    },
    /// A second factor or passkey was changed.
    FactorChanged(FactorChange),
    /// This number of recovery codes is left.
    RecoveryCodesLow(i64),
    /// A refresh token was used twice.
    RefreshTokenReused,
}

/// How the ways to sign in were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorChange {
    /// An authenticator is in force.
    TotpEnabled,
    /// The authenticator was ended.
    TotpDisabled,
    /// The recovery codes were replaced.
    RecoveryCodesRenewed,
    /// An administrator has removed all factors.
    Reset,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
}

impl Notice<'_> {
    const fn kind(&self) -> MailKind {
        match self {
            Self::NewDevice(_) => MailKind::NewDevice,
            Self::PasswordChanged => MailKind::PasswordChanged,
            Self::EmailChangeRequested => MailKind::EmailChangeRequested,
            Self::EmailChanged { .. } => MailKind::EmailChanged,
            Self::FactorChanged(FactorChange::TotpEnabled) => MailKind::TotpEnabled,
            Self::FactorChanged(FactorChange::TotpDisabled) => MailKind::TotpDisabled,
            Self::FactorChanged(FactorChange::RecoveryCodesRenewed) => {
                MailKind::RecoveryCodesRenewed
            }
            Self::FactorChanged(FactorChange::Reset) => MailKind::FactorsReset,
            Self::FactorChanged(FactorChange::PasskeyAdded) => MailKind::PasskeyAdded,
            Self::FactorChanged(FactorChange::PasskeyRemoved) => MailKind::PasskeyRemoved,
            Self::RecoveryCodesLow(_) => MailKind::RecoveryCodesLow,
            Self::RefreshTokenReused => MailKind::RefreshReused,
        }
    }
}

impl Mailing {
    /// Queues a notice to an account in the caller's transaction.
    ///
    /// # Errors
    /// `sqlx::Error` if a statement fails.
    pub async fn notify(
        &self,
        conn: &mut PgConnection,
        subject: &Subject,
        notice: Notice<'_>,
    ) -> Result<(), sqlx::Error> {
        let to = match notice {
            Notice::EmailChanged { former } => Some(former.to_owned()),
            _ => store::address(conn, subject).await?,
        };
        let Some(to) = to else { return Ok(()) };
        let client = match notice {
            Notice::NewDevice(client) => {
                Some(client.address.map_or_else(|| "not known".to_owned(), |ip| ip.to_string()))
            }
            _ => None,
        };
        let left = match notice {
            Notice::RecoveryCodesLow(left) => Some(left),
            _ => None,
        };
        let is_admin = matches!(subject, Subject::Admin(_));
        let at = Some(self.clock().now());
        let content = MailContent { to, is_admin, at, client, left, ..MailContent::default() };
        self.enqueue(conn, notice.kind(), &owner_of(subject), &content).await
    }
}

/// Queues the notice about a changed second factor or passkey, in the transaction of the change.
/// `base.mailing()` is the first parameter.
///
/// # Errors
/// `sqlx::Error` if a statement fails.
pub async fn factor_changed(
    mailing: &Mailing,
    conn: &mut PgConnection,
    subject: &Subject,
    change: FactorChange,
) -> Result<(), sqlx::Error> {
    mailing.notify(conn, subject, Notice::FactorChanged(change)).await
}
