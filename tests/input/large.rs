//! Inputs larger than memory is allowed to become: made on the fly, streamed, never kept.

use std::io::{BufWriter, Write};

use expect_test::{Expect, expect};

use crate::world::{Seen, World};

/// Writes `count` times `piece`, in large parts.
fn repeat(out: &mut impl Write, piece: &[u8], count: usize) {
    let part = piece.repeat((1 << 20) / piece.len());
    let per_part = part.len() / piece.len();
    for _ in 0..count / per_part {
        out.write_all(&part).unwrap();
    }
    out.write_all(&piece.repeat(count % per_part)).unwrap();
}

fn plain(input: &str, fill: impl FnOnce(&mut dyn Write)) -> Seen {
    let world = World::new(input, "");
    let mut out = BufWriter::new(world.create());
    fill(&mut out);
    out.flush().unwrap();
    world.run()
}

fn zstd(input: &str, fill: impl FnOnce(&mut dyn Write)) -> Seen {
    let world = World::new(input, "");
    let mut out = zstd::Encoder::new(world.create(), 1).unwrap();
    fill(&mut out);
    out.finish().unwrap();
    world.run()
}

fn gzip(input: &str, fill: impl FnOnce(&mut dyn Write)) -> Seen {
    let world = World::new(input, "");
    let mut out = flate2::write::GzEncoder::new(world.create(), flate2::Compression::fast());
    fill(&mut out);
    out.finish().unwrap();
    world.run()
}

fn check(seen: &Seen, expected: Expect) {
    expected.assert_eq(&seen.lines());
}

/// The same, and the 128 MiB it was given were never held.
fn check_not_held(seen: &Seen, expected: Expect) {
    assert!(seen.memory < 100 << 20, "{} MiB", seen.memory >> 20);
    check(seen, expected);
}

#[test]
fn a_line_of_300_mb_stops_with_its_place() {
    let seen = zstd("in.jsonl.zst", |mut out| {
        out.write_all(b"{\"a\":1}\n{\"a\":\"").unwrap();
        repeat(&mut out, b"x", 300_000_000);
        out.write_all(b"\"}\n{\"a\":2}\n").unwrap();
    });
    check(
        &seen,
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 2 of `in.jsonl.zst` (byte 8) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
}

#[test]
fn a_record_of_300_mb_in_an_array_stops_with_its_place() {
    let seen = zstd("in.json.zst", |mut out| {
        out.write_all(b"[{\"a\":1},\n{\"a\":\"").unwrap();
        repeat(&mut out, b"x", 300_000_000);
        out.write_all(b"\"},{\"a\":2}]").unwrap();
    });
    check(
        &seen,
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 2 of `in.json.zst` (byte 10) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
}

#[test]
fn a_quote_never_closed_in_300_mb_takes_its_own_line_only() {
    let seen = zstd("in.csv.zst", |mut out| {
        out.write_all(b"id,name\n1,\"Ada\n").unwrap();
        repeat(
            &mut out,
            format!("2,{}\n", "x".repeat(1000)).as_bytes(),
            300_000,
        );
    });
    assert_eq!(seen.count, 300_000);
    check(
        &Seen {
            written: Vec::new(),
            ..seen
        },
        expect![[r#"
            exit 3
            refused line 2, offset 8 csv::unclosed_quote
              a quote is opened on this line and never closed
              6 bytes: "1,\"Ada"
        "#]],
    );
}

#[test]
fn a_cell_of_300_mb_stops_with_its_place() {
    let seen = zstd("in.csv.zst", |mut out| {
        out.write_all(b"id,name\n1,Ada\n2,").unwrap();
        repeat(&mut out, b"x", 300_000_000);
        out.write_all(b"\n").unwrap();
    });
    check(
        &seen,
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 3 of `in.csv.zst` (byte 14) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
}

#[test]
fn a_gigabyte_of_zeros_in_a_megabyte_stops() {
    let zeros = |mut out: &mut dyn Write| repeat(&mut out, b"\0", 1 << 30);
    check(
        &gzip("in.jsonl.gz", zeros),
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 1 of `in.jsonl.gz` (byte 0) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
    check(
        &zstd("in.csv.zst", zeros),
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 1 of `in.csv.zst` (byte 0) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
}

#[test]
fn a_gigabyte_of_brackets_stops() {
    let seen = zstd("in.json.zst", |mut out| repeat(&mut out, b"[", 1 << 30));
    check(
        &seen,
        expect![[r#"
        exit 4
        stopped file::record_too_long: the record at line 1 of `in.json.zst` (byte 1) is longer than 64 MiB
          help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]],
    );
}

#[test]
fn blanks_beyond_the_limit_are_not_held() {
    let kib = [b" ".repeat(1023), b"\n".to_vec()].concat();
    let blanks = |mut out: &mut dyn Write| repeat(&mut out, &kib, 128 << 10);
    check_not_held(
        &zstd("in.json.zst", blanks),
        expect![[r#"
        exit 4
        stopped file::empty: `in.json.zst` is empty, which is not JSON
          help: a JSON file without records is `[]`; was this one written completely?
    "#]],
    );
    let between = |out: &mut dyn Write| {
        out.write_all(b"[{\"a\":1},").unwrap();
        blanks(out);
        out.write_all(b"{\"a\":2}]").unwrap();
    };
    check(
        &zstd("in.json.zst", between),
        expect![[r#"
        exit 4
        stopped file::json_syntax: more than 64 MiB of white space follow line 1 of `in.json.zst`
          help: was the file written completely? write it again without them
    "#]],
    );
    let lines = |out: &mut dyn Write| {
        out.write_all(b"{\"a\":1}\n").unwrap();
        blanks(out);
        out.write_all(b"{\"a\":2}\n").unwrap();
    };
    check_not_held(
        &zstd("in.jsonl.zst", lines),
        expect![[r#"
        exit 0
        written {"a":1}
        written {"a":2}
    "#]],
    );
}

#[test]
fn blank_lines_of_a_table_are_not_held() {
    let seen = zstd("in.csv.zst", |mut out| {
        out.write_all(b"id,name\n1,Ada\n").unwrap();
        repeat(&mut out, b"\n", 128 << 20);
        out.write_all(b"2,Alan\n").unwrap();
        repeat(&mut out, b"\n", 10);
    });
    check_not_held(
        &seen,
        expect![[r#"
        exit 0
        written {"id":1,"name":"Ada"}
        written {"id":2,"name":"Alan"}
    "#]],
    );
}

#[test]
fn a_line_just_below_the_limit_is_written() {
    let seen = zstd("in.jsonl.zst", |mut out| {
        out.write_all(b"{\"a\":\"").unwrap();
        repeat(&mut out, b"x", (64 << 20) - 100);
        out.write_all(b"\"}\n{\"a\":2}\n").unwrap();
    });
    check(
        &Seen {
            written: seen.written[1..].to_vec(),
            ..seen
        },
        expect![[r#"
            exit 0
            written {"a":2}
        "#]],
    );
}

#[test]
fn a_record_of_100_000_keys_is_written() {
    let seen = plain("in.jsonl", |out| {
        for record in 0..3 {
            let keys: Vec<String> = (0..100_000)
                .map(|key| format!("\"k{key}\":{record}"))
                .collect();
            writeln!(out, "{{{}}}", keys.join(",")).unwrap();
        }
    });
    assert_eq!(seen.count, 3);
    check(
        &Seen {
            written: Vec::new(),
            ..seen
        },
        expect![[r#"
            exit 0
        "#]],
    );
}

#[test]
fn records_that_each_bring_new_keys_are_written() {
    let seen = plain("in.jsonl", |out| {
        for record in 0..3_000 {
            writeln!(out, "{{\"id\":{record},\"k{record}\":1,\"l{record}\":2}}").unwrap();
        }
    });
    assert_eq!(seen.count, 3_000);
    check(
        &Seen {
            written: Vec::new(),
            ..seen
        },
        expect![[r#"
            exit 0
        "#]],
    );
}
