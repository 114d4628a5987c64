//! How much is held while many small objects are read: about what they hold, and no more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]
#![allow(unsafe_code, reason = "it counts what is allocated")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use dkhost_core::Position;
use dkhost_fake_s3::Fake;
use serde_json::json;
use support::open_source;

/// Bytes that are allocated now.
static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is the system's own; counting touches no memory that is given out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_batch_of_small_objects_holds_their_bytes_and_not_the_connections_buffers() {
    let fake = Fake::start();
    for id in 0..8_000 {
        fake.put(
            &format!("r/{id}.json"),
            format!("{{\"n\":{id}}}").as_bytes(),
        );
    }
    let options = json!({
        "bucket": "any", "prefix": "r/", "object": "record", "endpoint": fake.endpoint(),
        "access_key_id": Fake::ACCESS_KEY, "secret_access_key": Fake::SECRET_KEY,
    });
    let source = open_source(options, |open| open.batch.rows = 8_000).unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.read(&partition, &Position::start()).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    let batch = reader.next().unwrap().unwrap();
    let held = HELD.load(Ordering::Relaxed).saturating_sub(before);
    assert_eq!(batch.records.num_rows(), 8_000);
    assert!(held < 12 << 20, "{} KiB for 8,000 records", held >> 10);
}
