//! svc-admin: administrators and the review of people.
