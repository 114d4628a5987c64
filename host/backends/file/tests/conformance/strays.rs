//! The suite's strays as files of each format, and what is to be found of each.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::conformance::{Found, Stray};
use serde_json::Value;

use crate::support::{gzip, zstd};

/// Files that hold strays.
pub struct Written {
    pub files: Vec<(String, Vec<u8>)>,
    pub found: Vec<Found>,
    pub tells_nulls: bool,
    /// Whether the format has to be inferred from a sample.
    pub infers: bool,
}

/// Writes strays to the file called `name`, or to files in the folder of this name.
pub fn write(name: &str, format: Option<&str>, dataknobs: bool, strays: &[Stray]) -> Written {
    let extension = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let format = format.unwrap_or_else(|| extension.rsplit('.').next().unwrap());
    // A folder has a file for every three records.
    let parts: Vec<&[Stray]> = match name.ends_with('/') {
        true => strays.chunks(3).collect(),
        false => vec![strays],
    };
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for (number, strays) in parts.into_iter().enumerate() {
        let (content, of) = match format {
            "jsonl" => json_lines(strays),
            "json" if dataknobs => store(strays),
            "json" => json_array(strays),
            "csv" => separated(strays, ','),
            "tsv" => separated(strays, '\t'),
            "parquet" => columns(strays, parquet),
            "arrow" => columns(strays, arrow_file),
            other => panic!("nobody said how strays are written as {other}"),
        };
        let content = match name {
            _ if name.ends_with(".gz") => gzip(&content),
            _ if name.ends_with(".zst") => zstd(&content),
            _ => content,
        };
        let path = match name.ends_with('/') {
            true => format!("{name}{number}.{format}"),
            false => name.to_owned(),
        };
        files.push((path, content));
        found.extend(of);
    }
    Written {
        files,
        found,
        tells_nulls: format.starts_with("json"),
        infers: !["parquet", "arrow"].contains(&format),
    }
}

/// The text of each stray: its document, or the next thing that is none.
fn texts(strays: &[Stray], broken: &[&'static [u8]]) -> Vec<Vec<u8>> {
    let mut broken = broken.iter().cycle();
    let text = |stray: &Stray| match stray.document() {
        Some(document) => document.as_bytes().to_vec(),
        None => broken.next().unwrap().to_vec(),
    };
    strays.iter().map(text).collect()
}

/// Documents come whole, anything else is refused as it was written.
fn documents_whole(strays: &[Stray], texts: &[Vec<u8>]) -> Vec<Found> {
    let found = |(stray, text): (&Stray, &Vec<u8>)| match stray.document() {
        Some(_) => Found::Whole,
        None => Found::Refused(text.clone()),
    };
    strays.iter().zip(texts).map(found).collect()
}

fn json_lines(strays: &[Stray]) -> (Vec<u8>, Vec<Found>) {
    // The last of a file may end in the middle.
    let texts = texts(
        strays,
        &[
            b"{\"id\":1,\"n\":oops}",
            b"[1]",
            b"{\"s\":\"\xff\"}",
            b"{\"id\":13,\"n",
        ],
    );
    let found = documents_whole(strays, &texts);
    (texts.join(&b'\n'), found)
}

fn json_array(strays: &[Stray]) -> (Vec<u8>, Vec<Found>) {
    let texts = texts(
        strays,
        &[b"{\"id\":1,\"n\":oops}", b"[1]", b"{\"s\":\"\xff\"}", b"7"],
    );
    let found = documents_whole(strays, &texts);
    (
        [b"[\n", &texts.join(&b",\n"[..])[..], b"\n]\n"].concat(),
        found,
    )
}

/// A store of dataknobs: records by id, their fields as objects.
fn store(strays: &[Stray]) -> (Vec<u8>, Vec<Found>) {
    let mut texts = texts(
        strays,
        &[b"{\"fields\": oops}", b"[1]", b"{\"s\":\"\xff\"}", b"7"],
    );
    for (stray, text) in strays.iter().zip(&mut texts) {
        if let Some(document) = stray.document() {
            let fields: Value = serde_json::from_str(document).unwrap();
            let member = |(name, value): (&String, &Value)| {
                format!(
                    "{:?}: {{\"name\": {:?}, \"value\": {value}, \"metadata\": {{}}}}",
                    name, name
                )
            };
            let members: Vec<String> = fields.as_object().unwrap().iter().map(member).collect();
            *text = format!(
                "{{\"fields\": {{{}}}, \"metadata\": {{}}}}",
                members.join(", ")
            )
            .into();
        }
    }
    let found = documents_whole(strays, &texts);
    let keyed = texts.iter().enumerate();
    let keyed: Vec<Vec<u8>> = keyed
        .map(|(number, text)| [format!("\"rec-{number}\": ").as_bytes(), text].concat())
        .collect();
    (
        [b"{\n", &keyed.join(&b",\n"[..])[..], b"\n}\n"].concat(),
        found,
    )
}

/// Separated values: what does not fit its column has no place but a dead letter, and neither has
/// a field without a column.
fn separated(strays: &[Stray], delimiter: char) -> (Vec<u8>, Vec<Found>) {
    let d = delimiter.to_string();
    let broken = ["1", "\"1\"x,1,a", "1,2,3,4", "13,\"open,a"].map(|line| line.replace(',', &d));
    let mut broken = broken.iter().cycle();
    let (mut lines, mut found) = (vec![["id", "n", "s"].join(&d).into_bytes()], Vec::new());
    for stray in strays {
        let line = match stray.document() {
            None => broken.next().unwrap().clone(),
            Some(document) => cells(document).join(&d),
        };
        found.push(match stray {
            Stray::Fits(_) => Found::Whole,
            Stray::Drifted(document) if document.contains("null") => Found::Whole,
            _ => Found::Refused(line.clone().into_bytes()),
        });
        lines.push(line.into_bytes());
    }
    (lines.join(&b'\n'), found)
}

/// The fields of a document as cells: id, n, s and whatever else there is.
fn cells(document: &str) -> Vec<String> {
    let mut document: serde_json::Map<String, Value> = serde_json::from_str(document).unwrap();
    let mut cells = ["id", "n", "s"]
        .map(|name| cell(document.remove(name)))
        .to_vec();
    cells.extend(document.into_iter().map(|(_, value)| cell(Some(value))));
    cells
}

fn cell(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.contains('"') => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) if number.is_f64() && number.as_f64() > Some(1e18) => {
            "100000000000000000000".to_owned()
        }
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => format!("\"{}\"", other.to_string().replace('"', "\"\"")),
    }
}

/// Columns whose file says `n` is text where the job says it is a number. What is malformed is the
/// file as a whole, and fields without a column there are none.
fn columns(strays: &[Stray], file: fn(&RecordBatch) -> Vec<u8>) -> (Vec<u8>, Vec<Found>) {
    let (mut ids, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let mut found = Vec::new();
    for stray in strays {
        let document = stray.document().unwrap_or("{\"more\": true}");
        if document.contains("more") {
            found.push(Found::Nowhere);
            continue;
        }
        let document: Value = serde_json::from_str(document).unwrap();
        let n = match &document["n"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            _ if document["id"] == 8 => Some("100000000000000000000".to_owned()),
            number => Some(number.to_string()),
        };
        let (id, s) = (document["id"].as_i64(), document["s"].as_str());
        let fits = n.as_ref().is_none_or(|n| n.parse::<i64>().is_ok());
        found.push(match fits {
            true => Found::Whole,
            false => Found::Refused(
                format!(
                    "{{\"id\":{},\"n\":\"{}\",\"s\":\"{}\"}}",
                    id.unwrap(),
                    n.clone().unwrap(),
                    s.unwrap()
                )
                .into_bytes(),
            ),
        });
        ids.push(id);
        numbers.push(n);
        texts.push(s.map(str::to_owned));
    }
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("id", Arc::new(Int64Array::from(ids)), true),
        ("n", Arc::new(StringArray::from(numbers)), true),
        ("s", Arc::new(StringArray::from(texts)), true),
    ];
    let records = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    (file(&records), found)
}

fn parquet(records: &RecordBatch) -> Vec<u8> {
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), records.schema(), None).unwrap();
    writer.write(records).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_file(records: &RecordBatch) -> Vec<u8> {
    let mut writer =
        arrow::ipc::writer::FileWriter::try_new(Vec::new(), &records.schema()).unwrap();
    writer.write(records).unwrap();
    writer.into_inner().unwrap()
}
