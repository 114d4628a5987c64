//! Every position a batch ends at is one to go on from, in every format and compression; and a
//! file that is no longer the same one is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::{BatchSize, OpenSource, Position};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use support::{Scratch, gzip, read, zstd};

/// The same records whole and from every position, for some batch sizes.
fn check(name: &str, content: &[u8], options: Value, records: usize) {
    let scratch = Scratch::new();
    scratch.write(name, content);
    let mut options = options;
    options["path"] = json!(name);
    let mut before: Option<String> = None;
    for rows in [1, 3, 7, 1000] {
        let all = scratch.check_resume(options.clone(), rows).concat();
        assert_eq!(all.lines().count(), records, "{name} in batches of {rows}");
        if let Some(before) = before.replace(all.clone()) {
            assert_eq!(before, all, "{name} in batches of {rows}");
        }
    }
}

fn each_compression(name: &str, content: &[u8], options: Value, records: usize) {
    let third = content.len() / 3;
    let (first, second) = content.split_at(third);
    check(name, content, options.clone(), records);
    let members = [gzip(first), gzip(second)].concat();
    check(&format!("{name}.gz"), &members, options.clone(), records);
    let frames = [zstd(first), zstd(second)].concat();
    check(&format!("{name}.zst"), &frames, options, records);
}

#[test]
fn in_json_lines() {
    let mut content: Vec<u8> = (0..40)
        .flat_map(|i| format!("{{\"n\":{i}}}\n\n").into_bytes())
        .collect();
    content.extend_from_slice(b"{bad\n{\"n\": \"last\"}");
    each_compression("x.jsonl", &content, json!({}), 42);
}

#[test]
fn in_a_json_array() {
    let records: Vec<String> = (0..40)
        .map(|i| format!("{{\"n\": {i},\n \"s\": \"]\\\"{i}\"}}"))
        .collect();
    let content = format!("[\n{}\n]\n", records.join(" ,\n"));
    each_compression("x.json", content.as_bytes(), json!({}), 40);
}

#[test]
fn in_a_json_object_below_a_pointer() {
    let records: Vec<String> = (0..40)
        .map(|i| format!("\"k{i}\": {{\"n\": {i}}}"))
        .collect();
    let content = format!(
        "{{\"skip\": [1], \"in\": [{{\"a\": {{{}}}, \"z\": 0}}]}}",
        records.join(",")
    );
    each_compression(
        "x.json",
        content.as_bytes(),
        json!({"records": "/in/0/a"}),
        40,
    );
}

#[test]
fn in_separated_values() {
    let mut content = b"\xef\xbb\xbfn,s\r\n".to_vec();
    for i in 0..40 {
        content.extend_from_slice(format!("{i},\"a\n\"\"{i}\"\"\"\r\n\r\n").as_bytes());
    }
    content.extend_from_slice(b"1,2,3\r\n7,\"open\r\n8,last");
    each_compression("x.csv", &content, json!({}), 43);
}

fn batch(from: i64, to: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        (from..to).map(|i| format!("text {i}")),
    ));
    RecordBatch::try_from_iter([("n", numbers), ("s", texts)]).unwrap()
}

fn parquet_of(groups: usize) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch(0, 0).schema(), Some(properties)).unwrap();
    writer.write(&batch(0, groups as i64 * 10)).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn in_parquet() {
    check("x.parquet", &parquet_of(4), json!({}), 40);
}

#[test]
fn in_an_arrow_file_and_stream() {
    let schema = batch(0, 0).schema();
    let mut file = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &schema).unwrap();
    let mut stream = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &schema).unwrap();
    for part in [batch(0, 15), batch(15, 15), batch(15, 40)] {
        file.write(&part).unwrap();
        stream.write(&part).unwrap();
    }
    check("x.arrow", &file.into_inner().unwrap(), json!({}), 40);
    check("x.ipc", &stream.into_inner().unwrap(), json!({}), 40);
}

#[test]
fn row_groups_are_partitions_when_several_are_wanted() {
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet_of(4));
    let open = OpenSource {
        partitions: 3,
        ..OpenSource::default()
    };
    let source = scratch
        .open_with(json!({"path": "x.parquet"}), open)
        .unwrap();
    let partitions = source.partitions().unwrap();
    let labels: Vec<&str> = partitions.iter().map(|p| p.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "x.parquet row groups 0 to 0",
            "x.parquet row groups 1 to 1",
            "x.parquet row groups from 2"
        ]
    );
    let rows = |partition| {
        let batches = read(&*source, partition, &Position::start()).unwrap();
        let place = batches[0].source.locator(0).to_string();
        (
            place,
            batches
                .iter()
                .map(|batch| batch.records.num_rows())
                .sum::<usize>(),
        )
    };
    assert_eq!(
        rows(&partitions[0]),
        ("file x.parquet, row 0".to_owned(), 10)
    );
    assert_eq!(
        rows(&partitions[2]),
        ("file x.parquet, row 20".to_owned(), 20)
    );
}

#[test]
fn a_large_file_of_lines_is_read_in_slices() {
    let scratch = Scratch::new();
    let line = format!("{{\"s\":\"{}\"}}\n", "x".repeat(1 << 20));
    scratch.write("x.jsonl", line.repeat(70).as_bytes());
    let open = OpenSource {
        partitions: 4,
        ..OpenSource::default()
    };
    let source = scratch
        .open_with(json!({"path": "x.jsonl", "infer": 1}), open)
        .unwrap();
    let partitions = source.partitions().unwrap();
    // Below 32 MiB a slice is not worth a partition.
    assert_eq!(partitions.len(), 2);
    let mut offsets = Vec::new();
    for partition in &partitions {
        let batches = read(&*source, partition, &Position::start()).unwrap();
        for batch in &batches {
            offsets.extend(
                (0..batch.source.len())
                    .map(|row| batch.source.locator(row).0["offset"].as_u64().unwrap()),
            );
        }
        let last = &batches[batches.len() - 1];
        assert!(read(&*source, partition, &last.until).unwrap().is_empty());
        let first = &batches[0];
        assert_eq!(
            read(&*source, partition, &first.until).unwrap().len(),
            batches.len() - 1
        );
    }
    let expected: Vec<u64> = (0..70).map(|i| i * line.len() as u64).collect();
    assert_eq!(offsets, expected);
}

#[test]
fn a_batch_is_bounded_by_bytes_before_rows() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", "{\"n\":1}\n".repeat(10).as_bytes());
    scratch.write("y.csv", format!("n\n{}", "1234567\n".repeat(10)).as_bytes());
    scratch.write(
        "z.json",
        format!("[{}]", ["{\"n\":1}"; 10].join(",")).as_bytes(),
    );
    for name in ["x.jsonl", "y.csv", "z.json"] {
        let sizes = |bytes| -> Vec<usize> {
            let open = OpenSource {
                batch: BatchSize { rows: 4, bytes },
                ..OpenSource::default()
            };
            let source = scratch.open_with(json!({"path": name}), open).unwrap();
            let partition = &source.partitions().unwrap()[0];
            let batches = read(&*source, partition, &Position::start()).unwrap();
            batches.iter().map(|batch| batch.source.len()).collect()
        };
        assert_eq!(sizes(1 << 20), [4, 4, 2], "{name}");
        assert_eq!(sizes(17), [2; 5], "{name}");
        // A batch holds at least one record, however long.
        assert_eq!(sizes(1), [1; 10], "{name}");
    }
}

/// Reads one batch, changes the file, and tries to go on.
fn changed(change: impl FnOnce(&Scratch)) -> String {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", "{\"n\":1}\n".repeat(20).as_bytes());
    let open = || OpenSource {
        batch: BatchSize {
            rows: 5,
            bytes: 1 << 20,
        },
        ..OpenSource::default()
    };
    let source = scratch
        .open_with(json!({"path": "x.jsonl"}), open())
        .unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let until = source
        .read(&partition, &Position::start())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .until;
    let fingerprint = source.fingerprint(&source.partitions().unwrap()).unwrap();
    change(&scratch);
    // By the process that was interrupted, and by the next one.
    let same = read(&*source, &partition, &until).map(|batches| batches.len());
    let source = scratch
        .open_with(json!({"path": "x.jsonl"}), open())
        .unwrap();
    let next = read(&*source, &partition, &until).map(|batches| batches.len());
    assert_eq!(
        fingerprint == source.fingerprint(&source.partitions().unwrap()).unwrap(),
        next.is_ok()
    );
    match (same, next) {
        (Ok(same), Ok(next)) => format!("{same} {next}"),
        (Err(same), Err(next)) => {
            assert_eq!(
                (same.code(), same.to_string()),
                (next.code(), next.to_string())
            );
            format!("{} {same}", same.code())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_file_is_refused() {
    assert_eq!(changed(|_| ()), "3 3");
    let longer = changed(|s| s.write("x.jsonl", "{\"n\":1}\n".repeat(21).as_bytes()));
    assert_eq!(
        longer,
        "source::changed `x.jsonl` is no longer the file this run began to read: it had 160 bytes and has 168 now"
    );
    let other = changed(|s| s.write("x.jsonl", "{\"n\":2}\n".repeat(20).as_bytes()));
    assert!(other.ends_with("its first bytes are others now"), "{other}");
    let copy = changed(|s| {
        s.write("y.jsonl", "{\"n\":1}\n".repeat(20).as_bytes());
        std::fs::rename(s.path("y.jsonl"), s.path("x.jsonl")).unwrap();
    });
    assert!(copy.ends_with("it was replaced by another file"), "{copy}");
    let touched = changed(|s| {
        let file = std::fs::File::options()
            .append(true)
            .open(s.path("x.jsonl"))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    assert!(touched.ends_with("it was written to since"), "{touched}");
}

#[test]
fn a_file_that_a_glob_found_later_is_not_read() {
    let scratch = Scratch::new();
    scratch.write("b.jsonl", b"{\"n\":2}\n");
    let options = json!({"path": "*.jsonl"});
    let partitions = scratch.open(options.clone()).unwrap().partitions().unwrap();
    scratch.write("a.jsonl", b"{\"n\":1}\n");
    let source = scratch.open(options).unwrap();
    let batches = read(&*source, &partitions[0], &Position::start()).unwrap();
    assert_eq!(support::show_batch(&batches[0]), "{\"n\":2}\n");
}

#[test]
fn a_position_of_something_else_is_refused() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"{\"n\":1}\n");
    let source = scratch.open(json!({"path": "x.jsonl"})).unwrap();
    let partition = source.partitions().unwrap().remove(0);
    let error = source
        .read(&partition, &Position(json!({"rowid": 7})))
        .err()
        .unwrap();
    assert_eq!(error.code(), "file::bad_position");
}

#[test]
fn bytes_taken_add_up_to_the_file() {
    let scratch = Scratch::new();
    let content = "{\"n\":1}\n".repeat(1000);
    scratch.write("x.jsonl", content.as_bytes());
    scratch.write("x.jsonl.gz", &gzip(content.as_bytes()));
    for name in ["x.jsonl", "x.jsonl.gz"] {
        let source = scratch.open(json!({"path": name})).unwrap();
        let partition = source.partitions().unwrap().remove(0);
        let batches = read(&*source, &partition, &Position::start()).unwrap();
        let taken: u64 = batches.iter().map(|batch| batch.source_bytes).sum();
        assert_eq!(Some(taken), source.estimate().bytes, "{name}");
    }
}
