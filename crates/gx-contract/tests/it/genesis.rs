//! Genesis grants: amounts, ages, phases.

use gx_contract::CountryView;
use gx_model::{
    AccountType, BatchCommand, Command, CommandId, DomainEvent, FabricUserId, Gender, Gx,
    IdSubject, Qirat,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use time::Date;
use time::macros::{date, datetime};

use crate::ledger::Ledger;
use crate::people::biometric_hash;
use crate::table::check;

fn person(birth_date: Date, country: &str, seed: u64) -> FabricUserId {
    let subject = IdSubject {
        email: format!("p{seed}@gxtest.com"),
        birth_date,
        country: country.parse().unwrap(),
        gender: Gender::Female,
        account_type: AccountType::Individual,
    };
    FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(seed)).unwrap()
}

/// Creates a person, pays the grant, and returns phase, amount and reason as one text.
fn grant(ledger: &mut Ledger, user_id: &FabricUserId) -> String {
    let (user_id, nationality) = (user_id.clone(), user_id.country());
    let biometric_hash = biometric_hash();
    let create =
        Command::CreateUser { user_id: user_id.clone(), biometric_hash, nationality, age: 30 };
    let grant = Command::DistributeGenesis { user_id, nationality };
    let key = ledger.fresh_id().to_string();
    let [create, grant] = [("create", create), ("grant", grant)]
        .map(|(step, command)| BatchCommand::new(CommandId::derive(&[&key, step]), &command));
    let entries = ledger.execute(&[create, grant]);
    match entries[1].events[0].decode().unwrap() {
        DomainEvent::GenesisDistributed { phase, amount, treasury_amount, refusal, .. } => {
            match (phase, refusal) {
                (Some(phase), None) => format!("{phase}: {} + {}", Gx(amount), Gx(treasury_amount)),
                (None, Some(refusal)) => {
                    assert_eq!((amount, treasury_amount), (Qirat::ZERO, Qirat::ZERO));
                    refusal.name().to_owned()
                }
                other => panic!("neither granted nor refused: {other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

/// FAB-13: ages are calendar-exact on the day of the transaction, both limits included.
#[test]
fn fab_13_ages_at_both_limits() {
    let mut ledger = Ledger::default();
    check(&mut ledger, "bootstrap => applied\ncountries MY:1000 => applied");
    let paid = "1: 500 + 50";
    let noon = |day: Date| day.midnight().assume_utc() + time::Duration::hours(12);
    for (at, (today, birth, expected)) in [
        (date!(2025 - 06 - 15), date!(2012 - 06 - 15), paid),
        (date!(2025 - 06 - 15), date!(2012 - 06 - 16), "AGE"),
        (date!(2025 - 06 - 15), date!(1951 - 06 - 16), paid),
        (date!(2025 - 06 - 15), date!(1951 - 06 - 15), "AGE"),
        (date!(2025 - 02 - 28), date!(2012 - 02 - 29), "AGE"),
        (date!(2025 - 03 - 01), date!(2012 - 02 - 29), paid),
        (date!(2025 - 02 - 28), date!(2012 - 02 - 28), paid),
        (date!(2030 - 02 - 28), date!(1956 - 02 - 29), paid),
        (date!(2030 - 03 - 01), date!(1956 - 02 - 29), "AGE"),
        (date!(2024 - 02 - 29), date!(2011 - 02 - 28), paid),
        (date!(2025 - 06 - 15), date!(2025 - 06 - 16), "AGE"),
    ]
    .into_iter()
    .enumerate()
    {
        ledger.now = noon(today);
        let seed = u64::try_from(at).unwrap();
        assert_eq!(grant(&mut ledger, &person(birth, "MY", seed)), expected, "{birth} on {today}");
    }
}

/// FAB-13: the day is the day in UTC, whatever the offset of the transaction's time.
#[test]
fn fab_13_the_day_is_counted_in_utc() {
    let mut ledger = Ledger::default();
    check(&mut ledger, "bootstrap => applied\ncountries MY:1000 => applied");
    ledger.now = datetime!(2025-06-15 02:00 +8);
    assert_eq!(grant(&mut ledger, &person(date!(2012 - 06 - 15), "MY", 1)), "AGE");
}

/// FAB-13: a person has one grant, also if its amount is 0.
#[test]
fn fab_13_a_grant_of_0_uses_up_the_one_grant() {
    let mut ledger = Ledger::default();
    check(
        &mut ledger,
        "
        bootstrap            => applied
        countries MY:1000    => applied
        create baby          => applied
        grant baby           => applied
        balance baby         => 0
        balance treasury_MY  => 0
        grant baby           => refused GENESIS_DONE
        ",
    );
    ledger.now = datetime!(2035-06-15 12:00 UTC);
    check(&mut ledger, "grant baby => refused GENESIS_DONE");
}

/// G4, CFG-10: a country goes through the phases by its own share, and then grants end. A share of
/// 10 parts per 10^9 has 1, 2, 3, 4, 15 and 24 people in the six phases.
#[test]
fn a_country_moves_through_all_phases() {
    let mut ledger = Ledger::default();
    check(&mut ledger, "bootstrap => applied\ncountries MY:10 SG:10 AQ:0 => applied");
    let mut seed = 0;
    let mut next = |ledger: &mut Ledger, country| {
        seed += 1;
        grant(ledger, &person(date!(1992 - 08 - 20), country, seed))
    };
    let phases = [
        (1, "1: 500 + 50"),
        (2, "2: 400 + 50"),
        (3, "3: 300 + 50"),
        (4, "4: 200 + 50"),
        (15, "5: 100 + 50"),
        (24, "6: 50 + 10"),
    ];
    for (people, expected) in phases {
        for _ in 0..people {
            assert_eq!(next(&mut ledger, "MY"), expected);
        }
    }
    assert_eq!(next(&mut ledger, "MY"), "PHASES_USED_UP");
    assert_eq!(next(&mut ledger, "SG"), "1: 500 + 50");
    assert_eq!(next(&mut ledger, "AQ"), "NO_SHARE");
    let view: Option<CountryView> = ledger.query("AdminContract:GetCountryStats", &["MY"]);
    let view = view.unwrap();
    assert_eq!((view.users, view.phase), (49, None));
    assert_eq!((view.user_total, view.treasury_total), (Qirat::gx(5_700), Qirat::gx(1_490)));
    check(&mut ledger, "balance USER_GENESIS_POOL => 577499993800");
}
