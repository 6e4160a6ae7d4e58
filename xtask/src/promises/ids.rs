//! Finds the ids of requirements in the name and doc comment of a test. Called by `coverage` for
//! each test, and by `lists` for each row.

use std::collections::BTreeSet;

/// Words with the form of an id that are not ids.
const NOT_IDS: [&str; 2] = ["UTF-16", "UTF-32"];

/// The theme of promises, whose ids have no hyphen.
const PROMISES: &str = "G";

/// Returns whether a text has the form of an id: `G3`, `PRJ-08`, `SEC-API-01`.
pub(crate) fn is_id(text: &str) -> bool {
    match text.rsplit_once('-') {
        Some((theme, number)) => {
            let upper =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase());
            theme.split('-').all(upper) && is_number(number, 2..=2)
        }
        None => text.strip_prefix(PROMISES).is_some_and(|number| is_number(number, 1..=2)),
    }
}

fn is_number(text: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the theme of an id: `SEC-API` of `SEC-API-01`, `G` of `G3`.
pub(crate) fn theme(id: &str) -> &str {
    id.rsplit_once('-').map_or(PROMISES, |(theme, _)| theme)
}

/// Returns the ids that a test quotes, whether or not a list has them.
pub(crate) fn quoted(name: &str, doc: &str, themes: &BTreeSet<String>) -> BTreeSet<String> {
    let mut ids = in_doc(doc);
    ids.extend(in_name(name, themes));
    ids
}

/// Returns all words of a doc comment with the form of an id.
fn in_doc(doc: &str) -> BTreeSet<String> {
    doc.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
        .map(|word| word.trim_matches('-'))
        .filter(|word| is_id(word) && !NOT_IDS.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Returns the ids at the start of a name: `prj_08_g3_replay_changes_nothing` has PRJ-08 and G3.
fn in_name(name: &str, themes: &BTreeSet<String>) -> Vec<String> {
    let mut rest = name;
    let mut ids = Vec::new();
    while let Some((id, after)) = leading_id(rest, themes) {
        ids.push(id);
        rest = after;
    }
    ids
}

/// Returns the id with which a name begins and the rest of the name, or `None` if there is none.
fn leading_id<'a>(name: &'a str, themes: &BTreeSet<String>) -> Option<(String, &'a str)> {
    let (first, after) = name.split_once('_').unwrap_or((name, ""));
    if let Some(number) = first.strip_prefix('g')
        && is_number(number, 1..=2)
    {
        return Some((format!("{PROMISES}{number}"), after));
    }
    themes.iter().find_map(|theme| {
        let prefix = format!("{}_", theme.to_ascii_lowercase().replace('-', "_"));
        let rest = name.strip_prefix(&prefix)?;
        let (number, after) = rest.split_once('_').unwrap_or((rest, ""));
        is_number(number, 2..=2).then(|| (format!("{theme}-{number}"), after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted_by(name: &str, doc: &str) -> Vec<String> {
        let themes = ["G", "PRJ", "API", "SEC-API"].map(str::to_owned).into();
        quoted(name, doc, &themes).into_iter().collect()
    }

    #[test]
    fn ids_start_a_name() {
        assert_eq!(quoted_by("prj_08_replay_changes_nothing", ""), ["PRJ-08"]);
        assert_eq!(quoted_by("g3_prj_08_sec_api_01_story", ""), ["G3", "PRJ-08", "SEC-API-01"]);
        assert_eq!(quoted_by("prj_99_is_still_an_id", ""), ["PRJ-99"]);
    }

    #[test]
    fn names_of_other_things_are_no_ids() {
        assert!(quoted_by("grant_50_of_phase_6", "").is_empty());
        assert!(quoted_by("replay_prj_08", "").is_empty());
        assert!(quoted_by("prj_8_short", "").is_empty());
        assert!(quoted_by("gx_07_hyphen", "").is_empty());
    }

    #[test]
    fn ids_stand_anywhere_in_a_doc_comment() {
        assert_eq!(
            quoted_by("x", " PRJ-08, G3: see (SEC-API-01)."),
            ["G3", "PRJ-08", "SEC-API-01"]
        );
        assert_eq!(quoted_by("x", "NEW-01's theme is unknown"), ["NEW-01"]);
    }

    #[test]
    fn encodings_and_algorithms_are_no_ids() {
        assert!(quoted_by("x", "UTF-16, SHA-256, ES256, ISO 3166-1, GX, G123, API-1").is_empty());
    }
}
