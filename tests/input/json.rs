//! One JSON text of records: cut off, commas, brackets, keys, depth.

use expect_test::expect;

use crate::world::check;

#[test]
fn an_array_that_is_cut_off_stops() {
    check(
        "in.json",
        r#"[{"a":1},{"a":2},{"a":"#,
        expect![[r#"
            exit 4
            stopped file::cut_off: the record at line 1 of `in.json` (byte 17) has no end
              help: was the file written completely? a quote or bracket may be open since that place
        "#]],
    );
}

#[test]
fn an_array_without_its_bracket_stops() {
    check(
        "in.json",
        r#"[{"a":1},{"a":2}"#,
        expect![[r#"
        exit 4
        stopped file::cut_off: `in.json` ends at byte 16, where `,` or the end of the records should be
          help: was the file written completely?
    "#]],
    );
}

#[test]
fn a_comma_before_the_end_of_an_array_stops() {
    check(
        "in.json",
        r#"[{"a":1},{"a":2},]"#,
        expect![[r#"
            exit 4
            stopped file::json_syntax: `]` is at line 1 of `in.json` (byte 17), where a value should be
              help: correct the file at that place; if it is not JSON, `format` says which format it has
        "#]],
    );
}

#[test]
fn a_missing_comma_stops() {
    check(
        "in.json",
        "[{\"a\":1},\n{\"a\":2} {\"a\":3}]",
        expect![[r#"
            exit 4
            stopped file::json_syntax: `{` is at line 2 of `in.json` (byte 18), where `,` or the end of the records should be
              help: correct the file at that place; if it is not JSON, `format` says which format it has
        "#]],
    );
}

#[test]
fn text_after_an_array_stops() {
    check(
        "in.json",
        "[{\"a\":1},\n{\"a\":2}]\n{\"a\":3}",
        expect![[r#"
        exit 4
        stopped file::json_syntax: another value follows the end of the JSON text: line 3 of `in.json` (byte 19)
          help: one JSON value per line is JSON Lines: add `format = "jsonl"`
    "#]],
    );
}

#[test]
fn a_record_of_an_array_that_is_malformed_is_refused_alone() {
    check(
        "in.json",
        "[{\"a\":1},\n{\"a\":01},{\"a\":NaN},\n{\"a\":\"\\ud800\"},7,[1],{\"a\":2,},{\"a\":3}]",
        expect![[r#"
            exit 3
            written {"a":1}
            written {"a":3}
            refused line 2, offset 10 json::invalid_number
              not a number as JSON writes them at byte 6
              8 bytes: "{\"a\":01}"
            refused line 2, offset 19 json::not_a_number
              NaN and infinity are not JSON; at byte 5
              9 bytes: "{\"a\":NaN}"
            refused line 3, offset 30 json::lone_surrogate
              half a surrogate pair at byte 6
              14 bytes: "{\"a\":\"\\ud800\"}"
            refused line 3, offset 45 json::not_an_object
              a record must be an object; another value at byte 0
              1 bytes: 7
            refused line 3, offset 47 json::not_an_object
              a record must be an object; another value at byte 0
              3 bytes: [1]
            refused line 3, offset 51 json::unexpected_character
              '}' where a key is due, at byte 7
              8 bytes: "{\"a\":2,}"
        "#]],
    );
}

#[test]
fn brackets_that_do_not_match_stop() {
    check(
        "in.json",
        r#"[{"a":[1},{"a":2}]"#,
        expect![[r#"
        exit 4
        stopped file::cut_off: `in.json` ends at byte 18, where `,` or the end of the records should be
          help: was the file written completely?
    "#]],
    );
}

#[test]
fn a_quote_never_closed_inside_an_array_stops() {
    check(
        "in.json",
        r#"[{"a":1},{"a":"x},{"a":2}]"#,
        expect![[r#"
            exit 4
            stopped file::cut_off: the record at line 1 of `in.json` (byte 9) has no end
              help: was the file written completely? a quote or bracket may be open since that place
        "#]],
    );
}

#[test]
fn a_key_of_records_that_comes_twice_is_two_records() {
    check(
        "in.json",
        r#"{"k1":{"a":1},"k1":{"a":2},"k\ud8002":{"a":3}}"#,
        expect![[r#"
            exit 3
            written {"_id":"k1","a":1}
            written {"_id":"k1","a":2}
            refused line 1, offset 38 json::not_utf8
              the id is no text: not UTF-8, or half a surrogate pair
              7 bytes: {"a":3}
        "#]],
    );
}

#[test]
fn an_array_of_absurd_depth_is_refused() {
    check(
        "in.json",
        format!(
            "[{{\"a\":1}},{0}{1},{{\"a\":2}}]",
            "[".repeat(100_000),
            "]".repeat(100_000)
        ),
        expect![[r#"
            exit 3
            written {"a":1}
            written {"a":2}
            refused line 1, offset 9 json::not_an_object
              a record must be an object; another value at byte 0
              200000 bytes: "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
        "#]],
    );
}

#[test]
fn no_json_at_all_stops() {
    check(
        "in.json",
        "<html>",
        expect![[r#"
        exit 2
        stopped file::no_records: no records in `in.json`: the JSON text is neither an array nor an object (byte 0)
          help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]],
    );
}

#[test]
fn an_empty_file_is_no_json() {
    check(
        "in.json",
        "",
        expect![[r#"
        exit 4
        stopped file::empty: `in.json` is empty, which is not JSON
          help: a JSON file without records is `[]`; was this one written completely?
    "#]],
    );
}

#[test]
fn nan_is_no_json() {
    check(
        "in.json",
        "NaN",
        expect![[r#"
        exit 2
        stopped file::no_records: no records in `in.json`: the JSON text is neither an array nor an object (byte 0)
          help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]],
    );
}
