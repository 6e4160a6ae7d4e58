//! Parses the language of signature policies: `AND('Org1MSP.peer', OR('Org2MSP.member', …))`, in
//! which upper and lower case are the same. Called for the arguments of `gx devnet` and for
//! definitions of collections.

use std::str::FromStr;

use super::{Principal, PrincipalRole, SignaturePolicy};

/// Limit of nested rules.
const MAX_DEPTH: usize = 32;

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a signature policy: {reason}; write it like OR('Org1MSP.peer','Org2MSP.peer'), with \
     AND, OR and OutOf(N, …)"
)]
pub struct PolicyError {
    reason: String,
}

impl FromStr for SignaturePolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut reader = Reader { rest: text };
        let policy = reader.rule(0)?;
        match reader.peek() {
            None => Ok(policy),
            Some(_) => Err(reader.unexpected("the end")),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn rule(&mut self, depth: usize) -> Result<SignaturePolicy, PolicyError> {
        if depth > MAX_DEPTH {
            return Err(error(format!("it is nested more than {MAX_DEPTH} deep")));
        }
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.principal(quote).map(SignaturePolicy::SignedBy),
            Some(letter) if letter.is_ascii_alphabetic() => self.gate(depth),
            _ => Err(self.unexpected("a principal in quotes, AND, OR or OutOf")),
        }
    }

    /// Parses AND, OR or OutOf with its rules.
    fn gate(&mut self, depth: usize) -> Result<SignaturePolicy, PolicyError> {
        let name = self.word().to_ascii_lowercase();
        if !["and", "or", "outof"].contains(&name.as_str()) {
            return Err(error(format!("{name} is not AND, OR or OutOf")));
        }
        self.expect('(')?;
        let count = if name == "outof" {
            let count = self.word();
            let count = count.parse().map_err(|_| error(format!("{count:?} is not a number")))?;
            self.expect(',')?;
            Some(count)
        } else {
            None
        };
        let mut rules = vec![self.rule(depth + 1)?];
        while self.peek() == Some(',') {
            self.expect(',')?;
            rules.push(self.rule(depth + 1)?);
        }
        self.expect(')')?;
        let count = count.unwrap_or(if name == "and" { rules.len() } else { 1 });
        // Fabric accepts one more than there are rules: a policy that nobody can satisfy.
        if count > rules.len() + 1 {
            return Err(error(format!("{count} of {} cannot be satisfied", rules.len())));
        }
        Ok(SignaturePolicy::OutOf(count, rules))
    }

    fn principal(&mut self, quote: char) -> Result<Principal, PolicyError> {
        self.expect(quote)?;
        let Some((text, rest)) = self.rest.split_once(quote) else {
            return Err(error("a quote is not closed".to_owned()));
        };
        self.rest = rest;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        text.rsplit_once('.')
            .filter(|(msp_id, _)| !msp_id.is_empty() && msp_id.chars().all(named))
            .and_then(|(msp_id, role)| {
                let role = PrincipalRole::ALL.into_iter().find(|known| known.name() == role)?;
                Some(Principal { msp_id: msp_id.to_owned(), role })
            })
            .ok_or_else(|| {
                let roles = PrincipalRole::ALL.map(PrincipalRole::name).join(", ");
                error(format!("{text:?} is not an MSP id, a dot and one of {roles}"))
            })
    }

    fn word(&mut self) -> &'a str {
        self.skip_spaces();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn expect(&mut self, wanted: char) -> Result<(), PolicyError> {
        self.skip_spaces();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.unexpected(&wanted.to_string())),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.rest.chars().next()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unexpected(&self, wanted: &str) -> PolicyError {
        match self.rest {
            "" => error(format!("the text ends where {wanted} is expected")),
            rest => error(format!("at {rest:?}: expected {wanted}")),
        }
    }
}

fn error(reason: String) -> PolicyError {
    PolicyError { reason }
}
