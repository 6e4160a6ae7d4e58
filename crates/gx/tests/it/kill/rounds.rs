//! Rounds of kills and freezes at random moments while people pay each other.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::audit;
use super::payers::Payers;
use super::world::{Victim, World};

/// Rounds of every test run.
const FEW: usize = 3;
/// Longest time between two rounds.
const LONGEST_PEACE_MS: u64 = 1_200;
/// Lengths of freezes with their weights: from a pause without effect to one after which every
/// lease, lead and session has ended.
const FREEZES: [(Duration, u32); 4] = [
    (Duration::from_secs(1), 4),
    (Duration::from_secs(4), 3),
    (Duration::from_secs(12), 2),
    (Duration::from_secs(40), 1),
];
/// Length of a freeze in the rounds of every test run.
const SHORT_FREEZE: Duration = Duration::from_secs(1);

/// G1, G2, G3, G4, PRJ-16: whatever is killed or frozen at any moment, each accepted transfer moves
/// money once or is refused, and the read model equals the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn money_moves_once_whatever_is_killed_or_frozen() {
    play(FEW, |_| SHORT_FREEZE).await;
}

/// G1, G2, G3, G4, PRJ-16: the same with `ROUNDS` rounds and longer freezes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make test-kill"]
async fn money_moves_once_whatever_is_killed_or_frozen_many_times() {
    play(rounds_asked_for(), |rng| {
        FREEZES.choose_weighted(rng, |(_, weight)| *weight).expect("some weights are positive").0
    })
    .await;
}

/// The harm of a round.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Kill(Victim),
    Freeze(Victim),
}

/// The rounds in their order; every test run plays the first ones.
const HARMS: [Harm; 10] = [
    Harm::Kill(Victim::StackAndDatabase),
    Harm::Freeze(Victim::Projector),
    Harm::Freeze(Victim::Database),
    Harm::Kill(Victim::Submitter),
    Harm::Freeze(Victim::Stack),
    Harm::Kill(Victim::Projector),
    Harm::Freeze(Victim::Submitter),
    Harm::Kill(Victim::Everything),
    Harm::Freeze(Victim::Projector),
    Harm::Kill(Victim::Stack),
];

async fn play(rounds: usize, freeze: impl Fn(&mut StdRng) -> Duration) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::start().await;
    let payers = Payers::start(&world.stack).await;
    // Each kind of harm is as frequent as the others.
    for (round, harm) in (1..=rounds).zip(HARMS.iter().cycle()) {
        moment(&mut rng).await;
        let answered = payers.answered();
        match *harm {
            Harm::Kill(victim) => {
                println!("round {round}: {victim:?} dies; {answered} transfers answered");
                world.kill(victim).await;
            }
            Harm::Freeze(victim) => {
                let length = freeze(&mut rng);
                println!(
                    "round {round}: {victim:?} is frozen for {length:?}; {answered} transfers \
                     answered"
                );
                world.freeze(victim, length).await;
            }
        }
    }
    let answered = payers.stop().await;
    world.drain().await;
    audit::check(&world.stack, &answered).await;
    world.verify();
}

/// Waits for a random time.
async fn moment(rng: &mut StdRng) {
    let peace = Duration::from_millis(rng.random_range(0..LONGEST_PEACE_MS));
    tokio::time::sleep(peace).await;
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line")]
fn rounds_asked_for() -> usize {
    let asked = std::env::var("ROUNDS").expect("make test-kill sets ROUNDS");
    asked.parse().expect("ROUNDS is a number")
}
