//! Authentication and authorization of the services: passwords, tokens, sessions, roles and the
//! audit log.
//!
//! A service builds one [`Foundation`], opens sessions after checking a password, and collects its
//! routes in an [`Api`], which adds the authorization that each route declares.

mod account_access;
mod account_closing;
pub mod audit;
mod authorization;
mod common_passwords;
mod devices;
pub mod email;
mod email_confirmation;
mod foundation;
mod hashing;
pub mod key_ring;
#[cfg(feature = "testing")]
mod limit_walk;
mod link_pages;
mod mail_tokens;
mod mailing;
pub mod notices;
mod own_sessions;
mod passkeys;
mod password;
mod password_change;
mod password_filter;
mod password_recovery;
pub mod person_erasure;
mod realm;
mod relying_party;
pub mod retention;
pub mod review_clock;
mod role;
mod route_parts;
mod row_queues;
mod second_factor;
mod session_owner;
mod session_recheck;
mod session_routes;
mod sessions;
mod sign_in_throttle;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod token_keys;
mod tokens;
mod valid_sessions;

pub use account_closing::{ACCOUNT_HAS_FUNDS, ClosingOutcome, close_account};
pub use authorization::{Administrator, Api, Auth, Person};
pub use devices::{DeviceCookie, DeviceToken, KnownDevice};
pub use email::{Email, GivenEmail};
pub use email_confirmation::{
    EMAIL_TAKEN, change_email_route, email_verification_route, verify_email_route,
};
pub use foundation::{
    Foundation, FoundationError, FoundationSettings, SYSTEM_PAUSED, not_enqueued,
};
pub use hashing::{
    Hasher, HasherError, HashingSettings, InvalidHashParameters, PasswordComparison,
};
pub use key_ring::{KeyRing, KeyRingError, KeyRingSettings};
pub use link_pages::link_pages;
pub use mail_tokens::{INVALID_MAIL_TOKEN, INVITATION_LIFE, MailPreparer, end_mail_tokens};
pub use mailing::Mailing;
pub use own_sessions::{
    NO_SESSION, SessionItem, end_session_route, list_sessions, require_session, sessions_route,
};
pub use passkeys::{
    CHALLENGE_ENDED, PASSKEY_REQUIRED, PASSKEYS_NOT_CONFIGURED, PasskeyAttempt, PasskeySession,
    PasskeySignIn, Passkeys, passkey_challenge_route, passkey_routes,
};
pub use password::{GivenPassword, NewPassword, PasswordOwner, PasswordRefusal};
pub use password_change::{WRONG_PASSWORD, change_password_route};
pub use password_filter::{BuildError, BuildReport, FilterError, build_password_filter};
pub use password_recovery::{forgot_password_route, reset_password_route};
pub use realm::{Realm, Subject};
pub use relying_party::{PasskeySettings, RelyingParty, RelyingPartyError};
pub use role::AdminRole;
pub use route_parts::{INVALID_CREDENTIALS, invalid_credentials, is_refusal};
pub use row_queues::RowQueueTicket;
pub use second_factor::{
    FactorCode, PassedFactor, SECOND_FACTOR_DELAYED, SECOND_FACTOR_REQUIRED, SecondFactors,
    TOTP_ENABLED, TOTP_NOT_ENABLED, WRONG_CODE, totp_routes,
};
pub use session_routes::{Credentials, refresh_route};
pub use sessions::{INVALID_REFRESH_TOKEN, Sessions, TokenPair};
pub use sign_in_throttle::{FAILURES_KEPT_FOR, SignInAccount};
pub use token_keys::{TokenKeyError, create_key_file};
pub use tokens::{Audience, Claims, InvalidToken, TokenSettings, TokenUse, Tokens};
