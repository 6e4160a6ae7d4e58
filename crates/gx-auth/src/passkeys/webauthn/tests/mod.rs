//! Verification of passkeys, with the test vectors of the specification and a software
//! authenticator.

mod hostile;
mod vectors;
