//! The relying party: the domain that passkeys belong to, and the pages that may ask for them
//! (sections 4 and 13.4.9 of WebAuthn Level 3). Created from the settings by the foundation.

use sha2::{Digest, Sha256};

use crate::realm::Realm;

/// Origin of an Android app: the hash of its certificate follows in base64url.
const ANDROID_APP: &str = "android:apk-key-hash:";
/// Characters of that hash.
const ANDROID_HASH_CHARACTERS: usize = 43;
/// Longest domain and longest label of it (RFC 1035).
const MAX_DOMAIN_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// The settings of passkeys.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PasskeySettings {
    /// Domain that passkeys belong to, such as example.com; without it there are no passkeys.
    /// Passkeys of another domain cannot be used
    #[arg(long, env = "GX_WEBAUTHN_RP_ID")]
    pub webauthn_rp_id: Option<String>,
    /// Origins of the pages that may ask for passkeys, such as https://app.example.com, separated
    /// by commas; each is compared whole
    #[arg(long, env = "GX_WEBAUTHN_ORIGINS", value_delimiter = ',')]
    pub webauthn_origins: Vec<String>,
}

/// A domain and its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    id_hash: [u8; 32],
    origins: Vec<String>,
}

/// Why the settings of passkeys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelyingPartyError {
    /// Only one of the two settings is there.
    #[error("GX_WEBAUTHN_RP_ID and GX_WEBAUTHN_ORIGINS belong together; set both or none")]
    Incomplete,
    /// The id is not a domain.
    #[error(
        "GX_WEBAUTHN_RP_ID is `{0}`, which is not a domain in lower case; set one such as example.com"
    )]
    Id(String),
    /// An origin is not one of the domain.
    #[error(
        "GX_WEBAUTHN_ORIGINS has `{origin}`, which is not an origin of {id} as browsers write it; \
         use one such as https://{id}"
    )]
    Origin {
        /// The text in the setting.
        origin: String,
        /// The domain.
        id: String,
    },
}

impl RelyingParty {
    /// Creates the relying party of the settings, or `None` if there are none.
    ///
    /// # Errors
    /// [`RelyingPartyError`] names the setting that is not valid.
    pub fn from_settings(settings: &PasskeySettings) -> Result<Option<Self>, RelyingPartyError> {
        match (&settings.webauthn_rp_id, settings.webauthn_origins.as_slice()) {
            (None, []) => Ok(None),
            (Some(id), origins) => Self::new(id, origins).map(Some),
            (None, _) => Err(RelyingPartyError::Incomplete),
        }
    }

    /// Creates a relying party from a domain and its origins.
    ///
    /// # Errors
    /// [`RelyingPartyError`] names the setting that is not valid.
    pub fn new(id: &str, origins: &[String]) -> Result<Self, RelyingPartyError> {
        if !is_domain(id) {
            return Err(RelyingPartyError::Id(id.to_owned()));
        }
        if origins.is_empty() {
            return Err(RelyingPartyError::Incomplete);
        }
        if let Some(wrong) = origins.iter().find(|origin| !is_origin_of(origin, id)) {
            let (origin, id) = (wrong.clone(), id.to_owned());
            return Err(RelyingPartyError::Origin { origin, id });
        }
        let id_hash = Sha256::digest(id).into();
        Ok(Self { id: id.to_owned(), id_hash, origins: origins.to_vec() })
    }

    /// Returns that of a service of a stack on this machine, whose ports are `offset` above the
    /// usual ones. A service has no origin of the other realm, but the one that both have.
    pub fn local(realm: Realm, offset: u16) -> Self {
        let port = |usual: u16| usual.saturating_add(offset);
        let own = match realm {
            Realm::User => 3001,
            Realm::Admin => 3006,
        };
        let origins = [
            format!("https://localhost:{}", port(8443)),
            format!("http://localhost:{}", port(own)),
        ];
        Self::new("localhost", &origins).expect("these are origins of localhost")
    }

    /// Returns the domain.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn id_hash(&self) -> &[u8] {
        &self.id_hash
    }

    pub(crate) fn has_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|ours| ours == origin)
    }
}

/// Returns whether a text is a domain in lower case. An IP address is none (section 4, RP ID).
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let has_edges = !label.starts_with('-') && !label.ends_with('-');
        let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && has_edges && label.bytes().all(is_plain)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_address = last.bytes().all(|c| c.is_ascii_digit());
    text.len() <= MAX_DOMAIN_BYTES && text.split('.').all(is_label) && !is_address
}

/// Returns whether a text is an origin, as browsers write it, at the domain or below it, or that of
/// an app. Only this machine needs no TLS.
fn is_origin_of(text: &str, id: &str) -> bool {
    if let Some(hash) = text.strip_prefix(ANDROID_APP) {
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        return hash.len() == ANDROID_HASH_CHARACTERS && hash.bytes().all(is_plain);
    }
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let usual = match scheme {
        "https" => "443",
        "http" if host == "localhost" || host.ends_with(".localhost") => "80",
        _ => return false,
    };
    let is_port = |port: &str| {
        let number = port.parse::<u16>().map(|number| number.to_string());
        number.is_ok_and(|written| written == port && port != usual && port != "0")
    };
    let below = host.strip_suffix(id).and_then(|rest| rest.strip_suffix('.'));
    is_domain(host) && (host == id || below.is_some()) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_of_the_domain_as_browsers_write_them() {
        let is_valid = |id: &str, origin: &str| RelyingParty::new(id, &[origin.to_owned()]).is_ok();
        let app = format!("{ANDROID_APP}{}", "a".repeat(ANDROID_HASH_CHARACTERS));
        for (id, origin) in [
            ("example.com", "https://example.com"),
            ("example.com", "https://app.example.com"),
            ("example.com", "https://example.com:8443"),
            ("example.com", app.as_str()),
            ("localhost", "http://localhost:3001"),
            ("localhost", "https://localhost:8443"),
        ] {
            assert!(is_valid(id, origin), "{id} {origin}");
        }
        for (id, origin) in [
            ("example.com", "http://example.com"),
            ("example.com", "https://example.com/"),
            ("example.com", "https://example.com:443"),
            ("example.com", "https://example.com:08443"),
            ("example.com", "https://Example.com"),
            ("example.com", "https://notexample.com"),
            ("example.com", "https://example.com.evil.org"),
            ("example.com", "https://user@example.com"),
            ("example.com", "example.com"),
            ("example.com", "android:apk-key-hash:short"),
            ("127.0.0.1", "https://127.0.0.1"),
            ("Example.com", "https://Example.com"),
            ("", "https://"),
        ] {
            assert!(!is_valid(id, origin), "{id} {origin}");
        }
        assert_eq!(RelyingParty::new("example.com", &[]), Err(RelyingPartyError::Incomplete));
        let mut settings = PasskeySettings::default();
        assert_eq!(RelyingParty::from_settings(&settings), Ok(None));
        settings.webauthn_origins = vec!["https://example.com".to_owned()];
        let incomplete = RelyingParty::from_settings(&settings);
        assert_eq!(incomplete, Err(RelyingPartyError::Incomplete));
    }

    #[test]
    fn a_stack_with_an_offset_has_moved_origins() {
        let moved = RelyingParty::local(Realm::User, 20);
        for origin in ["https://localhost:8463", "http://localhost:3021"] {
            assert!(moved.has_origin(origin), "{origin}");
        }
        assert!(!moved.has_origin("http://localhost:3001"));
    }

    /// AUTHN-15: a page of people cannot ask for a passkey of an administrator, nor the other way
    /// round.
    #[test]
    fn authn_15_a_local_service_has_its_own_origins() {
        let origins = ["http://localhost:3001", "http://localhost:3006"];
        let has = |realm| origins.map(|origin| RelyingParty::local(realm, 0).has_origin(origin));
        assert_eq!((has(Realm::User), has(Realm::Admin)), ([true, false], [false, true]));
    }
}
