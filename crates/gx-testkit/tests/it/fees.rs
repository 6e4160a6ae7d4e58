//! The fees of transfers, from the quote to the ledger.

use gx_model::{AccountType, Command, FabricUserId, Gender, Gx, IdSubject, Qirat};
use gx_testkit::World;
use gx_testkit::story::Person;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

/// Amount in GX, receiver, fee in Qirat: both sides of every boundary, and every class.
const TABLE: [(&str, Receiver, i64); 12] = [
    ("2.999999", Receiver::Neighbour, 0),
    ("3", Receiver::Neighbour, 1_500),
    ("100", Receiver::Neighbour, 50_000),
    ("100.000001", Receiver::Neighbour, 100_000),
    ("0.000001", Receiver::Abroad, 0),
    ("100", Receiver::Abroad, 150_000),
    ("100.000001", Receiver::Abroad, 250_000),
    ("10", Receiver::Of(AccountType::ForProfit, "MY"), 15_000),
    ("10", Receiver::Of(AccountType::ForProfit, "SG"), 30_000),
    ("10", Receiver::Of(AccountType::Governmental, "MY"), 10_000),
    ("10", Receiver::Of(AccountType::Governmental, "SG"), 20_000),
    ("7.654321", Receiver::Abroad, 11_481),
];

/// Between two organisations.
const B2B: [(&str, i64); 2] = [("MY", 20_000), ("SG", 40_000)];

#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    Neighbour,
    Abroad,
    Of(AccountType, &'static str),
}

/// FAB-12, G4: at every boundary of the fee table, local and across a border, a transfer costs
/// what the quote said and what the table says, on the ledger and in everybody's history; the
/// payer pays it, the operations fund gets it, and the whole supply stays what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_costs_what_the_table_says_at_every_boundary() {
    let mut world = World::start().await;
    let payer = world.gx.register(1).await;
    let neighbour = world.gx.register(2).await;
    let abroad = world.gx.register_in("SG", 3).await;
    world.admit(&[payer.clone(), neighbour.clone(), abroad.clone()]).await;
    let (near, far) = (world.gx.id_of(&neighbour).await, world.gx.id_of(&abroad).await);
    let shop = add_organisation(&mut world, 4, AccountType::ForProfit, "MY").await;
    let mut organisations = vec![((AccountType::ForProfit, "MY"), shop)];
    for (n, kind) in [
        (5, (AccountType::ForProfit, "SG")),
        (6, (AccountType::Governmental, "MY")),
        (7, (AccountType::Governmental, "SG")),
        (8, (AccountType::Education, "MY")),
    ] {
        organisations.push((kind, add_organisation(&mut world, n, kind.0, kind.1).await));
    }
    let id_of = |wanted| {
        let found = organisations.iter().find(|(kind, _)| *kind == wanted);
        found.unwrap().1.1.clone()
    };

    let mut paid = 0;
    for (line, (amount, to, fee)) in TABLE.into_iter().enumerate() {
        let to = match to {
            Receiver::Neighbour => near.clone(),
            Receiver::Abroad => far.clone(),
            Receiver::Of(kind, country) => id_of((kind, country)),
        };
        paid += fee + order(&world, &payer, &format!("line {line}"), &to, amount, fee).await;
    }
    let shop = &organisations[0].1.0;
    for (country, fee) in B2B {
        let kind = if country == "MY" { AccountType::Education } else { AccountType::ForProfit };
        order(&world, shop, country, &id_of((kind, country)), "10", fee).await;
    }
    world.settle().await;

    let fees: i64 = TABLE.iter().map(|line| line.2).chain(B2B.map(|line| line.1)).sum();
    let payer_id = world.gx.id_of(&payer).await;
    assert_eq!(world.balance_on_chain(&payer_id).await, 500_000_000 - paid);
    let history =
        world.gx.tokenomics.get("/api/v1/wallets/me/transactions?limit=100", &payer.token);
    let history = history.await.expect(200);
    let charged: Vec<&str> = history.json["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == "TRANSFER")
        .map(|item| item["fee"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = TABLE.iter().rev().map(|line| gx_text(line.2)).collect();
    assert_eq!(charged, expected);
    assert_supply(&world, fees).await;
}

fn gx_text(qirat: i64) -> String {
    Gx(Qirat::new(qirat).unwrap()).to_string()
}

/// Checks the quote, orders the transfer, and returns the amount in Qirat.
async fn order(world: &World, payer: &Person, key: &str, to: &str, amount: &str, fee: i64) -> i64 {
    let wanted = json!({ "to": to, "amount": amount });
    let quote = world.gx.tokenomics.post("/api/v1/transfers/quote", Some(&payer.token), &wanted);
    let quote = quote.await.expect(200);
    let fee_text = gx_text(fee);
    assert_eq!(quote.str("/fee"), fee_text, "{amount} GX to {to}");
    world.gx.pay(payer, key, to, amount).await.expect(202);
    let Gx(amount) = amount.parse().unwrap();
    amount.get()
}

/// Creates an organisation with a grant. Registration makes individuals only, so that the test
/// reserves the id and enqueues the commands itself.
async fn add_organisation(
    world: &mut World,
    n: u32,
    account_type: AccountType,
    country: &str,
) -> (Person, String) {
    let person = world.gx.register_in(country, n).await;
    world.gx.submit(&person).await;
    let subject = IdSubject {
        email: format!("sarah{n}@gxtest.com"),
        birth_date: time::macros::date!(1992 - 08 - 20),
        country: country.parse().unwrap(),
        gender: Gender::Female,
        account_type,
    };
    let id = FabricUserId::generate(&subject, &mut StdRng::seed_from_u64(n.into())).unwrap();
    let approve = r#"UPDATE "UserProfile" SET status = 'APPROVED_PENDING_ONCHAIN',
        "onchainStatus" = 'PENDING' WHERE "profileId" = $1"#;
    let approve = sqlx::query(approve).bind(&person.profile_id);
    approve.execute(world.database.pool()).await.unwrap();
    let reserve = r#"INSERT INTO "FabricIdReservation"
        ("fabricUserId", "profileId", "commandId", "reservedAt") VALUES ($2, $1, $1, now())"#;
    let reserve = sqlx::query(reserve).bind(&person.profile_id).bind(id.as_str());
    reserve.execute(world.database.pool()).await.unwrap();
    let biometric_hash = "ab".repeat(32).parse().unwrap();
    let nationality = subject.country;
    let age = 33;
    let user_id = id.clone();
    world.enqueue(&Command::CreateUser { user_id, biometric_hash, nationality, age }).await;
    let user_id = id.clone();
    let grant = world.enqueue(&Command::DistributeGenesis { user_id, nationality }).await;
    world.settle().await;
    let status = world.command_status(grant).await;
    assert_eq!(status, "COMMITTED", "{account_type:?} of {country}");
    (person, id.to_string())
}

/// Checks that the supply is whole and that the operations fund has grown by the fees.
async fn assert_supply(world: &World, fees: i64) {
    let supply = world.gx.tokenomics.get("/api/v1/supply", "").await.expect(200);
    assert_eq!(supply.str("/total"), "1250000000000");
    let fund = supply.json["pools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|pool| pool["id"] == "SYSTEM_OPERATIONS_FUND")
        .unwrap();
    let grown = |key: &str| fund[key].as_str().unwrap().parse::<Gx>().unwrap().0.get();
    assert_eq!(grown("balance") - grown("startBalance"), fees);
}
