//! Slots and memory, without sockets.

use std::net::{IpAddr, Ipv4Addr};

use super::settings::MIN_CONNECTIONS;
use super::*;

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, last).into()
}

fn admission(connections: u32, client_connections: u32) -> Admission {
    Admission::new(AdmissionSettings {
        connections,
        client_connections,
        bodies_kib: 4,
        client_bodies_kib: 2,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..AdmissionSettings::default()
    })
}

/// Returns the numbers of connections, requests, body bytes and clients in use.
fn in_use(admission: &Admission) -> (usize, usize, usize, usize) {
    let table = admission.table();
    (table.connections.len(), table.requests, table.body_bytes, table.clients.len())
}

fn begin(admission: &Admission, slot: &ConnectionSlot, peer: IpAddr) -> BodyMemoryCounter {
    let client = admission.client(peer);
    let request = slot.activity().begin(false, admission.request(client, slot.activity()).ok());
    BodyMemoryCounter { admission: admission.clone(), client, request }
}

/// RDY-10: one client's connections are limited. A new one takes the slot of the connection that
/// was idle longest, and never of one that works.
#[tokio::test]
async fn a_client_at_its_limit_gives_up_what_it_does_not_use() {
    let admission = admission(100, 2);
    let (one, other) = (admission.slot(v4(1)).await.unwrap(), admission.slot(v4(1)).await);
    let other = other.unwrap();
    let working = begin(&admission, &one, v4(1));
    let third = admission.slot(v4(1)).await.unwrap();
    other.activity().evicted().await;
    let _working = (begin(&admission, &third, v4(1)), working);
    assert!(admission.slot(v4(1)).await.is_none());
    assert!(admission.slot(v4(2)).await.is_some(), "another client has slots of its own");
    drop((one, other));
    assert_eq!(in_use(&admission).0, 1);
}

/// RDY-10: if all slots are taken, the connection that was idle longest loses its slot; if none is
/// idle, a new one waits for the first that ends.
#[tokio::test]
async fn a_full_listener_still_lets_new_clients_in() {
    let admission = admission(2, 2);
    let one = admission.slot(v4(1)).await.unwrap();
    let other = admission.slot(v4(2)).await.unwrap();
    let third = admission.slot(v4(3)).await.unwrap();
    one.activity().evicted().await;
    drop(one);
    let work = [begin(&admission, &other, v4(2)), begin(&admission, &third, v4(3))];
    let waiting = admission.slot(v4(4));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(work);
    assert!(waiting.await.is_some());
}

/// RDY-10: a connection whose request waits for its client loses its slot, too, after idle ones.
#[tokio::test]
async fn a_request_that_waits_for_its_client_makes_room_after_idle_ones() {
    let admission = admission(100, 2);
    let receiving = admission.slot(v4(1)).await.unwrap();
    let request = begin(&admission, &receiving, v4(1));
    let memory = request.open();
    let idle = admission.slot(v4(1)).await.unwrap();
    let third = admission.slot(v4(1)).await.unwrap();
    idle.activity().evicted().await;
    let _third = begin(&admission, &third, v4(1));
    assert!(admission.slot(v4(1)).await.is_some());
    receiving.activity().evicted().await;
    drop((memory, request));
}

/// RDY-10: the time limit of a connection depends on its state; the limit of a head differs from
/// that between two requests, and pings do not count as use.
#[tokio::test]
async fn each_state_of_a_connection_has_its_own_limit() {
    const NONE: Duration = Duration::ZERO;
    const LONG: Duration = Duration::from_secs(3_600);
    let long = ConnectionTimeLimits {
        silence: LONG,
        head: LONG,
        http1_idle: LONG,
        http2_idle: LONG,
        stall: LONG,
        parting: LONG,
    };
    let waits = |look: ConnectionAction| matches!(look, ConnectionAction::WaitUntil(_));
    let (fresh, begun) = (Activity::new(), Activity::new());
    begun.heard(b"GET /");
    let silence = ConnectionTimeLimits { silence: NONE, ..long };
    assert_eq!(fresh.next_action(&silence), ConnectionAction::Silent);
    assert_eq!(begun.next_action(&silence), ConnectionAction::SlowHead);

    let (head, http1) = (
        ConnectionTimeLimits { head: NONE, ..long },
        ConnectionTimeLimits { http1_idle: NONE, ..long },
    );
    let open = begun.begin(false, None);
    assert!(waits(begun.next_action(&http1)), "a request is open");
    drop(open);
    begun.flushed();
    assert!(waits(begun.next_action(&head)), "no head has begun");
    assert_eq!(begun.next_action(&http1), ConnectionAction::Idle);
    begun.heard(b"GET /");
    assert_eq!(begun.next_action(&head), ConnectionAction::SlowHead);

    let http2 = ConnectionTimeLimits { http2_idle: NONE, ..long };
    drop(fresh.begin(true, None));
    fresh.flushed();
    fresh.heard(b"a ping");
    assert!(waits(fresh.next_action(&head)), "frames are no head");
    assert_eq!(fresh.next_action(&http2), ConnectionAction::Idle);
    let open = fresh.begin(true, None);
    assert!(waits(fresh.next_action(&http2)), "a stream is open");
    open.ready();
    assert_eq!(
        fresh.next_action(&ConnectionTimeLimits { stall: NONE, ..long }),
        ConnectionAction::Stalled
    );
    open.taken();
    assert!(
        waits(fresh.next_action(&ConnectionTimeLimits { stall: NONE, ..long })),
        "all was taken"
    );
    fresh.part();
    assert!(waits(fresh.next_action(&ConnectionTimeLimits { parting: NONE, ..long })), "it works");
    drop(open);
    assert_eq!(
        fresh.next_action(&ConnectionTimeLimits { parting: NONE, ..long }),
        ConnectionAction::Overdue
    );
}

/// API-17: bytes of bodies are limited per client and in total, and free again afterwards.
#[tokio::test]
async fn memory_for_bodies_is_bounded_per_client_and_in_total() {
    let admission = admission(100, 10);
    let mut memories = Vec::new();
    for (last, bytes, expected) in [
        (1, 1_500, Ok(())),
        (1, 600, Err(ReachedLimit::Client)),
        (2, 2_048, Ok(())),
        (3, 600, Err(ReachedLimit::Total)),
        (3, 500, Ok(())),
    ] {
        let slot = admission.slot(v4(last)).await.unwrap();
        let mut memory = begin(&admission, &slot, v4(last)).open();
        assert_eq!(memory.grow(bytes), expected, "{last}: {bytes}");
        memories.push((memory, slot));
    }
    assert_eq!(in_use(&admission), (5, 5, 4_048, 3));
    drop(memories);
    assert_eq!(in_use(&admission), (0, 0, 0, 0), "nobody is remembered");
}

/// FILE-01: uploads are limited per client and in total, and free again afterwards. One that waits
/// for its client is no work.
#[tokio::test]
async fn file_01_uploads_at_a_time_are_bounded() {
    let settings = AdmissionSettings {
        uploads: 3,
        client_uploads: 2,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..AdmissionSettings::default()
    };
    let admission = Admission::new(settings);
    let slot = admission.slot(v4(1)).await.unwrap();
    let mut uploads = Vec::new();
    for (last, expected) in [
        (1, None),
        (1, None),
        (1, Some(ReachedLimit::Client)),
        (2, None),
        (3, Some(ReachedLimit::Total)),
    ] {
        let taken = begin(&admission, &slot, v4(last)).open_upload();
        assert_eq!(taken.as_ref().err(), expected.as_ref(), "{last}");
        uploads.extend(taken);
    }
    assert_eq!(admission.in_use().uploads, 3);
    assert!(slot.activity().works());
    uploads.iter().for_each(|upload| upload.set_waiting(true));
    assert!(!slot.activity().works());
    drop(uploads);
    assert_eq!(in_use(&admission), (1, 0, 0, 1));
    assert_eq!(admission.in_use().uploads, 0);
}

/// RDY-10: requests of one client are limited, too, however few connections carry them; a
/// connection whose requests wait for the client makes room for one that works.
#[tokio::test]
async fn requests_at_a_time_are_bounded() {
    let admission = admission(100, 2);
    let (one, other) = (admission.slot(v4(1)).await.unwrap(), admission.slot(v4(1)).await);
    let other = other.unwrap();
    let working = [begin(&admission, &one, v4(1)), begin(&admission, &one, v4(1))];
    let client = admission.client(v4(1));
    let ask = |slot: &ConnectionSlot| admission.request(client, slot.activity());
    assert_eq!(ask(&other).err(), Some(ReachedLimit::Client));
    working.iter().for_each(|memory| memory.request.ready());
    assert_eq!(ask(&one).err(), Some(ReachedLimit::Client), "its own connection is not cut for it");
    let placed = ask(&other);
    assert!(placed.is_ok());
    one.activity().evicted().await;
    drop((working, placed));
    assert!(ask(&other).is_ok());
}

/// RDY-10: a subscriber's IPv6 network is one client; a trusted proxy is no client.
#[test]
fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
    let admission = admission(100, 2);
    let client = |text: &str| admission.client(text.parse().unwrap());
    assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:1"));
    assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    assert_eq!(client("::ffff:203.0.113.1"), client("203.0.113.1"));
    assert_ne!(client("203.0.113.1"), client("203.0.113.2"));
    assert_eq!(client("10.1.2.3"), None);
    assert_eq!(client("::ffff:10.1.2.3"), None);
}

/// RDY-10: trusted proxies have no limit of their own.
#[tokio::test]
async fn a_trusted_proxy_is_limited_in_total_alone() {
    let admission = admission(3, 1);
    let mut slots = Vec::new();
    for _ in 0..3 {
        slots.push(admission.slot("10.0.0.7".parse().unwrap()).await.unwrap());
    }
    assert_eq!(in_use(&admission), (3, 0, 0, 0));
}

#[test]
fn networks_are_read_and_wrong_ones_are_refused() {
    let contains = |network: &str, address: &str| {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    };
    for (network, address, expected) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.7", "10.0.0.7", true),
        ("10.0.0.7", "10.0.0.8", false),
        ("0.0.0.0/0", "1.2.3.4", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "::1", true),
        ("fd00::/8", "fdff::1", true),
    ] {
        assert_eq!(contains(network, address), expected, "{network} {address}");
    }
    for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.1/8", "::/129", "10.0.0.0/"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
    let hint = "10.0.0.1/8".parse::<Network>().unwrap_err();
    assert!(hint.contains("did you mean 10.0.0.0"), "{hint}");
}

#[test]
fn connections_leave_room_for_other_files() {
    let within = |files| AdmissionSettings::default().within(files, 768).connections;
    assert_eq!(within(1_024), 256);
    assert_eq!(within(100), MIN_CONNECTIONS);
    assert_eq!(within(u64::MAX), 4_096);
}
