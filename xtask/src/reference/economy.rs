//! Writes the page about supply, grants and fees. Called by the parent module for the check and for
//! the file.

use std::fmt::Write;

use gx_model::economics::{FEES, GENESIS_AGES, MAX_FEE_BASIS_POINTS, PHASES};
use gx_model::{CountryList, Gx, Pool, Qirat, TxType};

/// Returns the page in Markdown.
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
    for class in &FEES {
        let distance = if class.is_local { "one country" } else { "two countries" };
        for tier in class.tiers {
            let (name, from) = (class.tx_type.name(), Gx(tier.from));
            let parties = parties(class.tx_type);
            rows.push(format!("{name} | {parties} | {distance} | {from} | {}", tier.basis_points));
        }
    }
    let header = "Class | Between | Within | From GX | Basis points";
    let mut text = table("Transfer fees", header, rows.into_iter());
    writeln!(
        text,
        "\nThe sender pays, the fee is rounded down and never above {} %. Pools and treasuries pay none.",
        MAX_FEE_BASIS_POINTS / 100
    )
    .expect("writing to a String cannot fail");
    text
}

fn parties(class: TxType) -> &'static str {
    match class {
        TxType::P2p => "two people",
        TxType::Merchant => "a person and an organisation",
        TxType::Government => "a government and anybody",
        TxType::B2b => "two organisations",
    }
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
