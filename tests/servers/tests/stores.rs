//! What tests with S3 rely on: a bucket of their own, servers that obey, and nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use dkhost_servers::{Ask, Bucket, Stop, Store};
use support::runs;

/// Both servers, by the functions that start one alone.
const STORES: [fn() -> Result<Store, String>; 2] = [Store::minio, Store::versitygw];

fn status(bucket: &Bucket, method: &str, ask: Ask<'_>) -> u16 {
    bucket.ask(method, ask).unwrap().status
}

#[test]
fn each_bucket_is_fresh_and_goes_with_everything_in_it() {
    for fresh in [
        dkhost_servers::s3,
        dkhost_servers::minio,
        dkhost_servers::versitygw,
    ] {
        let (first, second) = (fresh(), fresh());
        assert_ne!(first.name, second.name);
        first.put("folder/with a space+ä&.txt", b"one");
        first.put("other", b"");
        assert_eq!(first.get("folder/with a space+ä&.txt"), b"one");
        assert_eq!(first.keys("folder/"), ["folder/with a space+ä&.txt"]);
        assert_eq!(first.keys("").len(), 2);
        assert!(first.has("other") && !second.has("other"));
        assert_eq!(second.keys(""), Vec::<String>::new());
        first.keep_versions();
        first.put("other", b"newer");
        first.delete("other");
        assert!(!first.has("other"));
        let upload = Ask {
            key: "large",
            query: &[("uploads", "")],
            ..Ask::default()
        };
        assert_eq!(status(&first, "POST", upload), 200);
        let gone = Bucket {
            s3: first.s3.clone(),
            name: first.name.clone(),
        };
        drop(first);
        assert_eq!(status(&gone, "HEAD", Ask::default()), 404);
        assert_eq!(status(&second, "HEAD", Ask::default()), 200);
    }
}

#[test]
fn a_list_of_more_than_one_page_is_whole() {
    let bucket = dkhost_servers::versitygw();
    let keys: Vec<String> = (0..1100).map(|i| format!("k{i:04}")).collect();
    for key in &keys {
        bucket.put(key, b"");
    }
    assert_eq!(bucket.keys(""), keys);
}

#[test]
fn uploads_that_were_begun_are_listed() {
    let bucket = dkhost_servers::versitygw();
    let upload = Ask {
        key: "a b",
        query: &[("uploads", "")],
        ..Ask::default()
    };
    assert_eq!(status(&bucket, "POST", upload), 200);
    let uploads = bucket.uploads();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].0, "a b");
}

#[test]
fn who_has_another_key_is_refused() {
    for start in STORES {
        let store = start().unwrap();
        let mut other = store.s3();
        other.secret_key.push('x');
        let why = other.bucket().unwrap_err();
        assert!(why.contains("SignatureDoesNotMatch"), "{why}");
    }
}

#[test]
fn a_store_that_was_killed_comes_back_with_what_it_had() {
    for start in STORES {
        let mut store = start().unwrap();
        let (port, bucket) = (store.process.port(), store.bucket().unwrap());
        for (how, content) in [(Stop::Immediate, "one"), (Stop::Fast, "two")] {
            bucket.put("key", content.as_bytes());
            store.process.stop(how).unwrap();
            let get = Ask {
                key: "key",
                ..Ask::default()
            };
            assert!(bucket.ask("GET", get).is_err());
            store.process.start_again().unwrap();
            assert_eq!(store.process.port(), port);
            assert_eq!(bucket.get("key"), content.as_bytes());
        }
    }
}

#[test]
fn a_paused_store_answers_when_it_is_resumed() {
    for start in STORES {
        let mut store = start().unwrap();
        let s3 = store.s3();
        store.process.pause();
        let (sender, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(s3.bucket().map(drop)));
        let half_a_second = std::time::Duration::from_millis(500);
        assert!(answers.recv_timeout(half_a_second).is_err());
        store.process.resume();
        answers.recv().unwrap().unwrap();
    }
}

#[test]
fn nothing_stays_of_a_store_that_is_dropped() {
    for start in STORES {
        let mut store = start().unwrap();
        let pid = store.process.pid().unwrap();
        let folder = store.process.folder().to_owned();
        // One that hangs goes too.
        store.process.pause();
        drop(store);
        assert!(!runs(pid) && !folder.exists());
    }
}

#[test]
fn minio_goes_when_the_process_is_killed() {
    support::goes_with_its_process("minio_goes_when_the_process_is_killed", || {
        noted(Store::minio())
    });
}

#[test]
fn versitygw_goes_when_the_process_is_killed() {
    support::goes_with_its_process("versitygw_goes_when_the_process_is_killed", || {
        noted(Store::versitygw())
    });
}

fn noted(store: Result<Store, String>) -> (Store, u32, String) {
    let store = store.unwrap();
    let pid = store.process.pid().unwrap();
    let folder = store.process.folder().display().to_string();
    (store, pid, folder)
}
