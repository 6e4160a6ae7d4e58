//! svc-identity: registration, login, sessions, profile, submission for review.
