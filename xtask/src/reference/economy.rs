//! The page about supply, grants and fees.

use std::fmt::Write;

use gx_model::economics::{
    GENESIS_AGES, MAX_FEE_BASIS_POINTS, P2P_FREE_BELOW, P2P_LARGE, PHASES, fee,
};
use gx_model::{AccountId, CountryList, FabricUserId, Gx, Pool, Qirat};

/// Account types whose digits stand for a class of payers and receivers.
const PERSON: char = '0';
const COMPANY: char = '1';
const MINISTRY: char = '7';

/// The page in Markdown.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Economy\n\n<!-- Written by `cargo xtask reference --write` from gx-model. -->\n",
    );
    for section in [unit(), pools(), phases(), fees(), countries()] {
        page.push('\n');
        page.push_str(&section);
    }
    page
}

fn unit() -> String {
    format!(
        "## Unit and supply\n\n\
         1 GX = {} Qirat, the smallest unit: {} decimals. Amounts are whole Qirat everywhere, and\n\
         decimal strings in GX in JSON. The supply is {} GX, made once at bootstrap.\n",
        Qirat::PER_GX,
        Qirat::DECIMALS,
        Gx(Qirat::SUPPLY),
    )
}

fn pools() -> String {
    let rows = Pool::ALL.iter().map(|pool| format!("{} | {}", pool.name(), Gx(pool.start())));
    table("Pools at bootstrap", "Pool | GX", rows)
}

fn phases() -> String {
    let rows = PHASES.iter().map(|phase| {
        let (user, treasury) = (Gx(phase.user), Gx(phase.treasury));
        format!("{} | {} | {user} | {treasury}", phase.number, phase.users)
    });
    let header = "Phase | People, all countries | GX each | GX to the country's treasury";
    let mut text = table("Genesis grants", header, rows);
    let (youngest, oldest) = (GENESIS_AGES.start(), GENESIS_AGES.end());
    writeln!(
        text,
        "\nA country's share of a phase is its share of world population, rounded down; each\n\
         country moves through the phases on its own, and after the last a grant is 0. Ages\n\
         {youngest} to {oldest} are eligible, both included."
    )
    .expect("writing to a String cannot fail");
    text
}

fn fees() -> String {
    let mut rows = Vec::new();
    let amounts = [
        (format!("below {} GX", Gx(P2P_FREE_BELOW)), P2P_FREE_BELOW.checked_sub(smallest())),
        (format!("{} to {} GX", Gx(P2P_FREE_BELOW), Gx(P2P_LARGE)), Some(P2P_LARGE)),
        (format!("above {} GX", Gx(P2P_LARGE)), P2P_LARGE.checked_add(smallest())),
    ];
    for (range, amount) in amounts {
        let amount = amount.expect("the tiers lie far from both ends");
        rows.push(fee_row("person to person", &range, PERSON, PERSON, amount));
    }
    for (name, payer, receiver) in [
        ("person to organisation", PERSON, COMPANY),
        ("either side a government", PERSON, MINISTRY),
        ("organisation to organisation", COMPANY, COMPANY),
    ] {
        rows.push(fee_row(name, "any", payer, receiver, P2P_LARGE));
    }
    let header = "Transfer | Amount | Class | Basis points, local | Cross-border";
    let mut text = table("Transfer fees", header, rows.into_iter());
    writeln!(
        text,
        "\nThe sender pays, the fee is rounded down and never above {} %. Pools and treasuries pay none.",
        MAX_FEE_BASIS_POINTS / 100
    )
    .expect("writing to a String cannot fail");
    text
}

fn fee_row(name: &str, range: &str, payer: char, receiver: char, amount: Qirat) -> String {
    let rate = |country: &str| {
        fee(&account("MY", payer), &account(country, receiver), amount)
            .expect("each row of the table has a class")
    };
    let (local, abroad) = (rate("MY"), rate("SG"));
    let class = local.tx_type.map_or("none", |tx_type| tx_type.name());
    format!("{name} | {range} | {class} | {} | {}", local.basis_points, abroad.basis_points)
}

fn account(country: &str, account_type: char) -> AccountId {
    // Organisations have another offset in the third block than people.
    let born = if account_type == PERSON { "AUN834" } else { "BOD829" };
    let id: FabricUserId = format!("{country} 463 {born} {account_type}QKZB 5821")
        .parse()
        .expect("the parts are well-formed");
    AccountId::User(id)
}

fn smallest() -> Qirat {
    Qirat::new(1).expect("one Qirat is an amount")
}

fn countries() -> String {
    let list = CountryList::embedded();
    let shared = list.iter().filter(|country| country.share_ppb > 0).count();
    format!(
        "## Countries\n\n\
         {} codes; {shared} have a share of world population above 0. Shares are parts per\n\
         {} and sum to exactly that.\n",
        list.iter().count(),
        CountryList::SHARE_TOTAL
    )
}

fn table(title: &str, header: &str, rows: impl Iterator<Item = String>) -> String {
    let columns = header.split('|').count();
    let mut text = format!("## {title}\n\n| {header} |\n|{}\n", "---|".repeat(columns));
    for row in rows {
        writeln!(text, "| {row} |").expect("writing to a String cannot fail");
    }
    text
}
