//! Quotas with a clock that tests move, without Redis or with one that is not there. The tests with
//! a real Redis are in gx-testkit and gx.

use std::time::Duration;

use aws_lc_rs::hmac;
use clap::Parser;
use gx_model::Clock;
use time::macros::datetime;

use super::*;
use crate::fingerprint_key::HASHES;

/// A port on which nothing listens.
const NO_REDIS: &str = "redis://:a-password@127.0.0.1:1/0";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    limits: RateLimitSettings,
}

fn clock() -> Clock {
    Clock::manual(datetime!(2026-03-01 12:00:00 UTC))
}

fn limiter(settings: &RateLimitSettings, clock: &Clock) -> RateLimiter {
    RateLimiter::new(settings, clock.clone(), crate::tests::fingerprint_keys())
}

/// Sends requests of `who` and returns the number of admitted ones.
async fn admitted(limiter: &RateLimiter, policy: LimitPolicy, who: &str, requests: u32) -> u32 {
    let key = limiter.key(policy, &[who], None);
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += u32::from(limiter.admit(policy, key).await.is_admitted);
    }
    admitted
}

/// SEC-API-04: of a flood, each policy admits exactly its quota at once, and exactly its quota
/// again in each window after that, evenly spread. Others are counted for themselves.
#[tokio::test]
async fn each_policy_admits_its_burst_and_its_rate() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limiter = limiter(&settings, &clock);
    for policy in LimitPolicy::ALL {
        let Quota { requests, window } = settings.quota(policy);
        let (quota, interval) = (requests.get(), settings.quota(policy).interval());
        assert_eq!(admitted(&limiter, policy, "one", 2 * quota).await, quota, "{policy:?}");
        assert_eq!(admitted(&limiter, policy, "another", 2 * quota).await, quota, "{policy:?}");
        clock.advance(interval - Duration::from_millis(1));
        assert_eq!(admitted(&limiter, policy, "one", 3).await, 0, "{policy:?}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(admitted(&limiter, policy, "one", 3).await, 1, "{policy:?}");
        let mut in_a_window = 0;
        for _ in 0..2 * quota {
            clock.advance(window / (2 * quota));
            in_a_window += admitted(&limiter, policy, "one", 2).await;
        }
        assert_eq!(in_a_window, quota, "{policy:?}");
        clock.advance(window);
        assert_eq!(admitted(&limiter, policy, "one", 2 * quota).await, quota, "{policy:?}");
    }
}

/// SEC-API-03: a verdict says what is left, and when more is.
#[tokio::test]
async fn a_verdict_says_what_is_left_and_when_there_is_more() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limiter = limiter(&settings, &clock);
    let key = limiter.key(LimitPolicy::Login, &["one"], None);
    let ask = async || limiter.admit(LimitPolicy::Login, key).await;
    let secs = Duration::from_secs;
    let first = ask().await;
    assert_eq!((first.remaining, first.free_after), (9, secs(6)));
    for remaining in (0..9).rev() {
        assert_eq!(ask().await.remaining, remaining);
    }
    clock.advance(secs(2));
    let refused = ask().await;
    let expected =
        Verdict { is_admitted: false, remaining: 0, retry_after: secs(4), free_after: secs(58) };
    assert_eq!(refused, expected);
    clock.advance(secs(4));
    assert!(ask().await.is_admitted);
}

/// API-05: while Redis is away, a process admits a third of the sign-ins and all of the rest, and
/// health says so. No request waits.
#[tokio::test]
async fn without_its_redis_a_process_admits_a_third_of_the_sign_ins() {
    let redis_url = Some(NO_REDIS.parse().unwrap());
    let (settings, clock) = (RateLimitSettings { redis_url, ..Default::default() }, clock());
    let limiter = limiter(&settings, &clock);
    let ask = async |policy, requests| admitted(&limiter, policy, "one", requests).await;
    assert_eq!(ask(LimitPolicy::Login, 20).await, 3);
    assert_eq!(ask(LimitPolicy::LoginClient, 200).await, 33);
    assert_eq!(ask(LimitPolicy::Register, 200).await, 100);
    assert_eq!(ask(LimitPolicy::General, 2_000).await, 1_000);
    let mut in_a_minute = 0;
    for _ in 0..60 {
        clock.advance(Duration::from_secs(1));
        in_a_minute += ask(LimitPolicy::Login, 2).await;
    }
    assert_eq!(in_a_minute, 3);

    let board = HealthBoard::new("svc-limits", clock);
    limiter.watch(&board);
    let report = serde_json::to_value(board.report().await).unwrap();
    assert_eq!(report["status"], "degraded");
    let check = &report["checks"]["rateLimits"];
    assert_eq!(check["status"], "unhealthy");
    let message = check["message"].as_str().unwrap();
    assert!(message.contains("a third of the sign-ins"), "{message}");
    assert!(!message.contains("a-password"), "{message}");
}

/// A limiter without Redis is healthy.
#[tokio::test]
async fn a_process_that_counts_alone_is_healthy() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let board = HealthBoard::new("svc-limits", clock.clone());
    limiter(&settings, &clock).watch(&board);
    let report = serde_json::to_value(board.report().await).unwrap();
    assert_eq!(report["status"], "ready");
}

/// A key whose place in a full table was taken over gets no second quota: of its five requests one
/// was admitted before, so that at most four are afterwards.
#[test]
fn a_full_table_gives_no_key_more_than_its_quota() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limits = ProcessLimits::new(&settings, clock);
    let policy = LimitPolicy::Mail;
    let ask = |number| {
        limits.admit(policy, numbered_key(number, number), settings.quota(policy)).is_admitted
    };
    assert!(ask(1));
    for number in 2..200_000 {
        ask(number);
    }
    assert!((0..20).filter(|_| ask(1)).count() <= 4);
}

/// Returns the key of this number, from a network of its own or of others.
fn numbered_key(number: u64, network: u64) -> LimitKey {
    let mut hash = [0; 32];
    hash[8..16].copy_from_slice(&number.to_be_bytes());
    LimitKey::new(hash, Some(NetworkTag(network)))
}

/// SEC-API-04: the owner of a network, who has any number of clients, uses up nobody else's quota:
/// the keys of one network share the places that the network gets.
#[test]
fn one_network_cannot_fill_a_table() {
    const SETS: u64 = 8_192;
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limits = ProcessLimits::new(&settings, clock);
    let (policy, quota) = (LimitPolicy::Mail, settings.quota(LimitPolicy::Mail));
    let admitted = |number, network| {
        let ask = |_: &u32| limits.admit(policy, numbered_key(number, network), quota).is_admitted;
        (0..6).filter(ask).count()
    };
    for number in 0..8 * SETS {
        admitted(number, 1);
    }
    // Six others in each of a hundred sets, which is what the network leaves of them.
    for other in 0..600 {
        let number = (100 + other / 100) * SETS + other % 100;
        assert_eq!(admitted(number, 2 + other), 5, "network {other}");
    }
    assert_eq!(admitted(1_000 * SETS, 1), 0, "a further client of the network");
}

/// A key that Redis has refused is refused by the process for exactly as long, and uses up nothing
/// meanwhile; afterwards it is admitted.
#[test]
fn a_process_refuses_for_as_long_as_redis_does() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limits = ProcessLimits::new(&settings, clock.clone());
    let (policy, quota) = (LimitPolicy::Mail, settings.quota(LimitPolicy::Mail));
    let ask = || limits.admit(policy, numbered_key(1, 1), quota);
    assert!(ask().is_admitted);
    // Others have used four of five, and the fifth is free in 120 s.
    let secs = Duration::from_secs;
    limits.learn(policy, numbered_key(1, 1), limits.now(), secs(4 * 720 + 120));
    for left in (1..=120).rev() {
        let refused = ask();
        let told = (refused.is_admitted, refused.retry_after, refused.free_after);
        assert_eq!(told, (false, secs(left), secs(4 * 720 + left)));
        clock.advance(secs(1));
    }
    assert!(ask().is_admitted);
    // What is known already is not forgotten.
    limits.learn(policy, numbered_key(1, 1), limits.now(), secs(1));
    assert!(!ask().is_admitted);
}

/// Of two counts, the one that refuses for longer says when a request would be admitted.
#[test]
fn a_request_waits_for_both_counts() {
    let secs = Duration::from_secs;
    let verdict = |is_admitted, remaining, retry_after, free_after| Verdict {
        is_admitted,
        remaining,
        retry_after: secs(retry_after),
        free_after: secs(free_after),
    };
    let (process, redis) = (verdict(true, 0, 9, 60), verdict(false, 0, 6, 70));
    assert_eq!(process.and(redis), verdict(false, 0, 9, 70));
    assert_eq!(verdict(true, 3, 0, 5).and(verdict(true, 1, 0, 9)), verdict(true, 1, 0, 9));
}

/// One HMAC is computed for what is counted, however many keys the ring has.
#[test]
fn a_count_costs_one_hash() {
    let key = |version: i32| (version, hmac::Key::new(hmac::HMAC_SHA256, &version.to_be_bytes()));
    let keys = FingerprintKeys::new(3, (1..=9).map(key).collect());
    let limiter = RateLimiter::new(&RateLimitSettings::default(), clock(), keys);
    let before = HASHES.get();
    limiter.key(LimitPolicy::Login, &["192.0.2.1", "sarah@gxtest.com"], None);
    assert_eq!(HASHES.get() - before, 1);
}

/// A clock that is set back stops nobody for longer than its quota does.
#[tokio::test]
async fn a_clock_that_is_set_back_refuses_nobody_longer() {
    let (settings, clock) = (RateLimitSettings::default(), clock());
    let limiter = limiter(&settings, &clock);
    assert_eq!(admitted(&limiter, LimitPolicy::Login, "one", 20).await, 10);
    clock.set(datetime!(2026-02-01 12:00:00 UTC));
    assert_eq!(admitted(&limiter, LimitPolicy::Login, "one", 20).await, 0);
    clock.advance(Duration::from_secs(6));
    assert_eq!(admitted(&limiter, LimitPolicy::Login, "one", 20).await, 1);
}

#[test]
fn keys_differ_by_policy_and_by_each_part() {
    let limiter = limiter(&RateLimitSettings::default(), &clock());
    let key = |policy, parts: &[&str]| limiter.key(policy, parts, None);
    let one = key(LimitPolicy::Login, &["192.0.2.1", "sarah@gxtest.com"]);
    assert_eq!(one, key(LimitPolicy::Login, &["192.0.2.1", "sarah@gxtest.com"]));
    assert_ne!(one, key(LimitPolicy::Mail, &["192.0.2.1", "sarah@gxtest.com"]));
    assert_ne!(one, key(LimitPolicy::Login, &["192.0.2.2", "sarah@gxtest.com"]));
    assert_ne!(one, key(LimitPolicy::Login, &["192.0.2.1s", "arah@gxtest.com"]));
}

#[test]
fn quotas_are_requests_and_a_duration() {
    let quota: Quota = " 10 / 1h ".parse().unwrap();
    assert_eq!((quota.requests.get(), quota.window), (10, Duration::from_secs(3_600)));
    assert_eq!(quota.to_string(), "10/3600s");
    for wrong in ["", "10", "0/60s", "10/0s", "-1/60s", "1.5/60s", "2000000/60s", "1/25h", "1/x"] {
        assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
    }
}

/// The defaults are those that the requirements state, on the command line and in code.
#[test]
fn the_defaults_are_the_stated_quotas() {
    let parsed = CommandLine::parse_from(["limits"]).limits;
    let default = RateLimitSettings::default();
    let texts = LimitPolicy::ALL.map(|policy| {
        assert_eq!(parsed.quota(policy), default.quota(policy), "{policy:?}");
        format!("{} {}", policy.name(), default.quota(policy))
    });
    let stated = [
        "login 10/60s",
        "login-client 100/60s",
        "credential-network 1000/60s",
        "register 100/60s",
        "mail 5/3600s",
        "mail-client 30/3600s",
        "mail-network 300/3600s",
        "refresh 600/60s",
        "files 120/3600s",
        "general 1000/60s",
    ];
    assert_eq!(texts, stated);
    assert_eq!(parsed.redis_timeout_ms, default.redis_timeout_ms);
}

/// A URL that cannot be read, and one that asks for TLS, are refused without a word of them.
#[test]
fn a_wrong_redis_url_is_refused_and_not_printed() {
    for wrong in ["redis://:s3cret@host:port/x", "rediss://:s3cret@host/0", "http://s3cret"] {
        let refusal = wrong.parse::<RedisServer>().unwrap_err();
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }
    let server: RedisServer = "redis://:s3cret@127.0.0.1/0".parse().unwrap();
    assert!(!format!("{server:?}").contains("s3cret"), "{server:?}");
}
