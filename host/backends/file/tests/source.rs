//! What is read from a file: data in, records, refusals and places out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use dkhost_core::OpenSource;
use expect_test::expect;
use serde_json::json;
use support::{Scratch, gzip, zstd};

#[test]
fn json_lines_become_columns() {
    let scratch = Scratch::new();
    let lines = b"{\"a\": 1, \"b\": \"x\"}\n\n  \r\n{\"b\":\"y\",\"c\":[1,2]}\r\n{\"a\":null}";
    scratch.write("x.jsonl", lines);
    scratch.check(
        json!({"path": "x.jsonl"}),
        expect![[r#"
        schema: a int64, b utf8, c json, _rest json (rest)
        {"a":1,"b":"x"}
        {"b":"y","c":[1,2]}
        {}
    "#]],
    );
}

#[test]
fn one_bad_line_is_one_reject_with_its_bytes_and_its_line() {
    let scratch = Scratch::new();
    let lines = b"{\"a\":1}\n\n{\"a\": oops}\n[1]\n{\"a\":2}\n{\"a\":\"\xff\"}\n{\"a\":3";
    scratch.write("x.jsonl", lines);
    scratch.check(json!({"path": "x.jsonl"}), expect![[r#"
        schema: a int64, _rest json (rest)
        {"a":1}
        ! read json::unexpected_character -: 'o' where a value is due, at byte 6 [file x.jsonl, line 3, offset 9] json "{\"a\": oops}"
        ! read json::not_an_object -: a record must be an object; another value at byte 0 [file x.jsonl, line 4, offset 21] json "[1]"
        {"a":2}
        ! read json::not_utf8 -: not UTF-8 at byte 6 [file x.jsonl, line 6, offset 33] json "{\"a\":\"�\"}"
        ! read json::unexpected_end -: the text ends where a comma or the end of the object is due, at byte 6 [file x.jsonl, line 7, offset 43] json "{\"a\":3"
    "#]]);
}

#[test]
fn values_that_do_not_fit_stay_in_the_rest() {
    let scratch = Scratch::new();
    scratch.write(
        "x.jsonl",
        b"{\"a\":1,\"b\":0.5}\n{\"a\":\"one\",\"b\":9007199254740993,\"c\":{\"d\":1}}\n",
    );
    scratch.check(
        json!({"path": "x.jsonl", "infer": 1}),
        expect![[r#"
        schema: a int64, b float64, _rest json (rest)
        {"a":1,"b":0.5}
        {"a":"one","b":9007199254740993,"c":{"d":1}}
    "#]],
    );
}

#[test]
fn explicit_nulls_are_told_from_absent_fields_when_asked() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"{\"a\":1}\n{\"a\":null}\n{}\n");
    let open = OpenSource {
        explicit_nulls: true,
        ..OpenSource::default()
    };
    scratch.check_with(
        json!({"path": "x.jsonl"}),
        open,
        expect![[r#"
        schema: a int64, _rest json (rest)
        {"a":1}
        {"a":null}
        {}
    "#]],
    );
}

#[test]
fn a_json_array_holds_records() {
    let scratch = Scratch::new();
    scratch.write(
        "x.json",
        b" [ {\"a\":1} ,\n{\"a\":2, \"b\": [{}]},\t{\"a\":\"]}\"}, 7, {\"a\":}, {\"a\":4}\n]\n",
    );
    scratch.check(json!({"path": "x.json"}), expect![[r#"
        schema: a json, b json, _rest json (rest)
        {"a":1}
        {"a":2,"b":[{}]}
        {"a":"]}"}
        ! read json::not_an_object -: a record must be an object; another value at byte 0 [file x.json, line 2, offset 45] json "7"
        ! read json::unexpected_character -: '}' where a value is due, at byte 5 [file x.json, line 2, offset 48] json "{\"a\":}"
        {"a":4}
    "#]]);
}

#[test]
fn a_json_object_is_keyed_by_id() {
    let scratch = Scratch::new();
    scratch.write(
        "x.json",
        "{\"b/1\": {\"n\":1}, \"\\u00e4\": {\"n\":2, \"_id\": 5}}".as_bytes(),
    );
    scratch.check(
        json!({"path": "x.json"}),
        expect![[r#"
            schema: _id_ utf8 (id) (key), n int64, _id int64, _rest json (rest)
            {"_id_":"b/1","n":1}
            {"_id_":"ä","n":2,"_id":5}
        "#]],
    );
}

#[test]
fn a_pointer_leads_to_the_records() {
    let scratch = Scratch::new();
    scratch.write(
        "x.json",
        br#"{"type": "x", "skip": [{"features": []}], "a/b": [0, {"features": [{"id": 1}, {"id": 2}], "z": 1}], "end": {}}"#,
    );
    scratch.check(
        json!({"path": "x.json", "records": "/a~1b/1/features", "id": "id"}),
        expect![[r#"
        schema: id int64 (id), _rest json (rest)
        {"id":1}
        {"id":2}
    "#]],
    );
    scratch.check(json!({"path": "x.json", "records": "/a~1b/1/feature"}), expect![[r#"
        file::no_records: no records in `x.json`: there is no `/a~1b/1/feature`, only `features`, `z`; did you mean `features`? (byte 96)
        help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]]);
    scratch.check(json!({"path": "x.json", "records": "/type"}), expect![[r#"
        file::no_records: no records in `x.json`: `/type` is neither an array nor an object (byte 9)
        help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]]);
    scratch.check(json!({"path": "x.json", "records": "/a~1b/7"}), expect![[r#"
        file::no_records: no records in `x.json`: `/a~1b/7` is beyond the end, at 2 items (byte 97)
        help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]]);
    scratch.check(
        json!({"path": "x.json", "records": "a"}),
        expect![[r#"
        file::bad_pointer: `a` is no JSON pointer <does not begin with `/`>
        help: write `records = "/a"`
    "#]],
    );
    scratch.check(json!({"path": "x.json"}), expect![[r#"
        file::no_records: no records in `x.json`: it is an object, and its field `type` is not a record
        help: if the records are in `skip`, add `records = "/skip"`
    "#]]);
}

#[test]
fn a_json_text_that_is_not_whole_is_an_error_with_its_place() {
    let check = |text: &str, expected: expect_test::Expect| {
        let scratch = Scratch::new();
        scratch.write("x.json", text.as_bytes());
        scratch.check(json!({"path": "x.json", "infer": 1}), expected);
    };
    check(
        "",
        expect![[r#"
        file::empty: `x.json` is empty, which is not JSON
        help: a JSON file without records is `[]`; was this one written completely?
    "#]],
    );
    check(
        "[",
        expect![[r#"
        file::cut_off: `x.json` ends at byte 1, where `,` or the end of the records should be
        help: was the file written completely?
    "#]],
    );
    check(
        "[{\"a\":1}",
        expect![[r#"
        file::cut_off: `x.json` ends at byte 8, where `,` or the end of the records should be
        help: was the file written completely?
    "#]],
    );
    check(
        "[{\"a\":1},\n{\"a\":2}",
        expect![[r#"
        schema: a int64, _rest json (rest)
        {"a":1}
        {"a":2}
        file::cut_off: `x.json` ends at byte 17, where `,` or the end of the records should be
        help: was the file written completely?
    "#]],
    );
    check(
        "[{\"a\":1},\n{\"a\":",
        expect![[r#"
            file::cut_off: the record at line 2 of `x.json` (byte 10) has no end
            help: was the file written completely? a quote or bracket may be open since that place
        "#]],
    );
    check(
        "[{\"a\":1}]\n]",
        expect![[r#"
        file::json_syntax: something follows the end of the JSON text: line 2 of `x.json` (byte 10)
    "#]],
    );
    check(
        "[{\"a\":1} {\"a\":2}]",
        expect![[r#"
            file::json_syntax: `{` is at line 1 of `x.json` (byte 9), where `,` or the end of the records should be
            help: correct the file at that place; if it is not JSON, `format` says which format it has
        "#]],
    );
    check(
        "[{\"a\":1},]",
        expect![[r#"
            file::json_syntax: `]` is at line 1 of `x.json` (byte 9), where a value should be
            help: correct the file at that place; if it is not JSON, `format` says which format it has
        "#]],
    );
    check(
        "{\"a\":1}\n{\"a\":2}\n",
        expect![[r#"
        file::no_records: no records in `x.json`: it is an object, and its field `a` is not a record
        help: if every line is a record, add `format = "jsonl"`; else say where they are with `records`
    "#]],
    );
    check(
        "{\"x\":{\"a\":1}}\n{\"x\":{\"a\":2}}\n",
        expect![[r#"
        file::json_syntax: another value follows the end of the JSON text: line 2 of `x.json` (byte 14)
        help: one JSON value per line is JSON Lines: add `format = "jsonl"`
    "#]],
    );
    check(
        "{\"x\":{\"a\":1}, \"y\":[1]}",
        expect![[r#"
            schema: _id utf8 (id) (key), a int64, _rest json (rest)
            {"_id":"x","a":1}
            ! read json::not_an_object -: a record must be an object; another value at byte 0 [file x.json, line 1, offset 18] json "[1]"
        "#]],
    );
}

#[test]
fn a_field_pointed_at_twice_is_refused() {
    let scratch = Scratch::new();
    scratch.write("x.json", br#"{"f": [{"a": 1}], "f": [{"a": 2}]}"#);
    scratch.check(
        json!({"path": "x.json", "records": "/f"}),
        expect![[r#"
        file::json_syntax: `/f` is there twice: line 1 of `x.json` (byte 22)
    "#]],
    );
}

#[test]
fn csv_types_are_inferred_from_what_comes_back_as_it_was() {
    let scratch = Scratch::new();
    scratch.write(
        "x.csv",
        b"\xef\xbb\xbfn,x,flag,zip,long,text,none\r\n1,0.5,true,007,12345678901234567890,\"a,\"\"b\"\"\nc\",\r\n-2,3,False,1,1,\"\",\r\n",
    );
    scratch.check(json!({"path": "x.csv"}), expect![[r#"
        schema: n int64, x float64, flag boolean, zip utf8, long utf8, text utf8, none utf8
        {"n":1,"x":0.5,"flag":true,"zip":"007","long":"12345678901234567890","text":"a,\"b\"\nc","none":null}
        {"n":-2,"x":3.0,"flag":false,"zip":"1","long":"1","text":"","none":null}
    "#]]);
}

#[test]
fn csv_nulls_are_unquoted_cells_of_the_list() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"a,b\nNA,\n\"NA\",\"\"\n3,x\n");
    scratch.check(
        json!({"path": "x.csv"}),
        expect![[r#"
        schema: a utf8, b utf8
        {"a":"NA","b":null}
        {"a":"NA","b":""}
        {"a":"3","b":"x"}
    "#]],
    );
    scratch.check(
        json!({"path": "x.csv", "csv": {"null": ["", "NA"]}}),
        expect![[r#"
        schema: a utf8, b utf8
        {"a":null,"b":null}
        {"a":"NA","b":""}
        {"a":"3","b":"x"}
    "#]],
    );
    scratch.check(
        json!({"path": "x.csv", "csv": {"null": []}}),
        expect![[r#"
        schema: a utf8, b utf8
        {"a":"NA","b":""}
        {"a":"NA","b":""}
        {"a":"3","b":"x"}
    "#]],
    );
}

#[test]
fn a_bad_csv_line_takes_no_other_with_it() {
    let scratch = Scratch::new();
    scratch.write(
        "x.csv",
        b"a,b\n1,2\n\n1,2,3\n1\n\"x\"y,2\n5,\"open\n6,7\n\xff,8\n9,10\n",
    );
    scratch.check(json!({"path": "x.csv", "fields": {"a": "utf8"}}), expect![[r#"
        schema: a utf8, b int64
        {"a":"1","b":2}
        ! read csv::cell_count -: 3 cells where 2 were expected [file x.csv, line 4, offset 9] csv "1,2,3"
        ! read csv::cell_count -: 1 cell where 2 were expected [file x.csv, line 5, offset 15] csv "1"
        ! read csv::text_after_quote -: text follows a closing quote; a quote inside quotes is doubled [file x.csv, line 6, offset 17] csv "\"x\"y,2"
        ! read csv::unclosed_quote -: a quote is opened on this line and never closed [file x.csv, line 7, offset 24] csv "5,\"open"
        {"a":"6","b":7}
        ! read csv::not_utf8 -: the line is not UTF-8 [file x.csv, line 9, offset 36] csv "�,8"
        {"a":"9","b":10}
    "#]]);
}

#[test]
fn an_unclosed_quote_refuses_the_line_on_which_it_opens() {
    let scratch = Scratch::new();
    scratch.write(
        "x.csv",
        b"a,b\n\"two\nlines\",1\n\"good\nline\",\"bad\n3,4\n5,6",
    );
    scratch.check(json!({"path": "x.csv"}), expect![[r#"
        schema: a utf8, b int64
        {"a":"two\nlines","b":1}
        ! read csv::unclosed_quote -: a quote is opened on this line and never closed [file x.csv, line 4, offset 18] csv "\"good\nline\",\"bad"
        {"a":"3","b":4}
        {"a":"5","b":6}
    "#]]);
}

#[test]
fn csv_values_that_do_not_fit_are_refused() {
    let scratch = Scratch::new();
    scratch.write(
        "x.csv",
        b"n,d\n1,2024-02-29\nx,2024-02-30\n3,\n\"\",2024-01-01\n",
    );
    scratch.check(json!({"path": "x.csv", "infer": 1, "fields": {"d": "date32"}}), expect![[r#"
        schema: n int64, d date32
        {"n":1,"d":"2024-02-29"}
        ! decode csv::type_mismatch n: `n` is not exactly a value of type int64 [file x.csv, line 3, offset 17] csv "x,2024-02-30"
        {"n":3,"d":null}
        {"n":null,"d":"2024-01-01"}
    "#]]);
}

#[test]
fn csv_headers_name_every_column_once() {
    let check = |header: &str, expected: expect_test::Expect| {
        let scratch = Scratch::new();
        scratch.write("x.csv", header.as_bytes());
        scratch.check(json!({"path": "x.csv"}), expected);
    };
    check(
        "a,b,a\n1,2,3\n",
        expect![[r#"
        csv::header: the first line of `x.csv` does not name its columns: two columns are called `a`
        help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
    check(
        "a,,c\n",
        expect![[r#"
        csv::header: the first line of `x.csv` does not name its columns: column 2 has no name
        help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
    check(
        "a,b\r1,2\r",
        expect![[r#"
        csv::header: the first line of `x.csv` does not name its columns: lines end in bare carriage returns
        help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
    check(
        "",
        expect![[r#"
        csv::no_header: `x.csv` is empty: not even its columns are known
        help: a CSV file without records has a header line; was this one written completely?
    "#]],
    );
    check(
        "a,\"b\n1,2\n",
        expect![[r#"
        csv::header: the first line of `x.csv` does not name its columns: a quote is opened on this line and never closed
        help: correct that line, or add `csv = { header = false }` if it is a record
    "#]],
    );
    check(
        "a,b\n",
        expect![[r#"
        schema: a utf8, b utf8
    "#]],
    );
}

#[test]
fn csv_without_header_has_numbered_columns() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"1;x\n2;y\n");
    scratch.check(
        json!({"path": "x.csv", "csv": {"header": false, "delimiter": ";"}}),
        expect![[r#"
            schema: column_1 int64, column_2 utf8
            {"column_1":1,"column_2":"x"}
            {"column_1":2,"column_2":"y"}
        "#]],
    );
}

#[test]
fn tsv_and_quotes_of_its_own() {
    let scratch = Scratch::new();
    scratch.write("x.tsv", b"a\tb\n'x\ty'\t\"\n");
    scratch.check(
        json!({"path": "x.tsv", "csv": {"quote": "'"}}),
        expect![[r#"
        schema: a utf8, b utf8
        {"a":"x\ty","b":"\""}
    "#]],
    );
    scratch.write("y.tsv", b"a\tb\n\"x\t'y\"\n");
    scratch.check(
        json!({"path": "y.tsv", "csv": {"quote": ""}}),
        expect![[r#"
        schema: a utf8, b utf8
        {"a":"\"x","b":"'y\""}
    "#]],
    );
}

#[test]
fn in_a_file_of_one_column_an_empty_line_is_a_record() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"a\n1\n\n3\n");
    scratch.check(
        json!({"path": "x.csv"}),
        expect![[r#"
        schema: a int64
        {"a":1}
        {"a":null}
        {"a":3}
    "#]],
    );
}

#[test]
fn compressed_files_are_read_whole() {
    let scratch = Scratch::new();
    scratch.write(
        "x.jsonl.gz",
        &[gzip(b"{\"a\":1}\n{\"a\""), gzip(b":2}\n")].concat(),
    );
    scratch.check(
        json!({"path": "x.jsonl.gz"}),
        expect![[r#"
        schema: a int64, _rest json (rest)
        {"a":1}
        {"a":2}
    "#]],
    );
    scratch.write("x.csv.zst", &[zstd(b"a\n1\n"), zstd(b"2\n")].concat());
    scratch.check(
        json!({"path": "x.csv.zst"}),
        expect![[r#"
        schema: a int64
        {"a":1}
        {"a":2}
    "#]],
    );
}

#[test]
fn a_compression_that_the_first_bytes_deny_is_refused() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl.gz", b"{\"a\":1}\n");
    scratch.check(json!({"path": "x.jsonl.gz"}), expect![[r#"
        file::wrong_compression: `x.jsonl.gz` should be compressed with gzip, and is not compressed <its first bytes say otherwise>
        help: add `compression = "none"`, or correct the file's name
    "#]]);
    scratch.write("x.jsonl", &gzip(b"{\"a\":1}\n"));
    scratch.check(json!({"path": "x.jsonl"}), expect![[r#"
        file::wrong_compression: `x.jsonl` should be not compressed, and is compressed with gzip <its first bytes say otherwise>
        help: add `compression = "gzip"`, or correct the file's name
    "#]]);
    scratch.check(
        json!({"path": "x.jsonl", "compression": "gzip"}),
        expect![[r#"
        schema: a int64, _rest json (rest)
        {"a":1}
    "#]],
    );
    scratch.write("empty.jsonl.zst", b"");
    scratch.check(json!({"path": "empty.jsonl.zst"}), expect![[r#"
        file::wrong_compression: `empty.jsonl.zst` should be compressed with zstd, and is empty <its first bytes say otherwise>
        help: add `compression = "none"`, or correct the file's name
    "#]]);
    scratch.write("x.json", b"PAR1....");
    scratch.check(
        json!({"path": "x.json"}),
        expect![[r#"
        file::wrong_format: `x.json` is not JSON <its first bytes say otherwise>
        help: it begins like Parquet: add `format = "parquet"`, or correct the file's name
    "#]],
    );
    scratch.write("x.parquet", b"{}");
    scratch.check(
        json!({"path": "x.parquet"}),
        expect![[r#"
        file::wrong_format: `x.parquet` is not Parquet <its first bytes say otherwise>
        help: was it written completely? `format` says which format a file has
    "#]],
    );
}

#[test]
fn a_compressed_file_that_is_cut_off_is_an_error() {
    let scratch = Scratch::new();
    let whole = gzip(b"{\"a\":1}\n{\"a\":2}\n");
    scratch.write("x.jsonl.gz", &whole[..whole.len() - 5]);
    scratch.check(json!({"path": "x.jsonl.gz"}), expect![[r#"
        file::corrupt: `x.jsonl.gz` is cut off, or something else follows its gzip stream (near byte 27, after 16 bytes of content): unexpected end of file
        help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]]);
    scratch.write("y.jsonl.gz", &[whole, b"more".to_vec()].concat());
    scratch.check(json!({"path": "y.jsonl.gz"}), expect![[r#"
        file::corrupt: `y.jsonl.gz` is cut off, or something else follows its gzip stream (near byte 36, after 16 bytes of content): unexpected end of file
        help: nothing after this place was read; make the file again, or unpack it by hand to see what is left
    "#]]);
}

#[test]
fn a_folder_and_a_glob_are_their_files_in_order() {
    let scratch = Scratch::new();
    scratch.write("in/b.jsonl", b"{\"n\":2}\n");
    scratch.write("in/a.jsonl", b"{\"n\":1}\n");
    scratch.write("in/_manifest.json", b"{}");
    scratch.write("in/.a.jsonl", b"{\"n\":0}\n");
    scratch.write("in/readme.txt", b"hello");
    scratch.write("in/deeper/c.jsonl", b"{\"m\":3}\n");
    scratch.check(
        json!({"path": "in"}),
        expect![[r#"
        schema: n int64, _rest json (rest)
        {"n":1}
        {"n":2}
    "#]],
    );
    scratch.check(
        json!({"path": "in/**/*.jsonl"}),
        expect![[r#"
        schema: n int64, m int64, _rest json (rest)
        {"n":1}
        {"n":2}
        {"m":3}
    "#]],
    );
    scratch.check(json!({"path": "in/*.parquet"}), expect![[r#"
        file::no_files: there is no file in `in/*.parquet` <matches nothing>
        help: known extensions: .json, .jsonl, .ndjson, .csv, .tsv, .parquet, .pq, .arrow, .feather, .ipc, each also before .gz, .zst or .zstd
    "#]]);
    scratch.check(
        json!({"path": "in/a.jsnol"}),
        expect![[r#"
        file::not_found: there is no file `in/a.jsnol` <did you mean `a.jsonl`?>
        help: relative paths start at the folder of the job file
    "#]],
    );
    scratch.check(json!({"path": "in/readme.txt"}), expect![[r#"
        file::unknown_format: the name of `in/readme.txt` does not say its format <no known extension>
        help: say it with `format` (json, jsonl, csv, tsv, parquet, arrow), or use one of .json, .jsonl, .ndjson, .csv, .tsv, .parquet, .pq, .arrow, .feather, .ipc, each also before .gz, .zst or .zstd
    "#]]);
    scratch.write("in/c.csv", b"n\n1\n");
    scratch.check(
        json!({"path": "in"}),
        expect![[r#"
        file::mixed_formats: `in/a.jsonl` is JSON Lines and `in/c.csv` is CSV <more than one format>
        help: a source has one format: name the files with a glob, `folder/*.jsonl`
    "#]],
    );
}

#[test]
fn files_of_one_source_have_the_same_columns() {
    let scratch = Scratch::new();
    scratch.write("a.csv", b"x,y\n1,2\n");
    scratch.write("b.csv", b"y,x\nb,3\n");
    scratch.check(
        json!({"path": "*.csv"}),
        expect![[r#"
        schema: x int64, y utf8
        {"x":1,"y":"2"}
        {"x":3,"y":"b"}
    "#]],
    );
    scratch.write("c.csv", b"x,z\n1,2\n");
    scratch.check(json!({"path": "*.csv"}), expect![[r#"
        csv::other_columns: `c.csv` has no column `y`, which the files before it have
        help: files of one source have the same columns, in any order; name those that belong together with a glob
    "#]]);
}

#[test]
fn columns_key_and_id_are_named_or_refused() {
    let scratch = Scratch::new();
    scratch.write(
        "x.jsonl",
        b"{\"id\":7,\"name\":\"a\",\"born\":1}\n{\"id\":8,\"name\":5,\"more\":1}\n",
    );
    let columns = |names: &[&str]| OpenSource {
        columns: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        key: vec!["id".to_owned()],
        ..OpenSource::default()
    };
    let options = json!({"path": "x.jsonl", "id": "id", "infer": 1});
    scratch.check_with(
        options.clone(),
        columns(&["name", "id"]),
        expect![[r#"
        schema: name utf8, id int64 (id) (key), _rest json (rest)
        {"name":"a","id":7}
        {"name":5,"id":8}
    "#]],
    );
    scratch.check_with(
        options.clone(),
        columns(&["name", "ID"]),
        expect![[r#"
        file::unknown_field: `columns` names `ID`, which the file does not have; did you mean `id`?
        help: the file has: id, name, born
    "#]],
    );
    scratch.check_with(
        options.clone(),
        columns(&["name"]),
        expect![[r#"
        file::unknown_field: `id` names `id`, which the file does not have <no id of these records>
        help: the file has: name
    "#]],
    );
    scratch.check(json!({"path": "x.jsonl", "id": "nmae"}), expect![[r#"
        file::unknown_field: `id` names `nmae`, which the file does not have; did you mean `name`? <no id of these records>
        help: the file has: id, name, born, more
    "#]]);
    scratch.check(json!({"path": "x.jsonl", "fields": {"burn": "date32"}}), expect![[r#"
        file::unknown_field: `fields` names `burn`, which the file does not have; did you mean `born`? <not a field of the file>
        help: the file has: id, name, born, more
    "#]]);
    scratch.write("x.csv", b"name,id\na,7\n");
    scratch.check_with(
        json!({"path": "x.csv", "id": "id"}),
        columns(&["id"]),
        expect![[r#"
        schema: id int64 (id) (key)
        {"id":7}
    "#]],
    );
}

#[test]
fn empty_files_have_no_records() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"");
    scratch.check(
        json!({"path": "x.jsonl"}),
        expect![[r#"
        schema: _rest json (rest)
    "#]],
    );
    scratch.check(
        json!({"path": "x.jsonl", "fields": {"a": "int64"}}),
        expect![[r#"
        schema: a int64, _rest json (rest)
    "#]],
    );
    scratch.write("x.json", b"[]");
    scratch.check(
        json!({"path": "x.json"}),
        expect![[r#"
        schema: _rest json (rest)
    "#]],
    );
    scratch.write("y.json", b" {} ");
    scratch.check(
        json!({"path": "y.json"}),
        expect![[r#"
            schema: _id utf8 (id) (key), _rest json (rest)
        "#]],
    );
}

#[test]
fn utf_16_is_refused_with_the_way_out() {
    let scratch = Scratch::new();
    scratch.write("x.csv", b"\xff\xfea\0,\0b\0");
    scratch.check(
        json!({"path": "x.csv"}),
        expect![[r#"
        file::encoding: `x.csv` is UTF-16, not UTF-8
        help: convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW
    "#]],
    );
}

#[test]
fn a_record_without_end_is_an_error_with_its_place() {
    let scratch = Scratch::new();
    let mut long = b"{\"a\":1}\n{\"a\":\"".to_vec();
    long.resize(65 << 20, b'x');
    scratch.write("x.jsonl", &long);
    scratch.check(json!({"path": "x.jsonl"}), expect![[r#"
        file::record_too_long: the record at line 2 of `x.jsonl` (byte 8) is longer than 64 MiB
        help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]]);
    let mut long = b"[{\"a\":1},\n{\"a\":\"".to_vec();
    long.resize(65 << 20, b'x');
    scratch.write("x.json", &long);
    scratch.check(json!({"path": "x.json"}), expect![[r#"
        file::record_too_long: the record at line 2 of `x.json` (byte 10) is longer than 64 MiB
        help: a quote or bracket that is never closed, or another format? `format` says which one this file has
    "#]]);
}

#[test]
fn a_file_that_is_laid_out_otherwise_is_refused_with_the_way_out() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"[{\"a\":1}]\n");
    scratch.check(
        json!({"path": "x.jsonl"}),
        expect![[r#"
        file::no_records: the first record of `x.jsonl` is an array, not an object
        help: one array of all records is JSON, not JSON Lines: `format = "json"`
    "#]],
    );
    scratch.write(
        "x.json",
        br#"{"type": "FeatureCollection", "bbox": {}, "features": [{"a": 1}]}"#,
    );
    scratch.check(json!({"path": "x.json"}), expect![[r#"
        file::no_records: no records in `x.json`: it is an object, and its field `type` is not a record
        help: if the records are in `features`, add `records = "/features"`
    "#]]);
    scratch.write("y.json", br#"{"a/b": [{"a": 1}], "n": 1}"#);
    scratch.check(json!({"path": "y.json"}), expect![[r#"
        file::no_records: no records in `y.json`: it is an object, and its field `a/b` is not a record
        help: if the records are in `a/b`, add `records = "/a~1b"`
    "#]]);
    scratch.write("z.json", br#"{"meta": {"n": 1}, "rows": [{"a": 1}]}"#);
    scratch.check(
        json!({"path": "z.json"}),
        expect![[r#"
        file::no_records: `z.json` is not keyed by id: its field `rows` is an array
        help: if the records are in there, add `records = "/rows"`
    "#]],
    );
    scratch.write("n.json", b"12");
    scratch.check(json!({"path": "n.json"}), expect![[r#"
        file::no_records: no records in `n.json`: the JSON text is neither an array nor an object (byte 0)
        help: `records` is a JSON pointer to the array or object that holds them: `records = "/features"`
    "#]]);
}

#[test]
fn options_that_mean_nothing_for_a_format_are_refused() {
    let scratch = Scratch::new();
    scratch.write("x.jsonl", b"{}\n");
    scratch.check(
        json!({"path": "x.jsonl", "records": "/a"}),
        expect![[r#"
            file::not_for_format: `records` means nothing for JSON Lines <only for JSON>
            help: remove `records`, or say `format` if this file is something else
        "#]],
    );
    scratch.check(
        json!({"path": "x.jsonl", "csv": {}}),
        expect![[r#"
        file::not_for_format: `csv` means nothing for JSON Lines <only for CSV and TSV>
        help: remove `csv`, or say `format` if this file is something else
    "#]],
    );
}

#[test]
fn a_folder_that_a_run_moved_aside_is_named() {
    let scratch = Scratch::new();
    scratch.write(".out.dkhost-old/part-00000-00000.jsonl", b"{}\n");
    let error = scratch.open(json!({"path": "out/"})).err().unwrap();
    assert_eq!(error.code(), "file::not_found");
    let (aside, out) = (scratch.path(".out.dkhost-old"), scratch.path("out/"));
    assert_eq!(
        error.help_text().unwrap(),
        format!(
            "a run that was to replace it was interrupted where folders cannot be swapped: mv '{}' '{}', and run its job again",
            aside.display(),
            out.display()
        )
    );
}
