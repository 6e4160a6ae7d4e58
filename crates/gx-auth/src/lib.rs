//! Passwords, tokens, sessions, permission checks and the audit log.
