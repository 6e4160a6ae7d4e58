//! FILE-02: what many uploads side by side cost. A process of its own, because it measures itself.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "it/world.rs"]
#[expect(dead_code, reason = "this test needs a part of the world")]
mod world;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use gx_documents::testing::{png, png_of_chunks};
use gx_documents::{DocumentType, FileClaim};

use crate::world::{World, person, upload};

/// Number of uploads side by side.
const UPLOADS: usize = 100;
/// Size of each, in bytes: a little less than the limit of 10 MiB.
const UPLOAD_BYTES: usize = 10 * 1024 * 1024 - 4_096;
/// Limit of what they may cost, in KiB.
const MAX_GROWTH_KIB: u64 = 64 * 1024;

/// Returns a PNG of this size as it comes over a network: its middle is made while it is sent.
fn large_png() -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    const PIECE: usize = 16 * 1024;
    let still = png(8, 8);
    let padding = UPLOAD_BYTES - still.len();
    let chunk = png_of_chunks(&[(b"teXt", &[])]);
    let begin =
        [&still[..33], &u32::try_from(padding).unwrap().to_be_bytes(), &chunk[12..16]].concat();
    let end = [&[0; 4][..], &still[33..]].concat();
    let pieces = (0..padding.div_ceil(PIECE))
        .map(move |at| Bytes::from(vec![b'x'; PIECE.min(padding - at * PIECE)]));
    let whole = std::iter::once(Bytes::from(begin)).chain(pieces).chain([Bytes::from(end)]);
    futures_util::stream::iter(whole).map(Ok)
}

/// Returns a value of `/proc/self/status`, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// FILE-02: 100 uploads of 10 MiB side by side raise the process by less than 64 MiB.
#[tokio::test]
async fn file_02_a_hundred_uploads_side_by_side_cost_less_than_64_mib() {
    let world = World::new().await;
    let receive = async || {
        let anna = upload(&person("anna"), DocumentType::Passport, FileClaim::default());
        let received = world.documents.receive(world.pool(), anna, large_png()).await.unwrap();
        assert!(received.file.size > 10_000_000);
    };
    receive().await;
    let before = memory("VmRSS");
    let uploads: Vec<_> = (0..UPLOADS).map(|_| Box::pin(receive())).collect();
    futures_util::future::join_all(uploads).await;
    let growth = memory("VmHWM").saturating_sub(before);
    println!("{growth} KiB for {UPLOADS} uploads");
    assert!(growth < MAX_GROWTH_KIB, "{growth} KiB");
    world.wait_until_clean().await;
}
