//! E-mail addresses in a normalised form, one for each mailbox.
//!
//! Registration stores the form, login looks it up, and searches compare it. It has no surrounding
//! white space; the local part is in normalisation form C and lower case; the domain is as in DNS
//! (UTS 46, ASCII). Rows of earlier releases keep their spelling, because a Fabric User ID contains
//! a checksum of it; [`mailboxes`] stores their form in another column.

pub mod mailboxes;

use email_address::{EmailAddress, Options};
use gx_serve::characters::{
    self, is_invisible, is_letter, is_space, is_without_meaning, joins, named, nfc, pile_refusal,
    piled_up,
};
use gx_serve::fields::{Field, FieldError, text};
use serde_json::Value;

/// Limit of an address, in bytes of its form (RFC 5321, 4.5.3.1.3).
pub const EMAIL_LIMIT_BYTES: usize = 254;
/// Limit of a local part, in bytes of its form (RFC 5321, 4.5.3.1.1).
const LOCAL_PART_LIMIT_BYTES: usize = 64;
/// Limit of a typed address, in bytes: its form may be shorter.
const TYPED_LIMIT_BYTES: usize = 1024;
/// Top-level domains without mailboxes on the Internet (RFC 6761, 6762, 7686).
const UNDELIVERABLE: [&str; 4] = ["invalid", "local", "localhost", "onion"];

/// A normalised address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// The address of a sign-in: the normalised form and the typed text, because some accounts keep
/// another spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenEmail {
    form: Option<Email>,
    typed: String,
}

/// The address of a request for a mail, which must be one. A refusal tells nothing about accounts.
#[derive(Clone, Debug)]
pub(crate) struct WellFormedEmail(pub(crate) GivenEmail);

impl Email {
    /// Reads an address as people type and copy it.
    ///
    /// # Errors
    /// [`FieldError`] that names the wrong character, part or length; registration shows it.
    pub fn parse(given: &str) -> Result<Self, FieldError> {
        let given = given.trim_matches(is_space);
        if given.len() > TYPED_LIMIT_BYTES {
            return Err(too_long());
        }
        check_characters(given)?;
        let Some((local, domain)) = given.rsplit_once('@') else {
            return Err(wrong("must be an e-mail address, such as sarah@gxtest.com".to_owned()));
        };
        let domain = domain_form(domain)?;
        let local = local_form(local)?;
        // Characters beyond ASCII were checked by their properties; the parser checks the rest.
        let plain = |c: char| if c.is_ascii() { c } else { 'u' };
        let plain: String = local.chars().map(plain).collect();
        let options =
            Options::default().with_required_tld().without_display_text().without_domain_literal();
        EmailAddress::parse_with_options(&format!("{plain}@{domain}"), options)
            .map_err(|why| wrong(format!("must be an e-mail address: {why}")))?;
        let form = format!("{local}@{domain}");
        if form.len() > EMAIL_LIMIT_BYTES {
            return Err(too_long());
        }
        Ok(Self(form))
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the Internet may have the mailbox.
    fn is_deliverable(&self) -> bool {
        let top = self.0.rsplit('.').next();
        !top.is_some_and(|top| UNDELIVERABLE.contains(&top))
    }
}

impl Field for Email {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let email = Self::parse(text(value)?)?;
        if email.is_deliverable() {
            Ok(email)
        } else {
            Err(wrong("must be an address to which mail can be sent".to_owned()))
        }
    }
}

impl GivenEmail {
    /// Reads the address of a sign-in. An invalid address matches no account.
    pub fn new(given: &str) -> Self {
        let typed = given.trim_matches(is_space).to_lowercase();
        Self { form: Email::parse(given).ok(), typed }
    }

    /// Returns the normalised address, or the typed text if it is invalid.
    pub fn form(&self) -> &str {
        self.form.as_ref().map_or(&self.typed, Email::as_str)
    }

    /// Returns the typed text in lower case, as earlier releases stored it.
    pub fn typed(&self) -> &str {
        &self.typed
    }
}

impl Field for GivenEmail {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = text(value)?;
        if given.trim_matches(is_space).len() > TYPED_LIMIT_BYTES {
            return Err(too_long());
        }
        if given.contains('\0') {
            return Err(wrong("must not have control characters".to_owned()));
        }
        Ok(Self::new(given))
    }
}

impl Field for WellFormedEmail {
    fn read(value: &Value) -> Result<Self, FieldError> {
        let given = GivenEmail::read(value)?;
        Email::parse(text(value)?)?;
        Ok(Self(given))
    }
}

/// Returns the form of a part of an address for the search of administrators, with the domain in
/// ASCII.
pub fn search_form(part: &str) -> String {
    let part = nfc(part.trim_matches(is_space)).to_lowercase();
    let (local, domain) = match part.rsplit_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, part.as_str()),
    };
    // A part of a domain may be no valid domain; then it is compared unchanged.
    let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    local.map_or_else(|| domain.clone(), |local| format!("{local}@{domain}"))
}

/// Returns an address with its domain in Unicode, as some ids on the ledger were derived from it.
/// An adoption compares both forms. An invalid domain stays unchanged.
pub fn unicode_domain(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => match idna::domain_to_unicode(domain) {
            (unicode, Ok(())) => format!("{local}@{unicode}"),
            _ => address.to_owned(),
        },
        None => address.to_owned(),
    }
}

fn wrong(message: String) -> FieldError {
    FieldError::new("format", message)
}

fn too_long() -> FieldError {
    FieldError::new("too_long", format!("must have at most {EMAIL_LIMIT_BYTES} bytes"))
}

/// Rejects characters that no mailbox has, anywhere in the address: UTS 46 would drop some of them.
fn check_characters(given: &str) -> Result<(), FieldError> {
    let characters: Vec<char> = given.chars().collect();
    for (at, c) in characters.iter().copied().enumerate() {
        let hidden = is_invisible(c) && !joins(&characters[..at], c, &characters[at + 1..]);
        let blank = is_space(c) && c != ' ';
        if hidden || blank || is_without_meaning(c) {
            return Err(wrong(format!("must not have {}", named(c))));
        }
    }
    match piled_up(&nfc(given)) {
        Some(mark) => Err(pile_refusal(mark)),
        None => Ok(()),
    }
}

/// Returns the local part in lower case and normalisation form C, without unnecessary quotes.
fn local_form(local: &str) -> Result<String, FieldError> {
    let lower = nfc(&nfc(local).to_lowercase()).into_owned();
    let form = match lower.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unquoted(quoted).unwrap_or(lower),
        None => lower,
    };
    if form.len() > LOCAL_PART_LIMIT_BYTES {
        let message = format!("must have at most {LOCAL_PART_LIMIT_BYTES} bytes before the @");
        return Err(FieldError::new("too_long", message));
    }
    let starts = form.chars().next();
    if starts.is_some_and(|c| !c.is_ascii() && characters::is_mark(c)) {
        return Err(wrong("must not begin with a mark".to_owned()));
    }
    // RFC 6532 permits every character beyond ASCII; mailboxes have letters, marks and digits.
    let strange = |c: &char| {
        !c.is_ascii()
            && !is_letter(*c)
            && !characters::is_mark(*c)
            && !characters::is_digit(*c)
            && !is_invisible(*c)
            && !is_joiner(*c)
    };
    if let Some(c) = form.chars().find(strange) {
        return Err(wrong(format!("must not have {}", named(c))));
    }
    Ok(form)
}

/// Returns whether the character joins letters in identifiers beyond ASCII (UAX 31, table 3a):
/// middle dots, the Hebrew geresh and gershayim, the Tibetan tsheg, the typographic apostrophe and
/// hyphen.
fn is_joiner(c: char) -> bool {
    matches!(
        c,
        '\u{b7}'
            | '\u{58a}'
            | '\u{5f3}'
            | '\u{5f4}'
            | '\u{f0b}'
            | '\u{2010}'
            | '\u{2019}'
            | '\u{2027}'
            | '\u{30fb}'
    )
}

/// Returns the content of a quoted local part, or `None` if it needs its quotes.
fn unquoted(quoted: &str) -> Option<String> {
    let mut plain = String::with_capacity(quoted.len());
    let mut rest = quoted.chars();
    while let Some(c) = rest.next() {
        plain.push(if c == '\\' { rest.next()? } else { c });
    }
    let atoms = plain.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    atoms.then_some(plain)
}

/// Returns whether an atom may have the character (RFC 5322, 3.2.3).
fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

/// Returns the domain as in DNS.
fn domain_form(domain: &str) -> Result<String, FieldError> {
    let form = idna::domain_to_ascii_strict(domain)
        .map_err(|_| wrong("must have a domain after the @, such as gxtest.com".to_owned()))?;
    let Some((_, top)) = form.rsplit_once('.') else {
        return Err(wrong("must have a domain with a dot, such as gxtest.com".to_owned()));
    };
    let letters = top.len() > 1 && top.bytes().all(|byte| byte.is_ascii_lowercase());
    if letters || top.starts_with("xn--") {
        Ok(form)
    } else {
        Err(wrong("must have a domain name after the @, not a number or an IP address".to_owned()))
    }
}
