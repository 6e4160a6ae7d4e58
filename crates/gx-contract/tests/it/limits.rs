//! Money near every limit: pools emptied to the last Qirat, phases used up, amounts up to the
//! supply and above.

use gx_contract::{AccountView, FeeView, SupplyView};
use gx_model::{AccountId, Command, CommandKind, EntryOutcome, FabricUserId, Qirat, SignerRole};
use proptest::prelude::*;

use crate::ledger::Ledger;
use crate::people::biometric_hash;
use crate::table::{check, command};

/// With a share of 10 parts per 10⁹, all phases together have grants for 49 people.
const PEOPLE: u16 = 55;
const POOLS: [&str; 4] =
    ["SYSTEM_LOAN_POOL", "SYSTEM_GX_POOL", "SYSTEM_CHARITABLE_POOL", "SYSTEM_OPERATIONS_FUND"];
/// Invalid amounts: each is above the supply or does not fit 64 bits.
const TOO_LARGE: [&str; 4] = [
    "1250000000000000001",
    "9223372036854775807",
    "9223372036854775808",
    "340282366920938463463374607431768211456",
];

#[derive(Clone, Debug)]
enum Step {
    /// Bootstrap again.
    Mint,
    /// Creates a person and pays the grant, or repeats the grant.
    Grant(u16),
    Transfer {
        from: usize,
        to: usize,
        near: Near,
    },
    /// A transfer of an invalid amount.
    TooLarge {
        from: usize,
        to: usize,
        amount: &'static str,
    },
}

/// Amounts near the limit of what the payer can pay.
#[derive(Clone, Copy, Debug)]
enum Near {
    One,
    /// The whole balance with the fee included, plus or minus some Qirat.
    Affordable(i64),
    /// The whole balance without the fee, plus or minus some Qirat.
    Everything(i64),
    Supply,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let account = || 0..POOLS.len() + usize::from(PEOPLE) + 2;
    let near = prop_oneof![
        1 => Just(Near::One),
        4 => (-1..=1_i64).prop_map(Near::Affordable),
        3 => (-1..=1_i64).prop_map(Near::Everything),
        1 => Just(Near::Supply),
    ];
    let step = prop_oneof![
        1 => Just(Step::Mint),
        8 => (0..PEOPLE).prop_map(Step::Grant),
        8 => (account(), account(), near)
            .prop_map(|(from, to, near)| Step::Transfer { from, to, near }),
        1 => (account(), account(), prop::sample::select(&TOO_LARGE[..]))
            .prop_map(|(from, to, amount)| Step::TooLarge { from, to, amount }),
    ];
    prop::collection::vec(step, 1..120)
}

fn person(n: u16) -> FabricUserId {
    format!("MY 463 AUN834 0QKZB {n:04}").parse().unwrap()
}

/// Returns a pool, treasury or person by number.
fn account(n: usize) -> AccountId {
    if let Some(pool) = POOLS.get(n) {
        return pool.parse().unwrap();
    }
    match n - POOLS.len() {
        0 => "treasury_MY".parse().unwrap(),
        1 => "treasury_SG".parse().unwrap(),
        n => AccountId::User(person(u16::try_from(n - 2).unwrap())),
    }
}

fn balance(ledger: &Ledger, account: &AccountId) -> i64 {
    let id = account.to_string();
    let view: Option<AccountView> = ledger.query("TokenomicsContract:GetBalance", &[&id]);
    view.map_or(0, |view| view.balance.get())
}

fn fee(ledger: &Ledger, from: &AccountId, to: &AccountId, amount: i64) -> i64 {
    let args = [from.to_string(), to.to_string(), amount.to_string(), String::new()];
    let args = args.each_ref().map(String::as_str);
    let view: FeeView = ledger.query("TokenomicsContract:CalculateTransactionFee", &args);
    view.fee.get()
}

/// Returns an amount near the limit, or `None` if there is no valid one.
fn amount(ledger: &Ledger, from: &AccountId, to: &AccountId, near: Near) -> Option<Qirat> {
    let held = balance(ledger, from);
    let amount = match near {
        Near::One => 1,
        Near::Supply => Qirat::SUPPLY.get(),
        Near::Everything(more) => held + more,
        Near::Affordable(more) => {
            let mut affordable = held;
            while affordable > 0 && affordable + fee(ledger, from, to, affordable) > held {
                affordable -= (affordable + fee(ledger, from, to, affordable) - held).max(1);
            }
            affordable + more
        }
    };
    Qirat::new(amount).ok().filter(|amount| *amount > Qirat::ZERO)
}

/// Returns the state without the records of commands.
fn money(ledger: &Ledger) -> Vec<(String, Vec<u8>)> {
    let values = ledger.state.values.iter().filter(|(key, _)| !key.starts_with("cmd~"));
    values.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Runs a command; checks that a refused command changes nothing.
fn run(ledger: &mut Ledger, command: &Command) -> bool {
    let before = money(ledger);
    let entry = ledger.run(command);
    let applied = entry.outcome == EntryOutcome::Applied {};
    if !applied {
        assert_eq!(money(ledger), before, "{command:?} was not applied: {:?}", entry.outcome);
    }
    applied
}

fn transfer(ledger: &mut Ledger, from: &AccountId, to: &AccountId, near: Near) {
    let Some(amount) = amount(ledger, from, to, near) else { return };
    let (had, got) = (balance(ledger, from), balance(ledger, to));
    let fee = fee(ledger, from, to, amount.get());
    let wanted = Command::Transfer { from: from.clone(), to: to.clone(), amount, tx_type: None };
    if !run(ledger, &wanted) {
        return;
    }
    assert_eq!(balance(ledger, from), had - amount.get() - fee, "{wanted:?}");
    assert_eq!(balance(ledger, to), got + amount.get(), "{wanted:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// FAB-11: near the limits, a mint, grant or transfer that would exceed one is refused and
    /// leaves the state unchanged. After every transaction, accounts, pools and fees sum to the
    /// supply (`Ledger::call` adds them in checked integers).
    #[test]
    fn fab_11_nothing_exceeds_the_supply(steps in steps()) {
        let mut ledger = Ledger::default();
        check(&mut ledger, "
            bootstrap             => applied
            countries MY:10 SG:20 => applied
            activate MY           => applied
        ");
        for step in &steps {
            match step {
                Step::Mint => {
                    let minted = run(&mut ledger, &command(&["bootstrap"]));
                    prop_assert!(!minted, "the supply is made once");
                }
                Step::Grant(n) => {
                    let user_id = person(*n);
                    let nationality = user_id.country();
                    run(&mut ledger, &Command::CreateUser {
                        user_id: user_id.clone(),
                        biometric_hash: biometric_hash(),
                        nationality,
                        age: 33,
                    });
                    run(&mut ledger, &Command::DistributeGenesis { user_id, nationality });
                }
                Step::Transfer { from, to, near } if from != to => {
                    transfer(&mut ledger, &account(*from), &account(*to), *near);
                }
                Step::Transfer { .. } => {}
                Step::TooLarge { from, to, amount } => {
                    let (from, to) = (account(*from).to_string(), account(*to).to_string());
                    let id = ledger.fresh_id().to_string();
                    let args = [from, to, (*amount).to_owned(), String::new(), id];
                    let function = CommandKind::Transfer.function();
                    let answer = ledger.call(Some(SignerRole::Admin), function, &args);
                    prop_assert!(answer.status >= 400, "{}", answer.message);
                }
            }
            let supply: SupplyView = ledger.query("TokenomicsContract:GetSupplyStatus", &[]);
            let together = supply.in_pools.checked_add(supply.in_circulation);
            prop_assert_eq!((supply.supply, together), (Qirat::SUPPLY, Some(Qirat::SUPPLY)));
        }
    }
}
