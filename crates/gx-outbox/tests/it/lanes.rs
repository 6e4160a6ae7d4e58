//! Leases of lanes.

use std::time::Duration;

use gx_db::testing::TestDatabase;
use gx_outbox::submitter::{LANES, lease, lost_lanes, release, renew};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const MINUTE: Duration = Duration::from_secs(60);

/// A submitter that has lost lanes learns which, and who holds them now.
#[tokio::test]
async fn a_lost_lane_is_named_with_its_new_owner() {
    let db = TestDatabase::create().await;
    let mut conn = db.connection().await;
    let all = i64::from(LANES);
    let mut held = lease(&mut conn, "one", all, NOW, NOW + MINUTE).await.unwrap();
    assert_eq!(lost_lanes(&mut conn, &held).await.unwrap(), []);

    let later = NOW + 2 * MINUTE;
    let taken = lease(&mut conn, "two", all, later, later + MINUTE).await.unwrap();
    assert!(!renew(&mut conn, &mut held, later + MINUTE).await.unwrap());
    let lost = lost_lanes(&mut conn, &held).await.unwrap();
    assert_eq!(lost.len(), usize::from(LANES));
    assert!(lost.iter().all(|lost| lost.owner.as_deref() == Some("two")), "{lost:?}");

    release(&mut conn, &taken, later).await.unwrap();
    let lost = lost_lanes(&mut conn, &held).await.unwrap();
    assert!(lost.iter().all(|lost| lost.owner.is_none()), "{lost:?}");
}
