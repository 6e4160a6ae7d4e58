use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, KeyPair as CertificateKey, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};

use super::*;

fn certificate(key: &CertificateKey) -> String {
    let params = CertificateParams::new(vec!["signer".to_owned()]).unwrap();
    params.self_signed(key).unwrap().pem()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[test]
fn signatures_verify_and_always_have_a_low_s() {
    let key = CertificateKey::generate().unwrap();
    let identity = Identity::from_pem("Org1MSP", &certificate(&key), &key.serialize_pem()).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key_raw());
    for round in 0..64_u8 {
        let signature = identity.sign(&[round; 40]);
        public.verify(&[round; 40], &signature).unwrap();
        let r_length = usize::from(signature[3]);
        let s = &signature[4 + r_length + 2..];
        // A positive s of 32 bytes that starts below 0x80 is at most n/2, except for a range so
        // small that this test never draws from it.
        assert!(s.len() < 32 || (s.len() == 32 && s[0] < 0x80), "high S in round {round}");
    }
}

#[test]
fn keys_are_read_in_pkcs8_and_in_sec1_with_parameters_before_it() {
    let key = CertificateKey::generate().unwrap();
    let parsed =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> =
        parsed.private_key().as_der().unwrap();
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let text = pem("EC PARAMETERS", &curve) + &pem("EC PRIVATE KEY", sec1.as_ref());
    let identity = Identity::from_pem("Org1MSP", &certificate(&key), &text).unwrap();
    assert_eq!(identity.msp_id(), "Org1MSP");
    Identity::from_pem("Org1MSP", &certificate(&key), &key.serialize_pem()).unwrap();
}

/// Returns the certificate in signed headers.
fn sent(identity: &Identity) -> String {
    let creator = SerializedIdentity::decode(identity.creator()).unwrap();
    assert_eq!(creator.mspid, identity.msp_id());
    String::from_utf8(creator.id_bytes).unwrap()
}

/// FAB-15: a file with both certificate and key, in either order, is refused, and the error says
/// what to do if the key was already published.
#[test]
fn fab_15_a_file_with_certificate_and_key_is_no_certificate() {
    let key = CertificateKey::generate().unwrap();
    let (certificate, key_pem) = (certificate(&key), key.serialize_pem());
    for both in [format!("{certificate}{key_pem}"), format!("{key_pem}{certificate}")] {
        for key_text in [&both, &key_pem] {
            let refused = Identity::from_pem("Org1MSP", &both, key_text).unwrap_err();
            assert_eq!(refused.code(), "certificate_holds_key", "{refused}");
            let said = refused.to_string();
            for words in ["private key", "take the key out", "revoked", "enrol again"] {
                assert!(said.contains(words), "{words} is missing in: {said}");
            }
        }
    }
}

/// FAB-15: only the certificate of the key is published from a certificate file, in the form that
/// other tools write.
#[test]
fn fab_15_only_the_certificate_of_the_key_is_sent() {
    let (key, other) = (CertificateKey::generate().unwrap(), CertificateKey::generate().unwrap());
    let (leaf, chain) = (certificate(&key), certificate(&other));
    let key_pem = key.serialize_pem();
    let curve = pem("EC PARAMETERS", &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    for text in [
        leaf.clone(),
        leaf.replace('\n', "\r\n"),
        format!("{leaf}{chain}"),
        format!("{chain}{leaf}"),
        format!("Bag Attributes\n  friendlyName: signer\n{chain}\nsubject=x\n{leaf}# the end\n"),
        format!("{curve}{leaf}"),
    ] {
        let identity = Identity::from_pem("Org1MSP", &text, &key_pem).unwrap();
        assert_eq!(sent(&identity), leaf, "{text}");
    }
}

#[test]
fn files_that_are_not_an_identity_are_refused_by_name() {
    let key = CertificateKey::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let other = CertificateKey::generate().unwrap();
    let large = CertificateKey::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let (certificate, key_pem) = (certificate(&key), key.serialize_pem());
    let code = |certificate: &str, key: &str| {
        Identity::from_pem("Org1MSP", certificate, key).unwrap_err().code()
    };

    assert_eq!(code(&certificate, &other.serialize_pem()), "key_mismatch");
    assert_eq!(code(&certificate, &large.serialize_pem()), "key_unsupported");
    assert_eq!(code(&certificate, &format!("{key_pem}{}", other.serialize_pem())), "key_ambiguous");
    assert_eq!(code(&key_pem, &key_pem), "certificate_holds_key");
    assert_eq!(code("", &key_pem), "certificate_unreadable");
    assert_eq!(code(&certificate, &certificate), "key_unreadable");
    assert_eq!(code(&certificate, ""), "key_unreadable");
    let encrypted = pem("ENCRYPTED PRIVATE KEY", &[1, 2, 3]);
    assert_eq!(code(&certificate, &encrypted), "key_encrypted");
    assert!(matches!(Identity::from_pem("", &certificate, &key_pem), Err(IdentityError::NoMspId)));
}

#[test]
fn the_key_is_never_shown() {
    let key = CertificateKey::generate().unwrap();
    let identity = Identity::from_pem("Org1MSP", &certificate(&key), &key.serialize_pem()).unwrap();
    let shown = format!("{identity:?}");
    assert!(shown.contains("Org1MSP") && !shown.to_lowercase().contains("key"), "{shown}");
}
