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
        // A positive s of 32 bytes that starts below 0x80 is at most n/2 but for a sliver
        // that no test of this size meets.
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

#[test]
fn what_is_no_identity_is_refused_by_name() {
    let key = CertificateKey::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let other = CertificateKey::generate().unwrap();
    let large = CertificateKey::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let (certificate, key_pem) = (certificate(&key), key.serialize_pem());
    let try_with = |certificate: &str, key: &str| Identity::from_pem("Org1MSP", certificate, key);

    assert!(matches!(
        try_with(&certificate, &other.serialize_pem()),
        Err(IdentityError::KeyMismatch { .. })
    ));
    assert!(matches!(
        try_with(&certificate, &large.serialize_pem()),
        Err(IdentityError::WrongPrivateKey(_))
    ));
    assert!(matches!(try_with(&key_pem, &key_pem), Err(IdentityError::NoCertificate(_))));
    assert!(matches!(try_with(&certificate, &certificate), Err(IdentityError::NoPrivateKey(_))));
    assert!(matches!(try_with(&certificate, ""), Err(IdentityError::NoPrivateKey(_))));
    let encrypted = pem("ENCRYPTED PRIVATE KEY", &[1, 2, 3]);
    assert!(matches!(try_with(&certificate, &encrypted), Err(IdentityError::EncryptedPrivateKey)));
    assert!(matches!(Identity::from_pem("", &certificate, &key_pem), Err(IdentityError::NoMspId)));
}

#[test]
fn the_key_is_never_shown() {
    let key = CertificateKey::generate().unwrap();
    let identity = Identity::from_pem("Org1MSP", &certificate(&key), &key.serialize_pem()).unwrap();
    let shown = format!("{identity:?}");
    assert!(shown.contains("Org1MSP") && !shown.to_lowercase().contains("key"), "{shown}");
}
