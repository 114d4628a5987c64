//! Separated values: quotes, line ends, marks, counts, names.

use expect_test::expect;

use crate::world::{check, check_with};

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn a_quote_that_is_never_closed_takes_its_own_line_only() {
    check(
        "in.csv",
        "id,name\n1,Ada\n2,\"Alan\n3,Grace\n4,Edsger\n",
        expect![[r#"
        exit 3
        written {"id":1,"name":"Ada"}
        written {"id":3,"name":"Grace"}
        written {"id":4,"name":"Edsger"}
        refused line 3, offset 14 csv::unclosed_quote
          a quote is opened on this line and never closed
          7 bytes: "2,\"Alan"
    "#]],
    );
}

#[test]
fn a_bad_quote_before_a_good_one_is_one_refused_record_that_says_how_far_it_went() {
    check(
        "in.csv",
        "id,name\n1,Ada\n2,\"Alan\n3,Grace\n4,\"Edsger\"\n5,Barbara\n",
        expect![[r#"
        exit 3
        written {"id":1,"name":"Ada"}
        written {"id":5,"name":"Barbara"}
        refused line 3, offset 14 csv::text_after_quote
          text follows a closing quote; a quote inside quotes is doubled; the record goes over 3 lines: was a quote on the first never closed?
          26 bytes: "2,\"Alan\n3,Grace\n4,\"Edsger\""
    "#]],
    );
}

#[test]
fn a_quote_in_the_middle_of_a_cell_is_text() {
    check(
        "in.csv",
        "id,name\n1,Ada \"the\" Countess\n2,5\"\n3,x\"y\"z\n",
        expect![[r#"
        exit 0
        written {"id":1,"name":"Ada \"the\" Countess"}
        written {"id":2,"name":"5\""}
        written {"id":3,"name":"x\"y\"z"}
    "#]],
    );
}

#[test]
fn text_after_a_closing_quote_is_refused() {
    check(
        "in.csv",
        "id,name\n1,\"Ada\"x\n2,\"Al\"\"an\"\n3,\"a\"b\"\n4,Edsger\n",
        expect![[r#"
        exit 3
        written {"id":2,"name":"Al\"an"}
        written {"id":4,"name":"Edsger"}
        refused line 2, offset 8 csv::text_after_quote
          text follows a closing quote; a quote inside quotes is doubled
          8 bytes: "1,\"Ada\"x"
        refused line 4, offset 28 csv::text_after_quote
          text follows a closing quote; a quote inside quotes is doubled
          7 bytes: "3,\"a\"b\""
    "#]],
    );
}

#[test]
fn mixed_line_ends_all_end_a_line() {
    check(
        "in.csv",
        "id,name\r\n1,Ada\n2,Alan\r\n3,\"Gr\r\nace\"\r\n4,Edsger",
        expect![[r#"
        exit 0
        written {"id":1,"name":"Ada"}
        written {"id":2,"name":"Alan"}
        written {"id":3,"name":"Gr\r\nace"}
        written {"id":4,"name":"Edsger"}
    "#]],
    );
}

#[test]
fn a_bare_carriage_return_ends_no_line() {
    check(
        "in.csv",
        "id,name\n1,Ada\r2,Alan\r3,Grace\n4,Ed\rsger\n5,Barbara\n",
        expect![[r#"
        exit 3
        written {"id":4,"name":"Ed\rsger"}
        written {"id":5,"name":"Barbara"}
        refused line 2, offset 8 csv::cell_count
          4 cells where 2 were expected; it holds bare carriage returns, which do not end a line
          20 bytes: "1,Ada\r2,Alan\r3,Grace"
    "#]],
    );
}

#[test]
fn a_file_of_bare_carriage_returns_is_refused() {
    check(
        "in.csv",
        "id,name\r1,Ada\r2,Alan\r",
        expect![[r#"
        exit 4
        stopped csv::header: the first line of `in.csv` does not name its columns: lines end in bare carriage returns
          help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name() {
    check(
        "in.csv",
        "\u{feff}\"id\",name\n1,Ada\n2\n",
        expect![[r#"
        exit 3
        written {"id":1,"name":"Ada"}
        refused line 3, offset 19 csv::cell_count
          1 cell where 2 were expected
          1 bytes: "2"
    "#]],
    );
}

#[test]
fn utf_16_with_a_mark_is_refused_with_the_way_out() {
    check(
        "in.csv",
        utf16("\u{feff}id,name\n1,Ada\n", u16::to_le_bytes),
        expect![[r#"
        exit 4
        stopped file::encoding: `in.csv` is UTF-16, not UTF-8
          help: convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW
    "#]],
    );
}

#[test]
fn utf_16_of_the_other_order_is_refused_too() {
    check(
        "in.csv",
        utf16("\u{feff}id,name\n1,Ada\n", u16::to_be_bytes),
        expect![[r#"
        exit 4
        stopped file::encoding: `in.csv` is UTF-16, not UTF-8
          help: convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW
    "#]],
    );
}

#[test]
fn utf_16_without_a_mark_is_never_taken_for_names() {
    check(
        "in.csv",
        utf16("id,name\n1,Ada\n", u16::to_le_bytes),
        expect![[r#"
            exit 4
            stopped file::encoding: the name of column 1 of `in.csv` has a NUL in it: is the file UTF-16?
              help: if it is, convert it first: iconv -f UTF-16LE -t UTF-8 FILE > NEW
        "#]],
    );
}

#[test]
fn too_many_and_too_few_cells_are_refused() {
    check(
        "in.csv",
        "id,name\n1\n2,Alan,x\n3,Grace\n,\n\n4,\n,,,,\n",
        expect![[r#"
        exit 3
        written {"id":3,"name":"Grace"}
        written {"id":null,"name":null}
        written {"id":4,"name":null}
        refused line 2, offset 8 csv::cell_count
          1 cell where 2 were expected
          1 bytes: "1"
        refused line 3, offset 10 csv::cell_count
          3 cells where 2 were expected
          8 bytes: "2,Alan,x"
        refused line 8, offset 33 csv::cell_count
          5 cells where 2 were expected
          4 bytes: ",,,,"
    "#]],
    );
}

#[test]
fn a_nul_is_text_like_any_other() {
    check(
        "in.csv",
        "id,name\n1,A\0da\n\0,x\n",
        expect![[r#"
        exit 0
        written {"id":"1","name":"A\u0000da"}
        written {"id":"\u0000","name":"x"}
    "#]],
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_as_they_are() {
    check(
        "in.csv",
        b"id,name\n1,A\xffda\n2,Al\xc3\n3,\xed\xa0\x80\n4,\xc0\xaf\n5,Gr\xc3\xa4ce\n",
        expect![[r#"
            exit 3
            written {"id":5,"name":"Gräce"}
            refused line 2, offset 8 csv::not_utf8
              the line is not UTF-8
              6 bytes: base64 MSxB/2Rh
            refused line 3, offset 15 csv::not_utf8
              the line is not UTF-8
              5 bytes: base64 MixBbMM=
            refused line 4, offset 21 csv::not_utf8
              the line is not UTF-8
              5 bytes: base64 MyztoIA=
            refused line 5, offset 27 csv::not_utf8
              the line is not UTF-8
              4 bytes: base64 NCzArw==
        "#]],
    );
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    check(
        "in.csv",
        "id,name,id\n1,Ada,2\n",
        expect![[r#"
        exit 4
        stopped csv::header: the first line of `in.csv` does not name its columns: two columns are called `id`
          help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
}

#[test]
fn a_column_without_a_name_is_refused() {
    check(
        "in.csv",
        "id,,name\n1,x,Ada\n",
        expect![[r#"
        exit 4
        stopped csv::header: the first line of `in.csv` does not name its columns: column 2 has no name
          help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
}

#[test]
fn a_header_whose_quote_is_never_closed_is_refused() {
    check(
        "in.csv",
        "id,\"name\n1,Ada\n2,Alan\n",
        expect![[r#"
        exit 4
        stopped csv::header: the first line of `in.csv` does not name its columns: a quote is opened on this line and never closed
          help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
}

#[test]
fn a_header_that_is_not_utf_8_is_refused() {
    check(
        "in.csv",
        b"id,n\xffme\n1,Ada\n",
        expect![[r#"
        exit 4
        stopped csv::header: the first line of `in.csv` does not name its columns: the name of column 2 is not UTF-8
          help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
}

#[test]
fn no_line_end_after_the_last_record_is_no_fault() {
    check(
        "in.csv",
        "id,name\n1,Ada\n2,Alan",
        expect![[r#"
        exit 0
        written {"id":1,"name":"Ada"}
        written {"id":2,"name":"Alan"}
    "#]],
    );
}

#[test]
fn a_quote_open_at_the_end_of_the_file_is_refused() {
    check(
        "in.csv",
        "id,name\n1,Ada\n2,\"",
        expect![[r#"
        exit 3
        written {"id":1,"name":"Ada"}
        refused line 3, offset 14 csv::unclosed_quote
          a quote is opened on this line and never closed
          3 bytes: "2,\""
    "#]],
    );
}

#[test]
fn only_a_header_is_a_table_without_rows() {
    check(
        "in.csv",
        "id,name\n",
        expect![[r#"
        exit 0
    "#]],
    );
}

#[test]
fn an_empty_file_has_not_even_columns() {
    check(
        "in.csv",
        "",
        expect![[r#"
        exit 4
        stopped csv::no_header: `in.csv` is empty: not even its columns are known
          help: a CSV file without records has a header line; was this one written completely?
    "#]],
    );
}

#[test]
fn a_file_of_blank_lines_has_no_columns() {
    check(
        "in.csv",
        "\n\r\n\n",
        expect![[r#"
        exit 4
        stopped csv::no_header: `in.csv` is empty: not even its columns are known
          help: a CSV file without records has a header line; was this one written completely?
    "#]],
    );
}

#[test]
fn cells_of_another_type_than_the_sample_are_refused() {
    check_with(
        "in.csv",
        "infer = 2",
        "id,n\n1,1\n2,-7\n3,007\n4,1e400\n5,9223372036854775808\n6,-0\n7,\"\"\n8,\n",
        expect![[r#"
        exit 3
        written {"id":1,"n":1}
        written {"id":2,"n":-7}
        written {"id":7,"n":null}
        written {"id":8,"n":null}
        refused line 4, offset 14 csv::type_mismatch
          `n` is not exactly a value of type int64
          5 bytes: "3,007"
        refused line 5, offset 20 csv::type_mismatch
          `n` is not exactly a value of type int64
          7 bytes: "4,1e400"
        refused line 6, offset 28 csv::type_mismatch
          `n` is not exactly a value of type int64
          21 bytes: "5,9223372036854775808"
        refused line 7, offset 50 csv::type_mismatch
          `n` is not exactly a value of type int64
          4 bytes: "6,-0"
    "#]],
    );
}

#[test]
fn numbers_no_type_holds_stay_text() {
    check(
        "in.csv",
        format!("a,b,c\n-0,1e400,{}\n", "9".repeat(100)),
        expect![[r#"
        exit 0
        written {"a":"-0","b":"1e400","c":"9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"}
    "#]],
    );
}

#[test]
fn without_a_header_the_first_line_is_a_record() {
    check_with(
        "in.csv",
        "csv = { header = false }",
        "\u{feff}1,Ada\n2,\"Al\nan\"\n3\n",
        expect![[r#"
        exit 3
        written {"column_1":1,"column_2":"Ada"}
        written {"column_1":2,"column_2":"Al\nan"}
        refused line 4, offset 19 csv::cell_count
          1 cell where 2 were expected
          1 bytes: "3"
    "#]],
    );
}
