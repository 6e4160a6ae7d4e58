//! Causes that an operator must remove before a call can succeed. `classify` finds them in the
//! messages of peers; logs, metrics, findings and health checks name them.

/// Why calls fail until an operator changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The signer's certificate has expired.
    CertificateExpired,
    /// The clocks of this machine and of the peer differ too much.
    ClockSkew,
    /// The channel does not have the MSP id, or the certificate is not from that organisation.
    UnknownIdentity,
    /// The signature does not match the certificate, or the certificate is not from the
    /// organisation.
    SignatureRefused,
    /// The identity is known and lacks the right.
    Denied,
    /// The peer does not have the channel.
    NoChannel,
    /// No peer has the chaincode.
    NoChaincode,
    /// An organisation that must endorse has no peer.
    NoEndorser,
    /// The server is not a peer with a gateway.
    NotAPeer,
}

impl Cause {
    /// Returns the cause, as in metric labels, log fields and health checks.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateExpired => "certificate_expired",
            Self::ClockSkew => "clock_skew",
            Self::UnknownIdentity => "unknown_identity",
            Self::SignatureRefused => "signature_refused",
            Self::Denied => "denied",
            Self::NoChannel => "no_channel",
            Self::NoChaincode => "no_chaincode",
            Self::NoEndorser => "no_endorser",
            Self::NotAPeer => "not_a_peer",
        }
    }

    /// Returns what an operator can check.
    pub fn hint(self) -> &'static str {
        match self {
            Self::CertificateExpired => "the signer's certificate has expired; enrol it again",
            Self::ClockSkew => "the clocks of this machine and the peer differ by over 15 minutes",
            Self::UnknownIdentity => {
                "the MSP id is not in the channel, or the certificate is of another MSP"
            }
            Self::SignatureRefused => {
                "the key does not match the certificate, or its issuer is not in the MSP"
            }
            Self::Denied => "the identity lacks the right in the channel",
            Self::NoChannel => "the channel does not exist on this peer",
            Self::NoChaincode => "the chaincode is not in the channel, or there is no such channel",
            Self::NoEndorser => "an organisation that must endorse has no peer",
            Self::NotAPeer => "the endpoint is not a peer with a gateway",
        }
    }
}

/// Parts of peers' messages, each with the cause that it proves.
const WORDS: [(&str, Cause); 12] = [
    ("identity expired", Cause::CertificateExpired),
    ("incorrect timestamp", Cause::ClockSkew),
    ("creator org unknown", Cause::UnknownIdentity),
    ("access denied: channel", Cause::SignatureRefused),
    ("Failed evaluating policy on signed data", Cause::Denied),
    ("Failed to get policy manager", Cause::NoChannel),
    ("could not get last config for channel", Cause::NoChannel),
    ("No metadata was found for chaincode", Cause::NoChaincode),
    ("no peers available to evaluate chaincode", Cause::NoChaincode),
    ("failed to find any endorsing peers for org", Cause::NoEndorser),
    ("unknown service", Cause::NotAPeer),
    ("unknown method", Cause::NotAPeer),
];

/// Returns the cause of the first entry of the table that occurs in a text. `None` if no text
/// proves a cause.
pub(super) fn cause_in<'a, I>(texts: impl Fn() -> I) -> Option<Cause>
where
    I: Iterator<Item = &'a str>,
{
    WORDS
        .iter()
        .find(|(words, _)| texts().any(|text| text.contains(words)))
        .map(|(_, cause)| *cause)
}
