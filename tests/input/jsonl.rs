//! JSON Lines: encodings, numbers, keys, what follows a value, depth.

use expect_test::expect;

use crate::world::{check, check_with};

#[test]
fn bytes_that_are_not_utf_8_are_refused_line_by_line() {
    check("in.jsonl", b"{\"a\":\"x\"}\n{\"a\":\"\xff\"}\n{\"a\":\"\xc0\xaf\"}\n{\"a\":\"\xed\xa0\x80\"}\n{\"a\":\"\xf4\x90\x80\x80\"}\n{\"a\":\"\xe2\x82\"}\n{\"\xff\":1}\n{\"a\":\"\xc3\xa4\"}\n", expect![[r#"
        exit 3
        written {"a":"x"}
        written {"a":"ä"}
        refused line 2, offset 10 json::not_utf8
          not UTF-8 at byte 6
          9 bytes: base64 eyJhIjoi/yJ9
        refused line 3, offset 20 json::not_utf8
          not UTF-8 at byte 6
          10 bytes: base64 eyJhIjoiwK8ifQ==
        refused line 4, offset 31 json::not_utf8
          not UTF-8 at byte 6
          11 bytes: base64 eyJhIjoi7aCAIn0=
        refused line 5, offset 43 json::not_utf8
          not UTF-8 at byte 6
          12 bytes: base64 eyJhIjoi9JCAgCJ9
        refused line 6, offset 56 json::not_utf8
          not UTF-8 at byte 6
          10 bytes: base64 eyJhIjoi4oIifQ==
        refused line 7, offset 67 json::not_utf8
          not UTF-8 at byte 2
          7 bytes: base64 eyL/IjoxfQ==
    "#]]);
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    check(
        "in.jsonl",
        r#"{"a":"\ud83d\ude00"}
{"a":"\ud83d"}
{"a":"\ude00\ud83d"}
{"a":"\ud83d\u0041"}
{"\ud800":1}
{"b":["\udfff"]}
{"a":"\u00g0"}
{"a":"\x"}
"#,
        expect![[r#"
            exit 3
            written {"a":"😀"}
            refused line 2, offset 21 json::lone_surrogate
              half a surrogate pair at byte 6
              14 bytes: "{\"a\":\"\\ud83d\"}"
            refused line 3, offset 36 json::lone_surrogate
              half a surrogate pair at byte 6
              20 bytes: "{\"a\":\"\\ude00\\ud83d\"}"
            refused line 4, offset 57 json::lone_surrogate
              half a surrogate pair at byte 6
              20 bytes: "{\"a\":\"\\ud83d\\u0041\"}"
            refused line 5, offset 78 json::lone_surrogate
              half a surrogate pair at byte 2
              12 bytes: "{\"\\ud800\":1}"
            refused line 6, offset 91 json::lone_surrogate
              half a surrogate pair at byte 7
              16 bytes: "{\"b\":[\"\\udfff\"]}"
            refused line 7, offset 108 json::invalid_escape
              \u without four digits at byte 6
              14 bytes: "{\"a\":\"\\u00g0\"}"
            refused line 8, offset 123 json::invalid_escape
              not an escape of JSON at byte 6
              10 bytes: "{\"a\":\"\\x\"}"
        "#]],
    );
}

#[test]
fn numbers_no_double_holds_are_kept_digit_by_digit() {
    check(
        "in.jsonl",
        format!(
            "{{\"n\":{0}}}\n{{\"n\":-0}}\n{{\"n\":1e400}}\n{{\"n\":0.1}}\n{{\"n\":-{0}.5}}\n{{\"n\":1e-400}}\n",
            "9".repeat(100)
        ),
        expect![[r#"
        exit 0
        written {"n":9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999}
        written {"n":-0}
        written {"n":1e400}
        written {"n":0.1}
        written {"n":-9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999.5}
        written {"n":1e-400}
    "#]],
    );
}

#[test]
fn a_column_of_integers_keeps_what_it_cannot_hold() {
    check_with(
        "in.jsonl",
        "infer = 1",
        format!(
            "{{\"n\":1}}\n{{\"n\":-0}}\n{{\"n\":1e400}}\n{{\"n\":{}}}\n{{\"n\":9223372036854775808}}\n{{\"n\":1.0}}\n{{\"n\":-9223372036854775808}}\n",
            "9".repeat(100)
        ),
        expect![[r#"
        exit 0
        written {"n":1}
        written {"n":-0}
        written {"n":1e400}
        written {"n":9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999}
        written {"n":9223372036854775808}
        written {"n":1.0}
        written {"n":-9223372036854775808}
    "#]],
    );
}

#[test]
fn a_column_of_floats_keeps_what_it_cannot_hold() {
    check_with(
        "in.jsonl",
        "infer = 1",
        format!(
            "{{\"n\":1.5}}\n{{\"n\":-0}}\n{{\"n\":1e400}}\n{{\"n\":{}}}\n{{\"n\":9007199254740993}}\n{{\"n\":-0.0}}\n",
            "9".repeat(100)
        ),
        expect![[r#"
        exit 0
        written {"n":1.5}
        written {"n":-0.0}
        written {"n":1e400}
        written {"n":9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999}
        written {"n":9007199254740993}
        written {"n":-0.0}
    "#]],
    );
}

#[test]
fn what_is_no_number_of_json_is_refused() {
    check(
        "in.jsonl",
        "{\"n\":1}\n{\"n\":01}\n{\"n\":+1}\n{\"n\":.5}\n{\"n\":1.}\n{\"n\":1e}\n{\"n\":-}\n{\"n\":0x1}\n{\"n\":NaN}\n{\"n\":-Infinity}\n{\"n\":[NaN]}\n{\"n\":nul}\n",
        expect![[r#"
        exit 3
        written {"n":1}
        refused line 2, offset 8 json::invalid_number
          not a number as JSON writes them at byte 6
          8 bytes: "{\"n\":01}"
        refused line 3, offset 17 json::unexpected_character
          '+' where a value is due, at byte 5
          8 bytes: "{\"n\":+1}"
        refused line 4, offset 26 json::unexpected_character
          '.' where a value is due, at byte 5
          8 bytes: "{\"n\":.5}"
        refused line 5, offset 35 json::invalid_number
          not a number as JSON writes them at byte 7
          8 bytes: "{\"n\":1.}"
        refused line 6, offset 44 json::invalid_number
          not a number as JSON writes them at byte 7
          8 bytes: "{\"n\":1e}"
        refused line 7, offset 53 json::invalid_number
          not a number as JSON writes them at byte 6
          7 bytes: "{\"n\":-}"
        refused line 8, offset 61 json::unexpected_character
          'x' where a comma or the end of the object is due, at byte 6
          9 bytes: "{\"n\":0x1}"
        refused line 9, offset 71 json::not_a_number
          NaN and infinity are not JSON; at byte 5
          9 bytes: "{\"n\":NaN}"
        refused line 10, offset 81 json::not_a_number
          NaN and infinity are not JSON; at byte 5
          15 bytes: "{\"n\":-Infinity}"
        refused line 11, offset 97 json::not_a_number
          NaN and infinity are not JSON; at byte 6
          11 bytes: "{\"n\":[NaN]}"
        refused line 12, offset 109 json::unexpected_character
          'n' where a value is due, at byte 5
          9 bytes: "{\"n\":nul}"
    "#]],
    );
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    check(
        "in.jsonl",
        r#"{"a":1,"b":2}
{"a":1,"a":2}
{"c":1,"c":2}
{"a":1,"\u0061":2}
{"n":{"x":1,"x":2}}
"#,
        expect![[r#"
            exit 3
            written {"a":1,"b":2}
            written {"n":{"x":1,"x":2}}
            refused line 2, offset 14 json::duplicate_key
              the key `a` comes again at byte 7
              13 bytes: {"a":1,"a":2}
            refused line 3, offset 28 json::duplicate_key
              the key `c` comes again at byte 7
              13 bytes: {"c":1,"c":2}
            refused line 4, offset 42 json::duplicate_key
              the key `a` comes again at byte 7
              18 bytes: {"a":1,"\u0061":2}
        "#]],
    );
}

#[test]
fn text_after_a_value_is_refused() {
    check(
        "in.jsonl",
        "{\"a\":1}\n{\"a\":2}x\n{\"a\":3}{\"a\":4}\n{\"a\":5},\n  {\"a\":6}  \n",
        expect![[r#"
        exit 3
        written {"a":1}
        written {"a":6}
        refused line 2, offset 8 json::trailing_characters
          more text after the value at byte 7
          8 bytes: "{\"a\":2}x"
        refused line 3, offset 17 json::trailing_characters
          more text after the value at byte 7
          14 bytes: "{\"a\":3}{\"a\":4}"
        refused line 4, offset 32 json::trailing_characters
          more text after the value at byte 7
          8 bytes: "{\"a\":5},"
    "#]],
    );
}

#[test]
fn what_is_no_object_is_refused() {
    check(
        "in.jsonl",
        "{\"a\":1}\n[1]\n7\n\"x\"\nnull\n\n{}\nx\n\u{feff}{}\n",
        expect![[r#"
            exit 3
            written {"a":1}
            written {}
            refused line 2, offset 8 json::not_an_object
              a record must be an object; another value at byte 0
              3 bytes: [1]
            refused line 3, offset 12 json::not_an_object
              a record must be an object; another value at byte 0
              1 bytes: 7
            refused line 4, offset 14 json::not_an_object
              a record must be an object; another value at byte 0
              3 bytes: "x"
            refused line 5, offset 18 json::not_an_object
              a record must be an object; another value at byte 0
              4 bytes: nothing
            refused line 8, offset 27 json::unexpected_character
              'x' where an object is due, at byte 0
              1 bytes: "x"
            refused line 9, offset 29 json::unexpected_character
              '\u{feff}' where an object is due, at byte 0
              5 bytes: "\ufeff{}"
        "#]],
    );
}

#[test]
fn commas_and_colons_are_due_where_json_has_them() {
    check(
        "in.jsonl",
        "{\"a\":1,}\n{\"a\":[1,]}\n{,}\n{\"a\" 1}\n{\"a\":}\n{\"a\":1 \"b\":2}\n{\"a\":{\"b\":1]}\n{\"a\":1\n{\"a\":\"\n{a:1}\n{\"a\":\"\t\"}\n{\"a\":1}\n",
        expect![[r#"
        exit 3
        written {"a":1}
        refused line 1, offset 0 json::unexpected_character
          '}' where a key is due, at byte 7
          8 bytes: "{\"a\":1,}"
        refused line 2, offset 9 json::unexpected_character
          ']' where a value is due, at byte 8
          10 bytes: "{\"a\":[1,]}"
        refused line 3, offset 20 json::unexpected_character
          ',' where a key is due, at byte 1
          3 bytes: "{,}"
        refused line 4, offset 24 json::unexpected_character
          '1' where a colon is due, at byte 5
          7 bytes: "{\"a\" 1}"
        refused line 5, offset 32 json::unexpected_character
          '}' where a value is due, at byte 5
          6 bytes: "{\"a\":}"
        refused line 6, offset 39 json::unexpected_character
          '"' where a comma or the end of the object is due, at byte 7
          13 bytes: "{\"a\":1 \"b\":2}"
        refused line 7, offset 53 json::unexpected_character
          ']' where a comma or the end of the object is due, at byte 11
          13 bytes: "{\"a\":{\"b\":1]}"
        refused line 8, offset 67 json::unexpected_end
          the text ends where a comma or the end of the object is due, at byte 6
          6 bytes: "{\"a\":1"
        refused line 9, offset 74 json::unexpected_end
          the text ends where the end of a string is due, at byte 6
          6 bytes: "{\"a\":\""
        refused line 10, offset 81 json::unexpected_character
          'a' where a key is due, at byte 1
          5 bytes: "{a:1}"
        refused line 11, offset 87 json::control_character
          a bare control character in a string at byte 6
          9 bytes: "{\"a\":\"\t\"}"
    "#]],
    );
}

#[test]
fn absurd_depth_is_refused_and_costs_no_stack() {
    check(
        "in.jsonl",
        format!(
            "{{\"a\":1}}\n{{\"a\":{0}{1}}}\n{{\"a\":{0}\n{{\"a\":{2}{3}}}\n",
            "[".repeat(100_000),
            "]".repeat(100_000),
            "[".repeat(127),
            "]".repeat(127)
        ),
        expect![[r#"
            exit 3
            written {"a":1}
            written {"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
            refused line 2, offset 8 json::too_deep
              nested too deep at byte 132
              200006 bytes: "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
            refused line 3, offset 200015 json::too_deep
              nested too deep at byte 132
              100005 bytes: "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[…
        "#]],
    );
}

#[test]
fn a_line_ended_by_carriage_return_is_the_same_record() {
    check(
        "in.jsonl",
        "{\"a\":1}\r\n{\"a\":2}\r\n\r\n{\"a\":3}\r{\"a\":4}\n{\"a\":5}",
        expect![[r#"
        exit 3
        written {"a":1}
        written {"a":2}
        written {"a":5}
        refused line 4, offset 20 json::trailing_characters
          more text after the value at byte 8
          15 bytes: "{\"a\":3}\r{\"a\":4}"
    "#]],
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    check(
        "in.jsonl",
        "\u{feff}{\"a\":1}\n{\"a\":\n",
        expect![[r#"
        exit 3
        written {"a":1}
        refused line 2, offset 11 json::unexpected_end
          the text ends where a value is due, at byte 5
          5 bytes: "{\"a\":"
    "#]],
    );
}

#[test]
fn a_nul_is_refused_bare_and_kept_escaped() {
    check(
        "in.jsonl",
        "{\"a\":\"x\\u0000y\"}\n{\"a\":\"x\0y\"}\n\0\n",
        expect![[r#"
            exit 3
            written {"a":"x\u0000y"}
            refused line 2, offset 17 json::control_character
              a bare control character in a string at byte 7
              11 bytes: "{\"a\":\"x\u0000y\"}"
            refused line 3, offset 29 json::unexpected_character
              '\0' where an object is due, at byte 0
              1 bytes: "\u0000"
        "#]],
    );
}

#[test]
fn utf_16_is_refused() {
    check(
        "in.jsonl",
        b"\xff\xfe{\0}\0\n\0",
        expect![[r#"
        exit 4
        stopped file::encoding: `in.jsonl` is UTF-16, not UTF-8
          help: convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW
    "#]],
    );
}

#[test]
fn an_empty_file_is_no_records() {
    check(
        "in.jsonl",
        "",
        expect![[r#"
        exit 0
    "#]],
    );
}

#[test]
fn blank_lines_are_no_records() {
    check(
        "in.jsonl",
        "\n \n\t\r\n",
        expect![[r#"
        exit 0
    "#]],
    );
}
