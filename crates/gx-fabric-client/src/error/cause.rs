//! What must be set right before a call can work.

/// Why a call will fail until somebody changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The signer's certificate is over.
    CertificateExpired,
    /// The clocks of this machine and the peer are too far apart.
    ClockSkew,
    /// The channel does not know the identity's organisation, or not as its.
    UnknownIdentity,
    /// The signature is not the certificate's, or the certificate not the organisation's.
    SignatureRefused,
    /// The identity is known and may not do this.
    Denied,
    /// The peer has no such channel.
    NoChannel,
    /// No peer has the chaincode.
    NoChaincode,
    /// An organisation that must endorse has no peer.
    NoEndorser,
    /// What answers is no peer with a gateway.
    NotAPeer,
}

impl Cause {
    /// The cause as metric labels, log fields and health checks write it.
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

    /// What a person should look at.
    pub fn hint(self) -> &'static str {
        match self {
            Self::CertificateExpired => "the signer's certificate has expired; enrol it again",
            Self::ClockSkew => "the clocks of this machine and the peer differ by over 15 minutes",
            Self::UnknownIdentity => {
                "the MSP id is not in the channel, or the certificate is not its"
            }
            Self::SignatureRefused => {
                "the key is not the certificate's, or its issuer is not the MSP's"
            }
            Self::Denied => "the identity lacks the right in the channel",
            Self::NoChannel => "the channel does not exist on this peer",
            Self::NoChaincode => "the chaincode is not in the channel, or the channel not there",
            Self::NoEndorser => "a named organisation has no peer",
            Self::NotAPeer => "the endpoint is not a peer with a gateway",
        }
    }
}

/// Words of peers that stay true until somebody changes a setting.
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

/// The first cause that any of the words names.
pub(super) fn cause_in<'a, I>(texts: impl Fn() -> I) -> Option<Cause>
where
    I: Iterator<Item = &'a str>,
{
    WORDS
        .iter()
        .find(|(words, _)| texts().any(|text| text.contains(words)))
        .map(|(_, cause)| *cause)
}
