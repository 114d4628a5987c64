//! gzip and zstd: cut off, changed, followed by something, several in one file, and bombs.

use std::io::Write;

use expect_test::expect;

use crate::world::World;

const RECORDS: &str = "{\"a\":1}\n{\"a\":2}\n";
const MORE: &str = "{\"a\":3}\n{\"a\":\n";

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Packs a text as one member or frame.
type Pack = fn(&str) -> Vec<u8>;

/// Both kinds come to the same end, but for their name.
fn check(make: fn(Pack) -> Vec<u8>, content: &str, expected: expect_test::Expect) {
    let mut text = String::new();
    for (name, pack) in [("in.jsonl.gz", gzip as Pack), ("in.jsonl.zst", zstd)] {
        let seen = World::packed(name, &make(pack), content.as_bytes()).run();
        text.push_str(&seen.lines());
    }
    expected.assert_eq(&text);
}

#[test]
fn members_and_frames_are_read_one_after_another_with_places_in_what_they_hold() {
    let content = format!("{RECORDS}{MORE}");
    check(
        |pack| [pack(RECORDS), pack(""), pack(MORE)].concat(),
        &content,
        expect![[r#"
        exit 3
        written {"a":1}
        written {"a":2}
        written {"a":3}
        refused line 4, offset 24 json::unexpected_end
          the text ends where a value is due, at byte 5
          5 bytes: "{\"a\":"
        exit 3
        written {"a":1}
        written {"a":2}
        written {"a":3}
        refused line 4, offset 24 json::unexpected_end
          the text ends where a value is due, at byte 5
          5 bytes: "{\"a\":"
    "#]],
    );
}

#[test]
fn an_empty_member_is_no_records() {
    check(
        |pack| pack(""),
        "",
        expect![[r#"
        exit 0
        exit 0
    "#]],
    );
}

#[test]
fn an_empty_file_is_not_packed() {
    check(
        |_| Vec::new(),
        "",
        expect![[r#"
        exit 2
        stopped file::wrong_compression: `in.jsonl.gz` should be compressed with gzip, and is empty
          help: add `compression = "none"`, or correct the file's name
        exit 2
        stopped file::wrong_compression: `in.jsonl.zst` should be compressed with zstd, and is empty
          help: add `compression = "none"`, or correct the file's name
    "#]],
    );
}

#[test]
fn a_file_that_is_cut_off_stops() {
    check(
        |pack| {
            let whole = pack(RECORDS);
            whole[..whole.len() - 5].to_vec()
        },
        "",
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.jsonl.gz` is cut off, or something else follows its gzip stream (near byte 28, after 16 bytes of content)
          cause: unexpected end of file
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
        exit 4
        stopped file::corrupt: `in.jsonl.zst` is cut off, or something else follows its zstd stream (near byte 24, after 15 bytes of content)
          cause: incomplete frame
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]],
    );
}

#[test]
fn a_wrong_checksum_stops() {
    // gzip ends in its checksum and the length, zstd in its checksum.
    check(
        |pack| {
            let mut whole = pack(RECORDS);
            let at = whole.len() - if whole[0] == 0x1f { 8 } else { 4 };
            whole[at] ^= 1;
            whole
        },
        "",
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.jsonl.gz` is not intact gzip, or something else follows its end (near byte 33, after 16 bytes of content)
          cause: corrupt gzip stream does not have a matching checksum
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
        exit 4
        stopped file::corrupt: `in.jsonl.zst` is not intact zstd, or something else follows its end (near byte 29, after 0 bytes of content)
          cause: Restored data doesn't match checksum
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]],
    );
}

#[test]
fn something_behind_the_end_stops() {
    check(
        |pack| [pack(RECORDS), b"garbage that is no member".to_vec()].concat(),
        "",
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.jsonl.gz` is not intact gzip, or something else follows its end (near byte 58, after 16 bytes of content)
          cause: invalid gzip header
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
        exit 4
        stopped file::corrupt: `in.jsonl.zst` is not intact zstd, or something else follows its end (near byte 54, after 16 bytes of content)
          cause: Unknown frame descriptor
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]],
    );
}

#[test]
fn zeros_behind_the_end_stop() {
    check(
        |pack| [pack(RECORDS), vec![0; 512]].concat(),
        "",
        expect![[r#"
        exit 4
        stopped file::corrupt: `in.jsonl.gz` is not intact gzip, or something else follows its end (near byte 545, after 16 bytes of content)
          cause: invalid gzip header
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
        exit 4
        stopped file::corrupt: `in.jsonl.zst` is not intact zstd, or something else follows its end (near byte 541, after 16 bytes of content)
          cause: Unknown frame descriptor
          help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]],
    );
}

#[test]
fn a_file_that_is_not_packed_is_refused_by_its_first_bytes() {
    check(
        |_| RECORDS.into(),
        "",
        expect![[r#"
        exit 2
        stopped file::wrong_compression: `in.jsonl.gz` should be compressed with gzip, and is not compressed
          help: add `compression = "none"`, or correct the file's name
        exit 2
        stopped file::wrong_compression: `in.jsonl.zst` should be compressed with zstd, and is not compressed
          help: add `compression = "none"`, or correct the file's name
    "#]],
    );
}

#[test]
fn a_window_beyond_the_limit_is_refused_with_the_way_out() {
    // Magic, a window of 2 GiB, one raw block that is the last.
    let frame = [
        0x28,
        0xb5,
        0x2f,
        0xfd,
        0x00,
        21 << 3,
        0x19,
        0x00,
        0x00,
        b'{',
        b'}',
        b'\n',
    ];
    let seen = World::packed("in.jsonl.zst", &frame, b"").run();
    expect![[r#"
        exit 4
        stopped file::window_too_large: `in.jsonl.zst` was packed by zstd with a window of more than 128 MiB (near byte 12)
          cause: Frame requires too much memory for decoding
          help: pack it again with a smaller one: zstd -d --long=31 FILE, then zstd --long=27 FILE
    "#]].assert_eq(&seen.lines());
}

#[test]
fn every_byte_that_is_changed_is_noticed() {
    for (name, whole) in [
        ("in.jsonl.gz", gzip(RECORDS)),
        ("in.jsonl.zst", zstd(RECORDS)),
    ] {
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let seen = World::packed(name, &bytes, RECORDS.as_bytes()).run();
            let written = seen.written == ["{\"a\":1}", "{\"a\":2}"];
            assert!(
                written || !matches!(seen.exit, 0 | 3),
                "{name}, byte {at}: {}",
                seen.lines()
            );
        }
    }
}
