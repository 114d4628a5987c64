//! Every format and compression, read back by readers that are not ours; every type and extreme.

use std::fs::File;
use std::io::Read;

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::FileReader;
use expect_test::{Expect, expect};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader as _, SerializedFileReader};

use super::*;

fn check(place: Place, expected: Expect) {
    run(&place, &[small(4, 2), small(6, 2)]);
    expected.assert_eq(&place.text());
    assert_eq!(place.names(), [place.options["path"].as_str().unwrap()]);
}

#[test]
fn json_lines() {
    check(
        Place::new("x.jsonl"),
        expect![[r#"
            {"n":4,"t":"row \"4\",\nxxxx"}
            {"n":5,"t":""}
            {"n":6,"t":"row \"6\",\nxxxxxx"}
            {"n":7,"t":null}
        "#]],
    );
}

#[test]
fn a_json_array() {
    check(
        Place::new("x.json"),
        expect![[r#"
            [
            {"n":4,"t":"row \"4\",\nxxxx"},
            {"n":5,"t":""},
            {"n":6,"t":"row \"6\",\nxxxxxx"},
            {"n":7,"t":null}
            ]
        "#]],
    );
}

#[test]
fn csv_tells_null_from_empty() {
    check(
        Place::new("x.csv"),
        expect![[r#"
            n,t
            4,"row ""4"",
            xxxx"
            5,""
            6,"row ""6"",
            xxxxxx"
            7,
        "#]],
    );
}

#[test]
fn csv_options() {
    let options =
        serde_json::json!({ "delimiter": ";", "quote": "'", "header": false, "null": ["NA", "-"] });
    let schema = Schema::new(vec![
        Field::new("a", LogicalType::Utf8),
        Field::new("b", LogicalType::Int64),
    ]);
    let place = Place::new("x.csv")
        .option("csv", options)
        .schema(schema.clone());
    let cells = |cells: &[&str]| {
        cells
            .iter()
            .map(|c| Some(c.to_string()))
            .collect::<Vec<_>>()
    };
    let records = batch_of(
        &schema,
        &[
            cells(&["NA", "-", "a;b", "it's", "", " x"]),
            cells(&["1", "2", "3", "4", "5", "6"]),
        ],
    );
    let nulls = batch_of(&schema, &[vec![None], vec![None]]);
    run(&place, &[records.clone(), nulls.clone()]);
    expect![[r#"
        'NA';1
        '-';2
        'a;b';3
        'it''s';4
        '';5
        ' x';6
        NA;NA
    "#]]
    .assert_eq(&place.text());
    assert_eq!(
        scanned(&place),
        concat_batches(&schema.to_arrow(), &[records, nulls]).unwrap()
    );
}

#[test]
fn a_cell_that_needs_quotes_is_refused_where_there_are_none() {
    let schema = Schema::new(vec![Field::new("a", LogicalType::Utf8)]);
    let place = Place::new("x.tsv")
        .option("csv", serde_json::json!({ "quote": "" }))
        .schema(schema.clone());
    let sink = place.open();
    sink.claim(&claim("run")).unwrap();
    let mut writer = sink.writer(&partition(0)).unwrap();
    let cells = ["fine", "a\tb", "also"]
        .map(|c| Some(c.to_owned()))
        .to_vec();
    let report = writer.write(&batch(batch_of(&schema, &[cells]))).unwrap();
    assert_eq!(
        (
            report.rejects.len(),
            report.rejects[0].row,
            report.rejects[0].code.as_str()
        ),
        (1, 1, "file::not_representable")
    );
    assert_eq!(writer.read_back().unwrap().num_rows(), 2);
}

#[test]
fn what_json_cannot_say_is_refused_and_leaves_no_trace() {
    for path in ["x.json", "x.jsonl"] {
        let schema = Schema::new(vec![Field::new("f", LogicalType::Float64)]);
        let place = Place::new(path).schema(schema.clone());
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        let mut writer = sink.writer(&partition(0)).unwrap();
        let cells = ["NaN", "1.5", "inf", "2.5"]
            .map(|c| Some(c.to_owned()))
            .to_vec();
        let report = writer.write(&batch(batch_of(&schema, &[cells]))).unwrap();
        let refused: Vec<_> = report
            .rejects
            .iter()
            .map(|r| (r.row, r.code.as_str()))
            .collect();
        assert_eq!(
            refused,
            [
                (0, "file::not_representable"),
                (2, "file::not_representable")
            ]
        );
        use dkhost_core::{Outcome::*, Outcomes};
        assert_eq!(
            report.outcomes,
            Outcomes::Each(vec![Rejected, Written, Rejected, Written])
        );
        writer.commit(&checkpoint("run", epoch, 0, 1)).unwrap();
        writer.flush().unwrap();
        assert_eq!(sink.count().unwrap(), 2);
        sink.publish().unwrap();
        let values: Vec<f64> = match path {
            "x.json" => serde_json::from_str::<Vec<Value>>(&place.text()).unwrap(),
            _ => place
                .text()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
        .iter()
        .map(|record| record["f"].as_f64().unwrap())
        .collect();
        assert_eq!(values, [1.5, 2.5]);
    }
}

#[test]
fn an_empty_target_is_a_valid_file_of_its_format() {
    for path in [
        "x.jsonl",
        "x.json",
        "x.csv",
        "x.parquet",
        "x.arrow",
        "x.jsonl.gz",
        "x.csv.zst",
    ] {
        let place = Place::new(path);
        run(&place, &[]);
        match path {
            "x.jsonl" => assert_eq!(place.text(), ""),
            "x.json" => assert_eq!(place.text(), "[]\n"),
            "x.csv" => assert_eq!(place.text(), "n,t\n"),
            "x.parquet" => {
                let file =
                    SerializedFileReader::new(File::open(place.path(path)).unwrap()).unwrap();
                assert_eq!(file.metadata().file_metadata().num_rows(), 0);
            }
            "x.arrow" => assert_eq!(
                FileReader::try_new(File::open(place.path(path)).unwrap(), None)
                    .unwrap()
                    .count(),
                0
            ),
            "x.csv.zst" => assert_eq!(zstd::decode_all(&place.bytes()[..]).unwrap(), b"n,t\n"),
            _ => {
                let mut text = String::new();
                assert!(!place.bytes().is_empty());
                flate2::read::MultiGzDecoder::new(&place.bytes()[..])
                    .read_to_string(&mut text)
                    .unwrap();
                assert_eq!(text, "");
            }
        }
    }
}

#[test]
fn gzip_and_zstd_around_text() {
    for path in [
        "x.jsonl.gz",
        "x.json.gz",
        "x.csv.gz",
        "x.tsv.gz",
        "x.jsonl.zst",
        "x.json.zst",
        "x.csv.zst",
    ] {
        let plain = Place::new(path.rsplit_once('.').unwrap().0);
        let place = Place::new(path);
        let batches = [small(0, 100), small(100, 1), small(101, 300)];
        run(&plain, &batches);
        run(&place, &batches);
        let mut text = String::new();
        match path.ends_with("gz") {
            true => flate2::read::MultiGzDecoder::new(&place.bytes()[..])
                .read_to_string(&mut text)
                .unwrap(),
            false => zstd::stream::read::Decoder::new(&place.bytes()[..])
                .unwrap()
                .read_to_string(&mut text)
                .unwrap(),
        };
        assert_eq!(text, plain.text(), "{path}");
        assert!(place.bytes().len() < text.len());
    }
}

#[test]
fn parquet_with_every_codec() {
    use parquet::basic::Compression as Codec;
    for (word, is_codec) in [
        (None, (|codec| codec == Codec::SNAPPY) as fn(Codec) -> bool),
        (Some("none"), |codec| codec == Codec::UNCOMPRESSED),
        (Some("gzip"), |codec| matches!(codec, Codec::GZIP(_))),
        (Some("zstd"), |codec| matches!(codec, Codec::ZSTD(_))),
    ] {
        let place = Place::new("x.parquet");
        let place = match word {
            Some(word) => place.option("compression", word),
            None => place,
        };
        run(&place, &[small(0, 1000), small(1000, 1000)]);
        let file = || File::open(place.path("x.parquet")).unwrap();
        let metadata = SerializedFileReader::new(file()).unwrap();
        assert!(
            is_codec(metadata.metadata().row_group(0).column(0).compression()),
            "{word:?}"
        );
        let reader = ParquetRecordBatchReaderBuilder::try_new(file())
            .unwrap()
            .build()
            .unwrap();
        let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
        let schema = place.schema.to_arrow();
        assert_eq!(batches[0].schema(), schema);
        let all = concat_batches(&schema, &batches).unwrap();
        assert_eq!(
            all,
            concat_batches(&schema, &[small(0, 1000), small(1000, 1000)]).unwrap()
        );
    }
}

#[test]
fn arrow_plain_and_zstd() {
    for word in ["none", "zstd"] {
        let place = Place::new("x.arrow").option("compression", word);
        let batches = [small(0, 1000), small(1000, 10), small(1010, 1000)];
        run(&place, &batches);
        let reader = FileReader::try_new(File::open(place.path("x.arrow")).unwrap(), None).unwrap();
        assert_eq!(reader.num_batches(), 3);
        let read: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
        assert_eq!(read, batches, "{word}");
    }
}

/// Every type with its extremes, and a null in every column.
pub fn every_type() -> (Schema, RecordBatch) {
    let types: &[(&str, &[&str])] = &[
        ("boolean", &["true", "false"]),
        ("int32", &["-2147483648", "2147483647"]),
        ("int64", &["-9223372036854775808", "9223372036854775807"]),
        ("uint64", &["0", "18446744073709551615"]),
        ("float32", &["0.1", "-3.4028235e38"]),
        ("float64", &["-0.0", "1.7976931348623157e308"]),
        ("utf8", &["", "é\u{0}\r\n\t,\"'\u{1F600} "]),
        ("binary", &["", "AP8Q"]),
        ("json", &[r#"{"a":[1,"x,y"],"b":null}"#, "\"text\""]),
        ("date32", &["-5877641-06-24", "2024-02-29"]),
        ("time64", &["00:00:00", "23:59:59.999999"]),
        (
            "timestamp",
            &["0001-01-01T00:00:00", "2024-02-29T23:59:59.999999"],
        ),
        (
            "timestamp(UTC)",
            &["1969-12-31T23:59:59.999999Z", "9999-12-31T00:00:00Z"],
        ),
        (
            "uuid",
            &[
                "00000000-0000-0000-0000-000000000000",
                "0191f2a0-1234-7abc-8def-ffffffffffff",
            ],
        ),
        (
            "decimal(38, 10)",
            &["-9999999999999999999999999999.9999999999", "0.0000000001"],
        ),
        ("number", &["123456789012345678901234567890.5", "1e400"]),
        (
            "vector(3)",
            &["[0.25,-1.0,3.4028235e38]", "[0.0,-0.0,1e-45]"],
        ),
    ];
    let (mut fields, mut cells) = (Vec::new(), Vec::new());
    for (name, values) in types {
        fields.push(Field::new(*name, name.parse().unwrap()));
        cells.push(
            values
                .iter()
                .map(|v| Some(v.to_string()))
                .chain([None])
                .collect(),
        );
    }
    fields.push(Field::new("nothing", LogicalType::Null));
    cells.push(vec![None, None, None]);
    let schema = Schema::new(fields);
    let records = batch_of(&schema, &cells);
    (schema, records)
}

fn scanned(place: &Place) -> RecordBatch {
    let place = Place {
        dir: tempfile::tempdir_in(place.dir.path()).unwrap(),
        options: place.options.clone(),
        schema: place.schema.clone(),
        reshape: None,
        ..*place
    };
    let original = place
        .dir
        .path()
        .parent()
        .unwrap()
        .join(place.options["path"].as_str().unwrap());
    let sink = place.open();
    fs::copy(
        original,
        place.path(place.options["path"].as_str().unwrap()),
    )
    .unwrap();
    all_of(sink.as_ref(), &place.schema)
}

fn all_of(sink: &dyn Sink, schema: &Schema) -> RecordBatch {
    let mut batches = Vec::new();
    sink.scan(&mut |records| {
        batches.push(records);
        Ok(())
    })
    .unwrap();
    concat_batches(&schema.to_arrow(), &batches).unwrap()
}

#[test]
fn every_type_comes_back_while_staged_and_when_published() {
    let (schema, records) = every_type();
    for path in [
        "x.jsonl",
        "x.json",
        "x.csv",
        "x.tsv",
        "x.parquet",
        "x.arrow",
        "x.jsonl.gz",
        "x.json.zst",
        "x.csv.zst",
    ] {
        let place = Place::new(path).schema(schema.clone());
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        let mut writer = sink.writer(&partition(0)).unwrap();
        let twice = concat_batches(&schema.to_arrow(), [&records, &records]).unwrap();
        for seq in 1..3 {
            assert_eq!(
                writer.write(&batch(records.clone())).unwrap().rejects,
                [],
                "{path}"
            );
            assert_eq!(writer.read_back().unwrap(), records, "{path}");
            writer.commit(&checkpoint("run", epoch, 0, seq)).unwrap();
        }
        assert_eq!(all_of(sink.as_ref(), &schema), twice, "{path}");
        assert_eq!(sink.count().unwrap(), 6, "{path}");
        writer.flush().unwrap();
        sink.publish().unwrap();
        assert_eq!(all_of(sink.as_ref(), &schema), twice, "{path}");
        assert_eq!(sink.count().unwrap(), 6, "{path}");
        sink.retire().unwrap();
        assert_eq!(scanned(&place), twice, "{path}");
    }
}

#[test]
fn more_text_than_is_looked_at_together_is_counted_and_read() {
    for path in ["x.jsonl", "x.json", "x.csv", "x.csv.gz"] {
        let place = Place::new(path);
        let batches: Vec<_> = (0..40).map(|i| small(i * 5000, 5000)).collect();
        run(&place, &batches);
        let all = scanned(&place);
        let numbers = all.column(0).as_primitive::<Int64Type>();
        assert_eq!(numbers.len(), 200_000, "{path}");
        assert!(
            (0..200_000).all(|row| numbers.value(row as usize) == row),
            "{path}"
        );
        assert_eq!(
            all,
            concat_batches(&all.schema(), &batches).unwrap(),
            "{path}"
        );
    }
}

#[test]
fn a_plan_says_that_two_kinds_of_nothing_are_one_in_json() {
    let how = |path: &str, null_is_absent| {
        let column = Field {
            null_is_absent,
            ..Field::new("j", LogicalType::Json)
        };
        let schema = Schema::new(vec![column]);
        Place::new(path).schema(schema).open().plan().columns[0]
            .how
            .clone()
            .unwrap_or_default()
    };
    assert!(how("x.jsonl", false).contains("JSON's own null"));
    assert!(how("x.json", false).contains("JSON's own null"));
    // Documents keep it in the rest, and files of columns as text.
    assert_eq!(how("x.jsonl", true), "");
    assert!(!how("x.parquet", false).contains("null"));
}

#[test]
fn documents_keep_metadata_and_what_the_schema_does_not_know() {
    use dkhost_core::Role;
    let absent = Field {
        null_is_absent: true,
        ..Field::new("a", LogicalType::Int64)
    };
    let schema = Schema::new(vec![
        Field::reserved(Role::Id),
        absent,
        Field::reserved(Role::Meta),
        Field::reserved(Role::Rest),
    ]);
    let text = |text: &str| Some(text.to_owned());
    let records = batch_of(
        &schema,
        &[
            vec![text("x"), text("y"), text("z")],
            vec![text("1"), None, None],
            vec![text(r#"{"by":"me"}"#), None, None],
            vec![
                text(r#"{"other":[1, 2]}"#),
                text(r#"{"a":"not a number","b":null}"#),
                None,
            ],
        ],
    );
    let place = Place::new("x.jsonl").schema(schema);
    run(&place, std::slice::from_ref(&records));
    expect![[r#"
        {"_id":"x","a":1,"_meta":{"by":"me"},"other":[1, 2]}
        {"_id":"y","a":"not a number","b":null}
        {"_id":"z"}
    "#]]
    .assert_eq(&place.text());
    assert_eq!(scanned(&place), records);
}
