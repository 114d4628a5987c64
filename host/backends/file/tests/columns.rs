//! Parquet and Arrow written by others: layouts widened, values that have no place refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use dkhost_core::OpenSource;
use expect_test::expect;
use parquet::arrow::ArrowWriter;
use serde_json::json;
use support::Scratch;

fn parquet(records: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), records.schema(), None).unwrap();
    writer.write(records).unwrap();
    writer.into_inner().unwrap()
}

fn arrow(records: &RecordBatch) -> Vec<u8> {
    let mut writer =
        arrow::ipc::writer::FileWriter::try_new(Vec::new(), &records.schema()).unwrap();
    writer.write(records).unwrap();
    writer.into_inner().unwrap()
}

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

fn foreign() -> RecordBatch {
    let mut lists = ListBuilder::new(Int8Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None].into_iter().collect();
    columns(vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(-1), None]))),
        ("u32", Arc::new(UInt32Array::from(vec![u32::MAX, 0]))),
        ("u64", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        (
            "large",
            Arc::new(LargeStringArray::from(vec![Some("x"), None])),
        ),
        ("view", Arc::new(StringViewArray::from(vec!["y", "z"]))),
        ("dictionary", Arc::new(dictionary)),
        (
            "seconds",
            Arc::new(TimestampSecondArray::from(vec![0, 1]).with_timezone("UTC")),
        ),
        (
            "nanos",
            Arc::new(TimestampNanosecondArray::from(vec![1_000, 2_000])),
        ),
        ("list", Arc::new(lists.finish())),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![150, -1])
                    .with_precision_and_scale(5, 2)
                    .unwrap(),
            ),
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice(), b""])),
        ),
        ("nan", Arc::new(Float64Array::from(vec![0.1, 1e300]))),
    ])
}

#[test]
fn foreign_layouts_are_widened() {
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet(&foreign()));
    scratch.check(json!({"path": "x.parquet"}), expect![[r#"
        schema: i8 int32, u32 int64, u64 uint64, large utf8, view utf8, dictionary utf8, seconds timestamp(us, UTC), nanos timestamp(us), list json, decimal decimal(5, 2), bytes binary, nan float64
        {"i8":-1,"u32":4294967295,"u64":18446744073709551615,"large":"x","view":"y","dictionary":"a","seconds":"1970-01-01T00:00:00Z","nanos":"1970-01-01T00:00:00.000001","list":[1,null],"decimal":1.50,"bytes":"AP8=","nan":0.1}
        {"i8":null,"u32":0,"u64":0,"large":null,"view":"z","dictionary":null,"seconds":"1970-01-01T00:00:01Z","nanos":"1970-01-01T00:00:00.000002","list":null,"decimal":-0.01,"bytes":"","nan":1e+300}
    "#]]);
    scratch.write("x.arrow", &arrow(&foreign()));
    scratch.check(json!({"path": "x.arrow"}), expect![[r#"
        schema: i8 int32, u32 int64, u64 uint64, large utf8, view utf8, dictionary utf8, seconds timestamp(us, UTC), nanos timestamp(us), list json, decimal decimal(5, 2), bytes binary, nan float64
        {"i8":-1,"u32":4294967295,"u64":18446744073709551615,"large":"x","view":"y","dictionary":"a","seconds":"1970-01-01T00:00:00Z","nanos":"1970-01-01T00:00:00.000001","list":[1,null],"decimal":1.50,"bytes":"AP8=","nan":0.1}
        {"i8":null,"u32":0,"u64":0,"large":null,"view":"z","dictionary":null,"seconds":"1970-01-01T00:00:01Z","nanos":"1970-01-01T00:00:00.000002","list":null,"decimal":-0.01,"bytes":"","nan":1e+300}
    "#]]);
}

#[test]
fn the_plan_says_what_is_converted() {
    let scratch = Scratch::new();
    scratch.write("x.arrow", &arrow(&foreign()));
    let source = scratch.open(json!({"path": "x.arrow"})).unwrap();
    expect![[r#"
        Arrow
        types are those of the file
        `i8`: Int8 as int32
        `u32`: UInt32 as int64
        `large`: LargeUtf8 as utf8
        `view`: Utf8View as utf8
        `dictionary`: Dictionary(Int32, Utf8) as utf8
        `seconds`: Timestamp(s, "UTC") as timestamp(us, UTC)
        `nanos`: Timestamp(ns) as timestamp(us)
        `list`: List(Int8) as json"#]]
    .assert_eq(&source.notes().join("\n"));
}

#[test]
fn what_fits_no_column_refuses_its_row() {
    let records = columns(vec![
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        (
            "t",
            Arc::new(TimestampNanosecondArray::from(vec![
                Some(1_000),
                Some(1_001),
                None,
            ])),
        ),
    ]);
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet(&records));
    scratch.check(json!({"path": "x.parquet"}), expect![[r#"
        schema: n int64, t timestamp(us)
        {"n":1,"t":"1970-01-01T00:00:00.000001"}
        ! decode columns::type_mismatch t: the value of `t` is not exactly one of type timestamp(us) [file x.parquet, row 1] json "{\"n\":2,\"t\":\"1970-01-01T00:00:00.000001001\"}"
        {"n":3,"t":null}
    "#]]);
}

#[test]
fn columns_are_projected_and_declared() {
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet(&foreign()));
    let open = |names: &[&str]| OpenSource {
        columns: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..OpenSource::default()
    };
    scratch.check_with(
        json!({"path": "x.parquet"}),
        open(&["view", "i8"]),
        expect![[r#"
        schema: view utf8, i8 int32
        {"view":"y","i8":-1}
        {"view":"z","i8":null}
    "#]],
    );
    scratch.check_with(
        json!({"path": "x.parquet", "fields": {"decimal": "float64", "view": "int64"}}),
        open(&["decimal", "view"]),
        expect![[r#"
            schema: decimal float64, view int64
            ! decode columns::type_mismatch view: the value of `view` is not exactly one of type int64 [file x.parquet, row 0] json "{\"decimal\":1.5,\"view\":\"y\"}"
            ! decode columns::type_mismatch view: the value of `view` is not exactly one of type int64 [file x.parquet, row 1] json "{\"decimal\":-0.01,\"view\":\"z\"}"
        "#]],
    );
    scratch.check_with(json!({"path": "x.parquet"}), open(&["veiw"]), expect![[r#"
        file::unknown_field: `columns` names `veiw`, which the file does not have; did you mean `view`?
        help: the file has: i8, u32, u64, large, view, dictionary, seconds, nanos, list, decimal, bytes, nan
    "#]]);
}

#[test]
fn a_layout_without_a_type_is_refused_unless_left_out() {
    let records = columns(vec![
        ("n", Arc::new(Int64Array::from(vec![1]))),
        ("d", Arc::new(DurationSecondArray::from(vec![1]))),
    ]);
    let scratch = Scratch::new();
    scratch.write("x.arrow", &arrow(&records));
    scratch.check(
        json!({"path": "x.arrow"}),
        expect![[r#"
        columns::unsupported: column `d` of `x.arrow` is Duration(s), for which dkhost has no type
        help: leave it out with `columns = […]`
    "#]],
    );
    let open = OpenSource {
        columns: Some(vec!["n".to_owned()]),
        ..OpenSource::default()
    };
    scratch.check_with(
        json!({"path": "x.arrow"}),
        open,
        expect![[r#"
        schema: n int64
        {"n":1}
    "#]],
    );
}

#[test]
fn our_own_marks_come_back() {
    let schema = dkhost_core::Schema::new(vec![
        dkhost_core::Field {
            role: Some(dkhost_core::Role::Id),
            ..dkhost_core::Field::new("k", dkhost_core::LogicalType::Utf8)
        },
        dkhost_core::Field::new("u", dkhost_core::LogicalType::Uuid),
        dkhost_core::Field::new("j", dkhost_core::LogicalType::Json),
        dkhost_core::Field::reserved(dkhost_core::Role::Rest),
    ]);
    let uuid = FixedSizeBinaryArray::try_from_iter([[7u8; 16]].into_iter()).unwrap();
    let column = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let columns = vec![
        column(Some("a")),
        Arc::new(uuid),
        column(Some("[1]")),
        column(Some("{\"x\":1}")),
    ];
    let records = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet(&records));
    scratch.check(
        json!({"path": "x.parquet"}),
        expect![[r#"
        schema: k utf8 (id), u uuid, j json, _rest json (rest)
        {"k":"a","u":"07070707-0707-0707-0707-070707070707","j":[1],"x":1}
    "#]],
    );
}

#[test]
fn files_with_other_columns_are_refused() {
    let scratch = Scratch::new();
    scratch.write(
        "a.parquet",
        &parquet(&columns(vec![("n", Arc::new(Int64Array::from(vec![1])))])),
    );
    scratch.write(
        "b.parquet",
        &parquet(&columns(vec![("n", Arc::new(Int32Array::from(vec![2])))])),
    );
    scratch.check(
        json!({"path": "*.parquet"}),
        expect![[r#"
        columns::others: `n` is int32 in `b.parquet` and int64 in `a.parquet`
        help: files of one source have the same columns; name those that belong together with a glob
    "#]],
    );
}

#[test]
fn a_corrupt_file_is_an_error_and_no_panic() {
    let scratch = Scratch::new();
    for (name, whole) in [
        ("x.parquet", parquet(&foreign())),
        ("x.arrow", arrow(&foreign())),
    ] {
        for cut in [8, 9, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            scratch.write(name, &whole[..cut]);
            let error = scratch.open(json!({"path": name})).err().unwrap();
            assert_eq!(error.code(), "file::corrupt", "{name} cut at {cut}");
        }
        // Bytes that lie: whatever they say, reading ends with rows or an error.
        for at in (8..whole.len()).step_by(37) {
            let mut lying = whole.clone();
            lying[at] ^= 0x55;
            scratch.write(name, &lying);
            let shown = match scratch.open(json!({"path": name})) {
                Ok(source) => support::show(&*source),
                Err(error) => support::show_error(&error),
            };
            assert!(!shown.contains("dkhost::bug"), "{name} at {at}: {shown}");
        }
    }
}

#[test]
fn compression_around_columns_is_refused() {
    let scratch = Scratch::new();
    scratch.write("x.parquet.gz", &support::gzip(&parquet(&foreign())));
    scratch.check(json!({"path": "x.parquet.gz"}), expect![[r#"
        file::not_for_format: `x.parquet.gz`: a Parquet source is not compressed as a whole <means nothing for this format>
        help: Parquet says inside how it is compressed: leave `compression` out, or unpack a file in gzip first
    "#]]);
}

#[test]
fn something_after_an_arrow_stream_is_an_error() {
    let records = columns(vec![("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &records.schema()).unwrap();
    writer.write(&records).unwrap();
    let one = writer.into_inner().unwrap();
    let scratch = Scratch::new();
    scratch.write("x.ipc", &one.repeat(2));
    scratch.check(
        json!({"path": "x.ipc"}),
        expect![[r#"
        schema: n int64
        {"n":1}
        file::corrupt: something follows the end of the Arrow stream `x.ipc`
        help: several streams in one file are several files: split them
    "#]],
    );
    scratch.write("x.ipc", &one[..one.len() - 20]);
    scratch.check(
        json!({"path": "x.ipc"}),
        expect![[r#"
            file::corrupt: `x.ipc` is not intact: the message at byte 128 ends beyond the file
            help: was the file written completely? nothing after this place was read
        "#]],
    );
}

#[test]
fn no_rows_and_no_columns_are_something_too() {
    let none = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new(
        "t",
        DataType::Timestamp(TimeUnit::Millisecond, None),
        false,
    )])));
    let scratch = Scratch::new();
    scratch.write("x.parquet", &parquet(&none));
    scratch.check(
        json!({"path": "x.parquet"}),
        expect![[r#"
        schema: t timestamp(us)
    "#]],
    );
    scratch.write("x.arrow", &arrow(&none));
    scratch.check(
        json!({"path": "x.arrow"}),
        expect![[r#"
        schema: t timestamp(us)
    "#]],
    );
}
