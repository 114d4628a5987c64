//! Reading objects of two real servers: all of them, exactly those that were listed, or a sentence.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod support;

use dkhost_core::{Class, Position, Source};
use dkhost_drive::{all, lines, read, refused, said, small};
use serde_json::{Value, json};
use support::{BOTH, Bucket, Server, bucket, gzip, open_source, options, source, source_with};

fn line(id: usize) -> Vec<u8> {
    format!("{{\"id\":{id}}}\n").into_bytes()
}

/// The ids of what a source reads, in order.
fn ids(source: &dyn Source) -> Vec<i64> {
    let ids = read(source).into_iter();
    let id = |line: String| serde_json::from_str::<Value>(&line).unwrap()["id"].as_i64();
    ids.map(|line| id(line).unwrap()).collect()
}

/// Code, class and message of what must not work.
fn why<T>(outcome: dkhost_core::Result<T>) -> (String, Class, String) {
    let error = refused(outcome);
    (error.code().to_owned(), error.class(), error.chain())
}

#[test]
fn more_objects_than_a_listing_s_page_are_all_read_in_order() {
    for server in BOTH {
        let bucket = bucket(server);
        for id in 0..1_100 {
            let key = match id % 2 == 0 || id < 1_000 {
                // In folders, one below the other, and beside them.
                true => format!("many/{:02}/{:02}/{id:05}.jsonl", id / 500, id / 100),
                false => format!("many/{:02}/{:02}~{id:05}.jsonl", id / 500, id / 100),
            };
            bucket.put(&key, &line(id));
        }
        bucket.put("other/1.jsonl", b"{\"id\":-1}");
        let source = source(&bucket, json!({"prefix": "many/"})).unwrap();
        let mut expected: Vec<i64> = (0..1_100).collect();
        // `/` comes before `~`.
        expected[1_000..].sort_by_key(|id| id % 2);
        assert_eq!(ids(source.as_ref()), expected, "{server:?}");
        let records = source_with(
            &bucket,
            json!({"prefix": "many", "object": "record"}),
            |_| (),
        );
        // None of them ends in `.json`: there are no records.
        assert_eq!(records.unwrap().estimate().records, Some(0));
    }
}

#[test]
fn keys_may_have_any_character() {
    for server in BOTH {
        let bucket = bucket(server);
        let keys = [
            "a b.jsonl",
            "100%.jsonl",
            "a+b.jsonl",
            "a&b='x\"<>.jsonl",
            "what?#no.jsonl",
            "ünï/日本.jsonl",
            "%2F.jsonl",
            "a\\b.jsonl",
            "semi;colon,.jsonl",
            "~!@$^*()[]{}|.jsonl",
        ];
        for (id, key) in keys.iter().enumerate() {
            bucket.put(&format!("k/{key}"), &line(id));
        }
        let source = source(&bucket, json!({"prefix": "k/"})).unwrap();
        let mut found = ids(source.as_ref());
        found.sort_unstable();
        assert_eq!(
            found,
            (0..keys.len() as i64).collect::<Vec<_>>(),
            "{server:?}"
        );
        let labels: Vec<String> = source
            .partitions()
            .unwrap()
            .into_iter()
            .map(|p| p.label)
            .collect();
        let mut expected: Vec<String> = keys.iter().map(|key| format!("k/{key}")).collect();
        expected.sort();
        assert_eq!(labels, expected, "{server:?}");
    }
}

#[test]
fn what_is_hidden_or_of_no_known_format_is_passed_over() {
    let bucket = bucket(Server::Minio);
    for key in [
        "x/.hidden.jsonl",
        "x/_temporary/1.jsonl",
        "x/readme.txt",
        "x/a.jsonl",
        "x/b/c.jsonl.gz",
    ] {
        let content = match key.ends_with(".gz") {
            true => gzip(&line(2)),
            false => line(1),
        };
        bucket.put(key, &content);
    }
    let open = |prefix: &str| source(&bucket, json!({"prefix": prefix}));
    assert_eq!(ids(open("x/").unwrap().as_ref()), [1, 2]);
    // What the job spells out is meant.
    assert_eq!(ids(open("x/_temporary/").unwrap().as_ref()), [1]);
    let (code, class, _) = why(open("nothing/"));
    assert_eq!((code.as_str(), class), ("s3::no_objects", Class::Config));
    let (code, ..) = why(open("x/readme"));
    assert_eq!(code, "s3::no_objects");
}

#[test]
fn an_object_written_anew_or_removed_since_the_listing_is_not_read() {
    for server in BOTH {
        let bucket = bucket(server);
        bucket.put("a.jsonl", &line(1));
        bucket.put("b.jsonl", &line(2));
        let source = source(&bucket, json!({})).unwrap();
        let partitions = source.partitions().unwrap();
        bucket.put("a.jsonl", &line(7));
        bucket.delete("b.jsonl");
        for partition in &partitions {
            let read = source
                .read(partition, &Position::start())
                .and_then(|mut reader| reader.next());
            assert_eq!(
                why(read).0,
                "source::changed",
                "{server:?} {}",
                partition.label
            );
        }
    }
}

#[test]
fn a_bucket_with_versions_gives_the_one_that_was_listed_or_refuses() {
    for server in BOTH {
        let bucket = bucket(server);
        bucket.keep_versions();
        bucket.put("a.jsonl", &line(1));
        bucket.put("a.jsonl", &line(2));
        // What is left of it is a mark that it was removed.
        bucket.put("gone.jsonl", &line(3));
        bucket.delete("gone.jsonl");
        let source = source(&bucket, json!({})).unwrap();
        assert_eq!(ids(source.as_ref()), [2], "{server:?}");
        let read = || {
            let partition = source.partitions().unwrap().remove(0);
            let reader = source.read(&partition, &Position::start());
            why(reader.and_then(|mut reader| reader.next())).0
        };
        bucket.put("a.jsonl", &line(4));
        assert_eq!(read(), "source::changed", "{server:?}");
        bucket.delete("a.jsonl");
        assert_eq!(read(), "source::changed", "{server:?}");
    }
}

#[test]
fn records_in_a_bucket_with_versions_are_those_that_are_there_now() {
    for server in BOTH {
        let bucket = bucket(server);
        bucket.keep_versions();
        for (key, body) in [("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")] {
            bucket.put(
                &format!("r/{key}.json"),
                format!("{{\"n\":{body}}}").as_bytes(),
            );
        }
        bucket.delete("r/b.json");
        let more = json!({"prefix": "r/", "object": "record"});
        let source = source_with(&bucket, more, |open| open.repeatable = true).unwrap();
        // Removed since it was listed: passed over, as the target can be told again.
        bucket.delete("r/c.json");
        assert_eq!(
            read(source.as_ref()),
            ["{\"_id\":\"a\",\"n\":2}"],
            "{server:?}"
        );
    }
}

#[test]
fn an_object_written_anew_while_it_is_read_is_not_mixed_with_the_new_one() {
    for server in BOTH {
        let bucket = bucket(server);
        let content: Vec<u8> = (0..300_000).flat_map(line).collect();
        bucket.put("a.jsonl", &content);
        let source = source(&bucket, json!({})).unwrap();
        let partition = source.partitions().unwrap().remove(0);
        let mut reader = source.read(&partition, &Position::start()).unwrap();
        assert!(reader.next().unwrap().is_some());
        let other: Vec<u8> = (0..300_000).flat_map(|id| line(id + 1)).collect();
        bucket.put("a.jsonl", &other);
        let end = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{server:?}: read to the end"),
                Err(error) => break error,
            }
        };
        assert_eq!(end.code(), "source::changed", "{server:?}");
    }
}

#[test]
fn a_large_compressed_object_is_taken_up_at_every_batch() {
    let bucket = bucket(Server::Versity);
    let content: Vec<u8> = (0..30_000).flat_map(line).collect();
    bucket.put("a.jsonl.gz", &gzip(&content));
    let open = || source_with(&bucket, json!({}), |open| open.batch = small(7_000)).unwrap();
    let (source, later) = (open(), open());
    let partition = source.partitions().unwrap().remove(0);
    assert_eq!(
        source
            .fingerprint(std::slice::from_ref(&partition))
            .unwrap(),
        later.fingerprint(std::slice::from_ref(&partition)).unwrap()
    );
    let batches = all(source.as_ref());
    for (at, batch) in batches.iter().enumerate() {
        let mut reader = later.read(&partition, &batch.until).unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
        assert_eq!(said(&rest), said(&batches[at + 1..]), "after batch {at}");
    }
}

#[test]
fn what_is_wrong_with_the_way_there_is_said() {
    for server in BOTH {
        let bucket = bucket(server);
        bucket.put("a.jsonl", &line(1));
        let with = |key: &str, value: &str| {
            let mut options = options(&bucket, json!({}));
            options[key] = value.into();
            let error = refused(open_source(options, |_| ()));
            let help = error.help_text().unwrap_or_default().to_owned();
            (error.code(), error.class(), help)
        };
        let (code, class, help) = with("bucket", "no-such-bucket");
        assert_eq!(
            (code, class),
            ("s3::no_bucket", Class::Config),
            "{server:?}"
        );
        assert!(help.contains("`no-such-bucket`"), "{help}");
        let (code, class, _) = with("secret_access_key", "wrong");
        assert_eq!((code, class), ("s3::denied", Class::Config), "{server:?}");
        let (code, class, help) = with("access_key_id", "nobody");
        assert_eq!(
            (code, class),
            ("s3::denied", Class::Config),
            "{server:?} {help}"
        );
        let (code, class, help) = with("region", "eu-central-1");
        assert_eq!(
            (code, class),
            ("s3::wrong_region", Class::Config),
            "{server:?} {help}"
        );
        let (code, class, help) = with("endpoint", "http://127.0.0.1:1");
        assert_eq!((code, class), ("s3::unreachable", Class::Transient));
        assert!(help.contains("`http://127.0.0.1:1`"), "{help}");
        let (code, class, _) = with("endpoint", "127.0.0.1:1");
        assert_eq!((code, class), ("s3::bad_endpoint", Class::Config));
    }
}

#[test]
fn no_error_shows_a_secret() {
    let bucket = bucket(Server::Minio);
    let mut options = options(&bucket, json!({}));
    options["secret_access_key"] = "sesame-open".into();
    let error = refused(open_source(options, |_| ()));
    let shown = format!("{error:?} {} {:?}", error.chain(), error.help_text());
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn who_asks_is_said_once() {
    let with = |more: Value| {
        let mut options = json!({"bucket": "b", "endpoint": "http://127.0.0.1:1"});
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        why(open_source(options, |_| ())).0
    };
    let keys = json!({"access_key_id": "x", "secret_access_key": "y", "profile": "p"});
    assert_eq!(with(keys), "s3::two_names");
    assert_eq!(
        with(json!({"anonymous": true, "profile": "p"})),
        "s3::two_names"
    );
    assert_eq!(
        with(json!({"anonymous": false, "profile": "nowhere-to-be-found"})),
        "s3::no_credentials"
    );
}

#[test]
fn half_of_a_name_and_secret_is_a_mistake() {
    for half in ["access_key_id", "secret_access_key", "session_token"] {
        let mut options = json!({"bucket": "b", "endpoint": "http://127.0.0.1:1"});
        options[half] = "x".into();
        assert_eq!(why(open_source(options, |_| ())).0, "s3::half_credentials");
    }
}

/// Records `a0` to `a(count - 1)`.
fn with_records(server: Server, count: usize) -> Bucket {
    let bucket = bucket(server);
    for id in 0..count {
        bucket.put(
            &format!("r/a{id:03}.json"),
            format!("{{\"n\":{id}}}").as_bytes(),
        );
    }
    bucket
}

#[test]
fn records_are_read_once_each_in_any_number_of_partitions() {
    for server in BOTH {
        let bucket = with_records(server, 50);
        for partitions in [1, 3, 50, 80] {
            let source = source_with(
                &bucket,
                json!({"prefix": "r", "object": "record"}),
                |open| {
                    open.partitions = partitions;
                    open.batch = small(7);
                },
            );
            let source = source.unwrap();
            assert_eq!(source.partitions().unwrap().len(), partitions.min(50));
            let found = read(source.as_ref());
            let expected: Vec<String> = (0..50)
                .map(|id| format!("{{\"_id\":\"a{id:03}\",\"n\":{id}}}"))
                .collect();
            assert_eq!(found, expected, "{server:?} {partitions}");
        }
    }
}

#[test]
fn a_record_written_anew_is_refused_unless_the_target_takes_it_twice() {
    let bucket = with_records(Server::Minio, 3);
    let open = |repeatable: bool| {
        source_with(
            &bucket,
            json!({"prefix": "r/", "object": "record"}),
            |open| {
                open.repeatable = repeatable;
            },
        )
        .unwrap()
    };
    let (strict, loose) = (open(false), open(true));
    let before = loose.fingerprint(&loose.partitions().unwrap()).unwrap();
    bucket.put("r/a001.json", b"{\"n\":100}");
    bucket.delete("r/a002.json");
    let partition = strict.partitions().unwrap().remove(0);
    let read_strict = strict
        .read(&partition, &Position::start())
        .and_then(|mut r| r.next());
    assert_eq!(why(read_strict).0, "source::changed");
    let found = &all(loose.as_ref())[0];
    assert_eq!(
        lines(&found.records),
        ["{\"_id\":\"a000\",\"n\":0}", "{\"_id\":\"a001\",\"n\":100}"]
    );
    assert_eq!(
        open(true)
            .fingerprint(&loose.partitions().unwrap())
            .unwrap(),
        before
    );
    let strict_now = open(false);
    assert_ne!(
        strict_now
            .fingerprint(&strict.partitions().unwrap())
            .unwrap(),
        strict.fingerprint(&strict.partitions().unwrap()).unwrap()
    );
}
