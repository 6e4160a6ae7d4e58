//! The memory of `gx dev` in a flood of sign-ins. `make test-flood ARGS=flood::memory` runs it
//! alone and prints a table, with the allocator that `LD_PRELOAD` names, if any.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gx_testkit::http::{Connection, request};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stack::{Stack, address};

/// Connections that are open at a time, each with an address and an account of its own.
const CONNECTIONS: u8 = 200;
/// Sign-ins of all connections together.
const LOGINS: u32 = 480;
/// Memory of one password hash.
const HASH_KIB: u64 = 12 * 1024;
/// Part of the stated memory by which a process may exceed it.
const MARGIN_PERCENT: u64 = 10;
/// Beginnings of the names of variables that choose or configure an allocator.
const ALLOCATOR_VARIABLES: [&str; 5] =
    ["LD_PRELOAD=", "MALLOC_", "MIMALLOC_", "_RJEM_MALLOC_", "GLIBC_TUNABLES="];

/// Returns the variables of a process that choose or configure its allocator.
fn allocator(pid: u32) -> String {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    let chooses =
        |text: &&str| ALLOCATOR_VARIABLES.iter().any(|beginning| text.starts_with(beginning));
    let chosen: Vec<&str> = environment.split('\0').filter(chooses).collect();
    if chosen.is_empty() { "that of the binary".to_owned() } else { chosen.join(" ") }
}

/// What the connections have counted.
#[derive(Default)]
struct Answers {
    logins: u32,
    refused: u32,
}

/// Signs the connection's account in, again and again, until all sign-ins are taken. One that finds
/// no room to hash is sent again.
async fn log_in(
    connection: u8,
    to: SocketAddr,
    password: String,
    taken: Arc<AtomicU32>,
) -> Answers {
    let from = IpAddr::from(Ipv4Addr::new(127, 0, 5, 1 + connection));
    let mut open = Connection::open(from, to).await.unwrap();
    let body = json!({ "email": format!("flood{connection}@gxtest.com"), "password": password });
    let mut answers = Answers::default();
    while taken.fetch_add(1, Ordering::Relaxed) < LOGINS {
        loop {
            let ask = request(Method::POST, "/api/v1/auth/login", None, Some(&body));
            let reply = open.send(ask).await.unwrap();
            match reply.status {
                StatusCode::OK => break,
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert!(reply.headers.contains_key("retry-after"), "{}", reply.text);
                    answers.refused += 1;
                }
                status => panic!("a sign-in is answered {status}: {}", reply.text),
            }
        }
        answers.logins += 1;
    }
    answers
}

/// Adds an account for each connection, with the first administrator's password.
async fn add_accounts(stack: &Stack) {
    sqlx::query(
        r#"INSERT INTO "UserProfile" ("profileId", "firstName", "lastName", email, "passwordHash",
               "dateOfBirth", gender, "createdAt", "updatedAt")
           SELECT 'flood' || n, 'A', 'B', 'flood' || n || '@gxtest.com', a."passwordHash",
                  '1990-01-01', 'female', now(), now()
           FROM "AdminUser" a, generate_series(0, $1 - 1) AS n"#,
    )
    .bind(i32::from(CONNECTIONS))
    .execute(&mut stack.sql().await)
    .await
    .unwrap();
}

/// Returns KiB as MiB with one decimal.
fn mib(kib: u64) -> String {
    format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024)
}

/// AUTHN-08: 480 sign-ins over 200 connections cost no more memory than `gx dev` has when it is
/// idle, that of the hashes at once, and ten percent. Prints the figures, so that allocators can be
/// compared.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures to compare allocators: make test-flood"]
async fn authn_08_a_flood_of_sign_ins_costs_the_memory_of_the_hashes_at_once() {
    let hashes = u64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let settings = [
        ("GX_PASSWORD_HASH_CONCURRENCY", hashes.to_string()),
        // Every connection may wait: a sign-in that is refused at once would cost nothing.
        ("GX_PASSWORD_HASH_QUEUE", CONNECTIONS.to_string()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let mut stack = Stack::with_settings(settings);
    stack.run().await;
    add_accounts(&stack).await;
    let (to, password) = (address(&stack.env("GX_IDENTITY_URL")), stack.env("GX_ADMIN_PASSWORD"));
    stack.forget_peak_memory();
    let idle = stack.memory_kib("VmRSS");

    let (begun, taken) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let flood: JoinSet<Answers> = (0..CONNECTIONS)
        .map(|connection| log_in(connection, to, password.clone(), Arc::clone(&taken)))
        .collect();
    let mut all = Answers::default();
    for answers in flood.join_all().await {
        all.logins += answers.logins;
        all.refused += answers.refused;
    }
    let took = begun.elapsed();
    let (peak, after) = (stack.memory_kib("VmHWM"), stack.memory_kib("VmRSS"));
    let limit = (idle + hashes * HASH_KIB) * (100 + MARGIN_PERCENT) / 100;

    let Answers { logins, refused } = all;
    println!("\ngx dev, {logins} logins over {CONNECTIONS} connections, {hashes} hashes at once");
    println!("allocator: {}", allocator(stack.pid()));
    println!("{took:.1?}, {refused} sign-ins were sent again after 503\n");
    println!("| resident memory | MiB |\n|---|---|");
    println!("| idle | {} |", mib(idle));
    println!("| peak | {} |", mib(peak));
    println!("| after | {} |", mib(after));
    let stated = format!("idle + {hashes} x {} MiB + {MARGIN_PERCENT} %", HASH_KIB / 1024);
    println!("| limit: {stated} | {} |\n", mib(limit));
    assert_eq!(logins, LOGINS);
    assert!(peak <= limit, "the peak of {} MiB is above the limit", mib(peak));
}
