//! Dead letters that are tried again, with what was kept of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use dkhost_core::{Batch, DeadLetter, Position, Source};
use expect_test::expect;
use serde_json::json;
use support::{Scratch, show_batch};

/// The refusals of a source as the history keeps them.
fn letters(source: &dyn Source) -> Vec<DeadLetter> {
    let mut letters = Vec::new();
    for partition in source.partitions().unwrap() {
        for batch in support::read(source, &partition, &Position::start()).unwrap() {
            letters.extend(
                batch
                    .rejects
                    .iter()
                    .map(|reject| letter(&batch, reject.source_row)),
            );
        }
    }
    letters
}

fn letter(batch: &Batch, record: u32) -> DeadLetter {
    let payload = batch.source.payload(record as usize);
    DeadLetter {
        job: "job".into(),
        run: "run".into(),
        partition: 0,
        batch: 0,
        row: record,
        source_id: batch.source.id(record as usize),
        locator: batch.source.locator(record as usize),
        kind: batch
            .rejects
            .iter()
            .find(|r| r.source_row == record)
            .unwrap()
            .kind,
        stage: "source".into(),
        column: None,
        code: String::new(),
        message: String::new(),
        plugin_digest: None,
        attempts: 1,
        repeats: None,
        payload_length: payload.bytes.len() as u64,
        payload_sha256: String::new(),
        payload: payload.bytes,
        media: payload.media.into(),
    }
}

#[test]
fn a_document_that_was_corrected_becomes_a_row() {
    let scratch = Scratch::new();
    scratch.write(
        "x.json",
        br#"{"a": {"n": 1}, "b": {"n": }, "c": {"n": oops}}"#,
    );
    let source = scratch.open(json!({"path": "x.json"})).unwrap();
    let mut letters = letters(&*source);
    assert_eq!(letters[0].source_id.as_deref(), Some("b"));
    letters[0].payload = br#"{"n": 2}"#.to_vec();
    letters[0].payload_length = 8;
    expect![[r#"
        {"_id":"b","n":2}
        ! read json::unexpected_character -: 'o' where a value is due, at byte 6 [file x.json, line 1, offset 35] json "{\"n\": oops}"
    "#]].assert_eq(&show_batch(&source.decode(&letters).unwrap()));
}

#[test]
fn a_line_that_was_corrected_becomes_a_row() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"n,s\n1,a\n2,b,c\n3,\"open\n4,\"x\ny\"\n5\n");
    let source = scratch.open(json!({"path": "x.csv"})).unwrap();
    let mut letters = letters(&*source);
    letters[0].payload = b"2,\"b,c\"".to_vec();
    letters[0].payload_length = 7;
    expect![[r#"
        {"n":2,"s":"b,c"}
        ! read csv::text_after_quote -: text follows a closing quote; a quote inside quotes is doubled; the record goes over 2 lines: was a quote on the first never closed? [file x.csv, line 4, offset 14] csv "3,\"open\n4,\"x"
        ! read csv::cell_count -: 1 cell where 2 were expected [file x.csv, line 6, offset 27] csv "y\""
        ! read csv::cell_count -: 1 cell where 2 were expected [file x.csv, line 7, offset 30] csv "5"
    "#]].assert_eq(&show_batch(&source.decode(&letters).unwrap()));
}

#[test]
fn a_payload_that_was_cut_is_no_record() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"{\"n\":1}\n{\"n\"\n");
    let source = scratch.open(json!({"path": "x.jsonl"})).unwrap();
    let mut letters = letters(&*source);
    letters[0].payload = b"{}".to_vec();
    letters[0].payload_length = 300_000;
    expect![[r#"
        ! read file::payload_cut -: only 2 of the record's 300000 bytes were kept; correct it in the source and run the job again [file x.jsonl, line 2, offset 8] json "{}"
    "#]].assert_eq(&show_batch(&source.decode(&letters).unwrap()));
}

#[test]
fn the_id_field_names_a_letter() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"id,n\na,1\nb,x\n");
    scratch.write("x.jsonl", b"{\"id\":7,\"n\":1,\"n\":2}\n{\"id\":8}\n");
    let source = scratch
        .open(json!({"path": "x.jsonl", "id": "id"}))
        .unwrap();
    let letters = letters(&*source);
    assert_eq!(letters[0].source_id.as_deref(), Some("7"));
}
