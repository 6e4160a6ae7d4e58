//! Splits commands that failed together into two halves, to find the one that causes the failure.
//! [`super::requeue_failed`] calls it if nobody is to blame.

use std::collections::{BTreeMap, HashMap};

use crate::store::commands::FailingRow;

/// Returns for each row, in order, the tag of its half; commands with the same tag are tried
/// together.
///
/// Commands that touch the same account stay together where possible: a read conflict comes from
/// one account, and then the half without that account succeeds.
pub(crate) fn bisect(rows: &[FailingRow]) -> Vec<Option<String>> {
    let Some(first) = rows.first() else { return vec![] };
    let touches: Vec<&[String]> = rows.iter().map(|row| row.touches.as_slice()).collect();
    let is_second = second_half(&touches);
    let tag = |second: bool| {
        format!("{}/{}/{}", first.command_id, rows.len(), if second { 2 } else { 1 })
    };
    is_second.into_iter().map(|second| Some(tag(second))).collect()
}

/// Returns for each command, in order, whether it belongs to the second half.
fn second_half(touches: &[&[String]]) -> Vec<bool> {
    let half = touches.len().div_ceil(2);
    let groups = groups(touches);
    if groups.len() < 2 {
        return (0..touches.len()).map(|place| place >= half).collect();
    }
    let mut is_second = vec![true; touches.len()];
    let mut first = 0;
    for group in groups {
        if first == 0 || first + group.len() <= half {
            first += group.len();
            group.into_iter().for_each(|place| is_second[place] = false);
        }
    }
    is_second
}

/// Returns groups of indexes of commands that share a key, directly or through other commands,
/// ordered by their first members.
fn groups(touches: &[&[String]]) -> Vec<Vec<usize>> {
    let mut leader: Vec<usize> = (0..touches.len()).collect();
    let mut last_with: HashMap<&str, usize> = HashMap::new();
    for (place, keys) in touches.iter().enumerate() {
        for key in *keys {
            if let Some(other) = last_with.insert(key, place) {
                let (one, other) = (find(&mut leader, other), find(&mut leader, place));
                leader[one.max(other)] = one.min(other);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..touches.len() {
        groups.entry(find(&mut leader, place)).or_default().push(place);
    }
    groups.into_values().collect()
}

fn find(leader: &mut [usize], mut place: usize) -> usize {
    while leader[place] != place {
        leader[place] = leader[leader[place]];
        place = leader[place];
    }
    place
}

#[cfg(test)]
mod tests {
    use super::second_half;

    fn halves_of(touches: &[&[&str]]) -> Vec<u8> {
        let owned: Vec<Vec<String>> =
            touches.iter().map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()).collect();
        let borrowed: Vec<&[String]> = owned.iter().map(Vec::as_slice).collect();
        second_half(&borrowed).into_iter().map(|second| if second { 2 } else { 1 }).collect()
    }

    #[test]
    fn commands_without_a_common_account_are_cut_in_the_middle() {
        assert_eq!(halves_of(&[&["A"], &["B"], &["C"], &["D"]]), [1, 1, 2, 2]);
        assert_eq!(halves_of(&[&["A"], &["B"], &["C"]]), [1, 1, 2]);
        assert_eq!(halves_of(&[&["A"], &["B"]]), [1, 2]);
    }

    /// OUT-15: commands that share an account stay together, so that the others go without it.
    #[test]
    fn commands_that_share_an_account_stay_in_one_half() {
        let hot: &[&[&str]] = &[&["A", "X"], &["B"], &["C", "X"], &["D"], &["E", "X"], &["F"]];
        assert_eq!(halves_of(hot), [1, 2, 1, 2, 1, 2]);
        // The third command connects A and B into one group.
        assert_eq!(halves_of(&[&["A"], &["C"], &["A", "B"], &["B"]]), [1, 2, 1, 1]);
    }

    #[test]
    fn a_single_group_is_cut_in_the_middle() {
        assert_eq!(halves_of(&[&["A"], &["A", "B"], &["B"]]), [1, 1, 2]);
        assert_eq!(halves_of(&[&["A"]]), [1]);
        assert!(halves_of(&[]).is_empty());
    }

    #[test]
    fn no_half_is_ever_empty() {
        let big: &[&[&str]] = &[&["A"], &["B"], &["B"], &["B"], &["B"], &["B"]];
        assert_eq!(halves_of(big), [1, 2, 2, 2, 2, 2]);
        let big: &[&[&str]] = &[&["B"], &["B"], &["B"], &["B"], &["B"], &["A"]];
        assert_eq!(halves_of(big), [1, 1, 1, 1, 1, 2]);
    }
}
