//! Lifted plugin output, fuzzed: whatever a component returned is either refused with a sentence or
//! is columns Arrow itself would make, as many rows as were said, each from a row that was there.

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use dkhost_core::dead_letter::MESSAGE_MAX_BYTES;
use dkhost_core::{Changed, Field, LogicalType, Role, Schema};
use dkhost_fuzz::Fuzz;
use std::sync::Arc;

use super::bindings::dkhost::plugin::types::FieldResult;
use super::promise::Promise;
use super::receive::Received;
use super::rows::{self, Given, Output, Refused, Rows};
use crate::limits::Limits;

/// Takes values off an input; an input that is used up gives zeros.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Small most of the time, now and then anything.
    fn number(&mut self) -> u32 {
        match self.byte() {
            small @ 0..200 => u32::from(small % 7),
            200..230 => u32::from(self.byte()),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = match self.byte() {
            small @ 0..220 => usize::from(small % 96),
            _ => usize::from(self.byte()) * 16,
        };
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

fn input() -> RecordBatch {
    let mut id = Field::new("id", LogicalType::Int64);
    id.nullable = false;
    let schema = Schema::new(vec![
        id,
        Field::new("t", LogicalType::Utf8),
        Field::reserved(Role::Rest),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])),
        Arc::new(StringArray::from(vec![
            Some("a"),
            None,
            Some("ü"),
            Some(""),
            Some("e"),
        ])),
        Arc::new(StringArray::from(vec![
            None,
            Some("{\"x\":1}"),
            None,
            None,
            Some("{}"),
        ])),
    ];
    RecordBatch::try_new(schema.to_arrow(), columns).unwrap()
}

fn schema_of(records: &RecordBatch) -> Schema {
    let schema = records.schema();
    Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| Field::from_arrow(field).unwrap())
            .collect(),
    )
}

fn promise(from: &mut Cursor<'_>, input: Schema) -> Result<Promise, String> {
    let names = LogicalType::NAMES;
    let fields = (0..1 + from.byte() % 4).map(|place| {
        let kind = from.byte();
        FieldResult {
            name: if kind == 255 {
                from.text()
            } else {
                format!("c{place}")
            },
            type_: match kind {
                254 => from.text(),
                253 => "json".into(),
                252 => "int64".into(),
                kind => names[usize::from(kind) % names.len()].into(),
            },
            nullable: !kind.is_multiple_of(5),
            hints: match kind {
                253 => vec![(
                    "role".into(),
                    if from.byte().is_multiple_of(2) {
                        "rest"
                    } else {
                        "meta"
                    }
                    .into(),
                )],
                251 => vec![(from.text(), from.text())],
                _ => Vec::new(),
            },
        }
    });
    let fields: Vec<FieldResult> = fields.collect();
    let carries: Vec<(u32, u32)> = (0..from.byte() % 3)
        .map(|_| (from.number(), from.number()))
        .collect();
    Promise::transform(input, fields, &[1], &carries, &Limits::default())
}

fn output(from: &mut Cursor<'_>, promise: &Promise) -> Output {
    let rows = match from.byte() % 3 {
        0 => Rows::All,
        1 => Rows::Selection(from.bytes()),
        _ => Rows::Origin(
            (0..from.byte() % 9)
                .flat_map(|_| from.number().to_le_bytes())
                .collect(),
        ),
    };
    let few = usize::from(from.byte() == 255);
    let columns = promise
        .carried
        .iter()
        .skip(few)
        .map(|carried| match (carried, from.byte()) {
            (Some(carried), 0..250) => Given::Carried(*carried as u32),
            (None, 0..20) | (_, 250..) => Given::Carried(from.number()),
            (None, kind) => Given::Computed(Received {
                data: from.bytes(),
                offsets: match kind % 3 {
                    0 => (0..from.byte() % 9)
                        .flat_map(|_| from.number().to_le_bytes())
                        .collect(),
                    1 => from.bytes(),
                    _ => Vec::new(),
                },
                validity: if kind.is_multiple_of(2) {
                    from.bytes()
                } else {
                    Vec::new()
                },
            }),
        });
    let columns = columns.collect();
    let rejects = (0..(from.byte() % 16).saturating_sub(10)).map(|_| Refused {
        row: from.number(),
        column: (from.byte().is_multiple_of(2)).then(|| from.number()),
        code: from.text(),
        message: from.text(),
    });
    Output {
        rows,
        columns,
        rejects: rejects.collect(),
    }
}

/// What was believed, held to what the host relies on.
fn check(changed: &Changed, promise: &Promise, input: &RecordBatch) {
    let rows = changed.records.num_rows();
    assert_eq!(changed.records.schema(), promise.arrow);
    for (column, field) in changed.records.columns().iter().zip(&promise.output.fields) {
        column
            .to_data()
            .validate_full()
            .expect("a column Arrow would not make");
        assert!(
            field.nullable || column.null_count() == 0,
            "nulls against the promise"
        );
    }
    match &changed.origin {
        None => assert_eq!(rows, input.num_rows()),
        Some(origin) => {
            assert_eq!(origin.len(), rows, "not every row has an origin");
            assert!(
                origin.is_sorted() && origin.iter().all(|row| (*row as usize) < input.num_rows())
            );
        }
    }
    for reject in &changed.rejects {
        assert!((reject.row as usize) < input.num_rows() && !reject.code.is_empty());
        assert!(reject.message.len() <= MESSAGE_MAX_BYTES);
        let origin = changed.origin.as_deref().unwrap_or_default();
        assert!(!origin.contains(&reject.row), "a refused row goes on");
    }
    for row in 0..rows {
        let json = dkhost_core::json::row(&changed.records, row);
        assert!(
            serde_json::from_str::<serde_json::Value>(&json).is_ok(),
            "a row is no JSON: {json}"
        );
    }
}

#[test]
fn what_a_plugin_returns_is_refused_or_sound() {
    let limits = Limits {
        output_rows: 64,
        ..Limits::default()
    };
    let input = input();
    Fuzz::target("plugin-output")
        .words(&[
            "{\"a\":1}",
            "[1]",
            "1.5",
            "\u{1}\u{0}\u{0}\u{0}",
            "\u{0}\u{0}\u{0}\u{0}",
            "\u{7f}\u{7f}\u{7f}\u{7f}",
        ])
        .seed([0u8; 64])
        .seed((0..=255u8).collect::<Vec<u8>>())
        .seed((0..=255u8).rev().collect::<Vec<u8>>())
        .rounds(20_000)
        .run(|bytes| {
            let mut cursor = Cursor(bytes);
            let short = |why: &str| {
                why.chars()
                    .filter(|c| !c.is_ascii_digit())
                    .take(50)
                    .collect::<String>()
            };
            let promise = match promise(&mut cursor, schema_of(&input)) {
                Ok(promise) => promise,
                Err(why) => return short(&why),
            };
            let output = output(&mut cursor, &promise);
            let kinds = format!("{:?}", std::mem::discriminant(&output.rows));
            match rows::transformed(&promise, &limits, &input, output) {
                Ok(changed) => {
                    check(&changed, &promise, &input);
                    let types: Vec<String> = promise
                        .output
                        .fields
                        .iter()
                        .map(|f| f.logical.to_string())
                        .collect();
                    format!("{kinds} {types:?} {}", changed.rejects.len())
                }
                Err(why) => {
                    assert!(why.len() < 4_096, "{} bytes of complaint", why.len());
                    short(&why)
                }
            }
        });
}

#[test]
fn a_filters_verdict_is_refused_or_sound() {
    let input = input();
    let promise = Promise::filter(schema_of(&input), &[1]).unwrap();
    Fuzz::target("filter-output")
        .seed([1, 31, 0])
        .seed([2, 3, 255, 12, 1, 0, 0, 3, b'b', b'a', b'd'])
        .rounds(5_000)
        .run(|bytes| {
            let mut cursor = Cursor(bytes);
            let keep = cursor.bytes();
            let refused = output(&mut cursor, &promise).rejects;
            match rows::filtered(&promise, &input, keep, refused) {
                Ok(changed) => {
                    check(&changed, &promise, &input);
                    format!("{} {}", changed.records.num_rows(), changed.rejects.len())
                }
                Err(why) => why
                    .chars()
                    .filter(|c| !c.is_ascii_digit())
                    .take(50)
                    .collect(),
            }
        });
}
