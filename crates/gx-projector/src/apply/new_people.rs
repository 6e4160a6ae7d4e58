//! Finds the owner of each person that a block creates. Called by `events` before it writes events;
//! a person without an owner is created all the same and may be adopted later.

use std::collections::{HashMap, HashSet};

use gx_db::{PgConnection, ProfileId};

use super::read::{Content, ReadEvent};
use super::store::people::{self, NewPersonFacts};

/// What the database knows about the people that some events create, read at once for all of them.
#[derive(Debug, Default)]
pub(crate) struct NewPeople(HashMap<String, NewPersonFacts>);

impl NewPeople {
    /// Looks up the people that the events create. An account gets at most one person: the first.
    pub(crate) async fn find(
        conn: &mut PgConnection,
        events: &[&ReadEvent],
    ) -> Result<Self, sqlx::Error> {
        let (mut ids, mut command_ids) = (Vec::new(), Vec::new());
        let mut seen: HashSet<&str> = HashSet::new();
        for event in events {
            if let Ok(Content::Rows(_, effects)) = &event.content
                && let Some(person) = &effects.person
                && seen.insert(&person.fabric_user_id)
            {
                ids.push(person.fabric_user_id.as_str());
                command_ids.push(&*event.place.command_id);
            }
        }
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let mut known: HashMap<String, NewPersonFacts> =
            people::new_person_facts(conn, &ids, &command_ids).await?.into_iter().collect();
        let mut taken: HashSet<ProfileId> = HashSet::new();
        for id in ids {
            let Some(facts) = known.get_mut(id) else { continue };
            if let Some(owner) = facts.profile_id.take()
                && taken.insert(owner.clone())
            {
                facts.profile_id = Some(owner);
            }
        }
        Ok(Self(known))
    }

    /// Returns what is known about a person, or `None` if none of the events creates the person.
    pub(crate) fn get(&self, fabric_user_id: &str) -> Option<&NewPersonFacts> {
        self.0.get(fabric_user_id)
    }
}
