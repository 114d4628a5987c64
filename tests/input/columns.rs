//! Parquet and Arrow: cut off, other ends, sizes nobody has, changed bits.
//!
//! Neither has checksums a writer must use: a changed bit inside a value is another value. What is
//! looked at is that every change ends in records or in an error, and in bounded memory.

use std::io::Write;

use expect_test::{Expect, expect};

use crate::world::World;

/// A file of forty rows, as the program writes it.
fn made(name: &str) -> Vec<u8> {
    made_with(name, "")
}

fn made_with(name: &str, target: &str) -> Vec<u8> {
    let world = World::new("seed.jsonl", "");
    let mut seed = world.create();
    for i in 0..40 {
        let half = f64::from(i) / 2.0;
        writeln!(
            seed,
            "{{\"id\":{i},\"name\":\"name {i}\",\"half\":{half},\"tags\":[{i}]}}"
        )
        .unwrap();
    }
    let job = format!(
        "name = \"made\"\n[source]\nbackend = \"file\"\npath = \"seed.jsonl\"\n\
         [target]\nbackend = \"file\"\npath = \"{name}\"\n{target}\n"
    );
    std::fs::write(world.path("job.toml"), job).unwrap();
    let output = world.command(&["run", "job.toml"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(world.path(name)).unwrap()
}

/// Both kinds, changed in one way.
fn check(change: fn(&mut Vec<u8>), expected: Expect) {
    let mut text = String::new();
    for name in ["in.parquet", "in.arrow"] {
        let mut bytes = made(name);
        change(&mut bytes);
        text.push_str(&World::with(name, "", &bytes).run().lines());
    }
    expected.assert_eq(&text);
}

fn check_one(name: &str, bytes: &[u8], expected: Expect) {
    expected.assert_eq(&World::with(name, "", bytes).run().lines());
}

#[test]
fn what_was_written_is_read() {
    for name in ["in.parquet", "in.arrow"] {
        let seen = World::with(name, "", &made(name)).run();
        assert_eq!((seen.exit, seen.count), (0, 40), "{}", seen.lines());
    }
}

#[test]
fn a_file_cut_off_stops_wherever_it_ends() {
    for name in ["in.parquet", "in.arrow"] {
        let whole = made(name);
        let ends = (0..whole.len())
            .step_by(whole.len() / 40)
            .chain(whole.len() - 12..whole.len());
        for end in ends {
            let seen = World::with(name, "", &whole[..end]).run();
            assert!(
                matches!(seen.exit, 2 | 4),
                "{name} cut at {end}: {}",
                seen.lines()
            );
        }
    }
}

#[test]
fn another_name_at_the_end_stops() {
    check(
        |bytes| {
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(b"NONE");
        },
        expect![[r#"
            exit 4
            stopped file::corrupt: `in.parquet` is not intact
              cause: Parquet error: Invalid Parquet file. Corrupt footer
              help: was the file written completely? nothing after this place was read
            exit 4
            stopped file::corrupt: `in.arrow` is not intact
              cause: Parser error: Arrow file does not contain correct footer
              help: was the file written completely? nothing after this place was read
        "#]],
    );
}

#[test]
fn another_name_at_the_start_stops() {
    check(
        |bytes| bytes[..4].copy_from_slice(b"NONE"),
        expect![[r#"
        exit 2
        stopped file::wrong_format: `in.parquet` is not Parquet
          help: was it written completely? `format` says which format a file has
        exit 2
        stopped file::wrong_format: `in.arrow` is not Arrow
          help: was it written completely? `format` says which format a file has
    "#]],
    );
}

#[test]
fn an_empty_file_stops() {
    check(
        Vec::clear,
        expect![[r#"
        exit 2
        stopped file::wrong_format: `in.parquet` is not Parquet
          help: was it written completely? `format` says which format a file has
        exit 2
        stopped file::wrong_format: `in.arrow` is not Arrow
          help: was it written completely? `format` says which format a file has
    "#]],
    );
}

#[test]
fn a_footer_longer_than_its_file_stops() {
    check(
        |bytes| {
            let at = bytes.len() - if bytes.starts_with(b"PAR1") { 8 } else { 10 };
            bytes[at..at + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        },
        expect![[r#"
            exit 4
            stopped file::corrupt: `in.parquet` is not intact: its footer of 2147483647 bytes is longer than the file
              help: was the file written completely? nothing after this place was read
            exit 4
            stopped file::corrupt: `in.arrow` is not intact: its footer is longer than the file
              help: was the file written completely? nothing after this place was read
        "#]],
    );
}

#[test]
fn a_footer_of_zeros_stops() {
    check(
        |bytes| {
            let end = bytes.len() - 10;
            bytes[end - 200..end].fill(0);
        },
        expect![[r#"
            exit 4
            stopped file::corrupt: `in.parquet` is not intact
              cause: Arrow: Unable to decode the encoded schema stored in ARROW:schema, Invalid symbol 0, offset 577.
              help: was the file written completely? nothing after this place was read
            exit 4
            stopped file::corrupt: `in.arrow` is not intact
              help: was the file written completely? nothing after this place was read
        "#]],
    );
}

#[test]
fn two_billion_row_groups_in_a_footer_of_forty_bytes_stop() {
    // version 1; a schema of one int32; one row; row groups, 2^31 - 1 of them.
    let footer = [
        &[0x15, 2, 0x29, 0x2c, 0x48, 1, b's', 0x15, 2, 0][..],
        &[0x15, 2, 0x25, 0, 0x18, 1, b'a', 0, 0x16, 2],
        &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0],
    ]
    .concat();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    let bytes = [b"PAR1", &footer[..], &length, b"PAR1"].concat();
    check_one(
        "in.parquet",
        &bytes,
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.parquet` is not intact: its footer declares more than it holds
          help: was the file written completely? nothing after this place was read
    "#]],
    );
}

#[test]
fn a_page_of_two_gigabytes_in_a_file_of_some_kilobytes_stops() {
    let mut bytes = made("in.parquet");
    // A data page of 2^31 - 1 bytes, 10 of them here, with 40 values.
    let header = [
        &[0x15, 0, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 20][..],
        &[0x2c, 0x15, 80, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0],
    ]
    .concat();
    bytes[4..4 + header.len()].copy_from_slice(&header);
    check_one(
        "in.parquet",
        &bytes,
        expect![[r#"
        exit 4
        stopped file::page_too_large: the page at byte 4 of `in.parquet` says it is 2047 MiB; at most 128 are decoded at once
          help: if the file is intact, write it again with smaller pages or row groups
    "#]],
    );
}

#[test]
fn an_arrow_message_longer_than_its_stream_stops() {
    let bytes = [&[0xff; 4][..], &i32::MAX.to_le_bytes(), &[0; 100]].concat();
    check_one(
        "in.arrow",
        &bytes,
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.arrow` is not intact: the message at byte 0 ends beyond the file
          help: was the file written completely? nothing after this place was read
    "#]],
    );
}

#[test]
fn an_arrow_block_of_a_billion_gigabytes_stops() {
    let mut bytes = made("in.arrow");
    let block = block(&bytes);
    bytes[block + 16..block + 24].copy_from_slice(&(1i64 << 60).to_le_bytes());
    check_one(
        "in.arrow",
        &bytes,
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.arrow` is not intact: the block at byte 640 ends beyond the file
          help: was the file written completely? nothing after this place was read
    "#]],
    );
}

#[test]
fn an_arrow_buffer_that_says_it_unpacks_to_a_terabyte_stops() {
    let mut bytes = made_with("in.arrow", "compression = \"zstd\"");
    let frame = [0x28, 0xb5, 0x2f, 0xfd];
    let frame = bytes.windows(4).position(|four| four == frame).unwrap();
    bytes[frame - 8..frame].copy_from_slice(&(1i64 << 40).to_le_bytes());
    check_one(
        "in.arrow",
        &bytes,
        expect![[r#"
        exit 4
        stopped file::batch_too_large: a record batch of `in.arrow` (byte 1024) says it unpacks to 1048576 MiB; at most 256 are held at once
          help: if the file is intact, write it again in smaller record batches
    "#]],
    );
}

/// Where the footer describes the record batch: its offset, two lengths.
fn block(bytes: &[u8]) -> usize {
    let long = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let is_block = |at: &usize| {
        let (offset, metadata, body) = (long(*at), long(at + 8), long(at + 16));
        (8..10_000).contains(&offset)
            && (8..10_000).contains(&metadata)
            && (8..1_000_000).contains(&body)
            && bytes.get(offset as usize..offset as usize + 4) == Some(&[0xff; 4])
    };
    (0..bytes.len() - 24).rev().find(is_block).unwrap()
}

#[test]
fn a_changed_bit_ends_in_records_or_in_an_error() {
    for name in ["in.parquet", "in.arrow"] {
        let whole = made(name);
        for (turn, at) in (0..whole.len()).step_by(whole.len() / 90).enumerate() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (turn % 8);
            World::with(name, "", &bytes).run();
        }
    }
}
