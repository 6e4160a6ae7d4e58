//! Rules for new passwords.

use crate::{NewPassword, PasswordOwner, PasswordRefusal};

const SARAH: PasswordOwner<'static> =
    PasswordOwner { names: &["Sarah Amelia", "Johnson", "Li"], email: "sj92.home@gxtest.com" };

fn check(password: &str) -> Result<(), PasswordRefusal> {
    NewPassword::new(password).unwrap().check(SARAH)
}

/// AUTHN-02: there are no rules of composition.
#[test]
fn length_counts_and_composition_does_not() {
    for good in [
        "SecurePassword123!",
        "correct horse battery staple",
        "vermilion quokka teapot",
        "九つの赤い傘が雨の中を静かに歩く",
        "8 4 1 9 3 0 7 7 2 6 5 1 0 9",
        &"Xk2-9fQ zz".repeat(25),
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    let refused = |password: &str| NewPassword::new(password).unwrap_err().code;
    assert_eq!(refused(""), "too_short");
    assert_eq!(refused("fourteen chars"), "too_short");
    assert!(NewPassword::new("fifteen letters").is_ok());
    assert!(NewPassword::new(&"é".repeat(256)).is_ok());
    assert_eq!(refused(&"é".repeat(257)), "too_long");
}

/// AUTHN-03: passwords of the list are refused, and short parts again and again.
#[test]
fn what_is_tried_first_is_refused() {
    for common in [
        "passwordpassword",
        "123456789012345",
        "qwertyuiopasdfgh",
        "aaaaaaaaaaaaaaaaaaaa",
        "iloveyouiloveyou",
        "abcdefghijklmnop",
        "Password12345678",
        &"password".repeat(20),
    ] {
        assert_eq!(check(common), Err(PasswordRefusal::Common), "{common}");
    }
}

/// AUTHN-04: names, each word of them, address and product are rejected in any case; short names
/// are not, because many words contain them.
#[test]
fn context_words_are_refused() {
    for own in [
        "my name is SARAH and more",
        "xk27amelia-9fq-zz",
        "xk27johnson-9fq-zz",
        "xk27 sj92.home 9fq-zz",
    ] {
        assert_eq!(check(own), Err(PasswordRefusal::OwnName), "{own}");
    }
    for product in ["GXProtocol is what I use", "all my gxcoin are mine"] {
        assert_eq!(check(product), Err(PasswordRefusal::ProductName), "{product}");
    }
    assert_eq!(check("limestone quokka teapot"), Ok(()));
}

#[test]
fn a_password_is_not_printed() {
    let password = NewPassword::new("correct horse battery staple").unwrap();
    assert!(!format!("{password:?}").contains("horse"));
}
