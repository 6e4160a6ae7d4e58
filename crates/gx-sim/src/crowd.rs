//! The members of a crowd: many people. A storm registers them without requests. Called by
//! `environment` and `run::population`.

use gx_testkit::story::Person;

/// Prefix of the profile ids of a crowd.
pub(crate) const PROFILES: &str = "00000000-0000-7000-8000-";

/// Returns a member of the crowd. No member of a crowd logs in.
pub(crate) fn member(number: usize) -> Person {
    Person { profile_id: format!("{PROFILES}{number:012}"), token: String::new() }
}

/// Returns the number of a member of the crowd, or `None` for any other person.
pub(crate) fn number_of(profile_id: &str) -> Option<usize> {
    profile_id.strip_prefix(PROFILES)?.parse().ok()
}
