//! Lists, structs and maps as JSON text: the one form in which nested values travel.
//!
//! A column is taken apart once per batch; scalars inside are widened like columns and spelled as
//! [`dkhost_core::text`] spells them. NaN has no JSON, so a value that holds one does not fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use dkhost_core::json::escape;
use dkhost_core::text::Cells;
use dkhost_core::{LogicalType, Result};

/// A nested column as JSON texts; a value that has no JSON is null here and not in the column.
pub fn to_json(column: &ArrayRef) -> Result<StringArray> {
    let node = Node::of(column)?;
    let bound = node.bind()?;
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 32);
    let mut text = Vec::new();
    for row in 0..column.len() {
        text.clear();
        let written = !bound.is_null(row) && bound.write(row, &mut text);
        texts.append_option(if written {
            std::str::from_utf8(&text).ok()
        } else {
            None
        });
    }
    Ok(texts.finish())
}

/// An array whose scalars are widened.
enum Node {
    Scalar(ArrayRef, LogicalType),
    List(Vec<usize>, Option<NullBuffer>, Box<Node>),
    Struct(Vec<(String, Node)>, Option<NullBuffer>),
    /// Entries as an object if all keys are texts, else as a list of pairs.
    Map(Vec<usize>, Option<NullBuffer>, Box<Node>, Box<Node>),
}

impl Node {
    fn of(array: &ArrayRef) -> Result<Self> {
        let nulls = array.logical_nulls();
        Ok(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets = list.offsets().iter().map(|o| *o as usize).collect();
                Node::List(offsets, nulls, Box::new(Node::of(list.values())?))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let offsets = list.offsets().iter().map(|o| *o as usize).collect();
                Node::List(offsets, nulls, Box::new(Node::of(list.values())?))
            }
            DataType::FixedSizeList(_, length) => {
                let list = array.as_fixed_size_list();
                let offsets = (0..=list.len()).map(|row| row * *length as usize).collect();
                let items = list
                    .values()
                    .slice(list.value_offset(0) as usize, list.len() * *length as usize);
                Node::List(offsets, nulls, Box::new(Node::of(&items)?))
            }
            DataType::ListView(item) => Node::of(&cast(array, &DataType::List(item.clone()))?)?,
            DataType::LargeListView(item) => {
                Node::of(&cast(array, &DataType::LargeList(item.clone()))?)?
            }
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns());
                let nodes =
                    columns.map(|(field, column)| Ok((field.name().clone(), Node::of(column)?)));
                Node::Struct(nodes.collect::<Result<_>>()?, nulls)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let offsets = map.offsets().iter().map(|o| *o as usize).collect();
                Node::Map(
                    offsets,
                    nulls,
                    Box::new(Node::of(map.keys())?),
                    Box::new(Node::of(map.values())?),
                )
            }
            DataType::Dictionary(_, values) => Node::of(&cast(array, values)?)?,
            DataType::RunEndEncoded(_, values) => Node::of(&cast(array, values.data_type())?)?,
            other => match LogicalType::widened(other) {
                Some(logical) => Node::Scalar(cast(array, &logical.arrow())?, logical),
                // Nanoseconds and intervals inside nested values: as Arrow spells them.
                None => Node::Scalar(cast(array, &DataType::Utf8)?, LogicalType::Utf8),
            },
        })
    }

    fn bind(&self) -> Result<Bound<'_>> {
        Ok(match self {
            Node::Scalar(array, logical) => {
                Bound::Scalar(Cells::bind(array.as_ref(), logical)?, logical)
            }
            Node::List(offsets, nulls, items) => {
                Bound::List(offsets, nulls.as_ref(), Box::new(items.bind()?))
            }
            Node::Struct(fields, nulls) => {
                let bound = fields
                    .iter()
                    .map(|(name, node)| Ok((name.as_str(), node.bind()?)));
                Bound::Struct(bound.collect::<Result<_>>()?, nulls.as_ref())
            }
            Node::Map(offsets, nulls, keys, values) => {
                let is_text = matches!(**keys, Node::Scalar(_, LogicalType::Utf8));
                Bound::Map(
                    offsets,
                    nulls.as_ref(),
                    Box::new(keys.bind()?),
                    Box::new(values.bind()?),
                    is_text,
                )
            }
        })
    }
}

enum Bound<'a> {
    Scalar(Cells<'a>, &'a LogicalType),
    List(&'a [usize], Option<&'a NullBuffer>, Box<Bound<'a>>),
    Struct(Vec<(&'a str, Bound<'a>)>, Option<&'a NullBuffer>),
    Map(
        &'a [usize],
        Option<&'a NullBuffer>,
        Box<Bound<'a>>,
        Box<Bound<'a>>,
        bool,
    ),
}

impl Bound<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Bound::Scalar(cells, _) => cells.is_null(row),
            Bound::List(_, nulls, _) | Bound::Struct(_, nulls) | Bound::Map(_, nulls, ..) => {
                nulls.is_some_and(|nulls| nulls.is_null(row))
            }
        }
    }

    /// Writes a value; false if it has no JSON.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return true;
        }
        match self {
            Bound::Scalar(cells, logical) => scalar(cells, logical, row, out),
            Bound::List(offsets, _, items) => {
                let write = |item, out: &mut Vec<u8>| items.write(item, out);
                sequence(b"[]", offsets[row]..offsets[row + 1], out, write)
            }
            Bound::Struct(fields, _) => sequence(b"{}", 0..fields.len(), out, |field, out| {
                let (name, value) = &fields[field];
                escape(name, out);
                out.push(b':');
                value.write(row, out)
            }),
            Bound::Map(offsets, _, keys, values, true) => {
                sequence(b"{}", offsets[row]..offsets[row + 1], out, |entry, out| {
                    let key = keys.write(entry, out);
                    out.push(b':');
                    key && values.write(entry, out)
                })
            }
            Bound::Map(offsets, _, keys, values, false) => {
                sequence(b"[]", offsets[row]..offsets[row + 1], out, |entry, out| {
                    out.push(b'[');
                    let key = keys.write(entry, out);
                    out.push(b',');
                    let value = values.write(entry, out);
                    out.push(b']');
                    key && value
                })
            }
        }
    }
}

fn sequence(
    brackets: &[u8; 2],
    items: std::ops::Range<usize>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> bool,
) -> bool {
    out.push(brackets[0]);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if !write(item, out) {
            return false;
        }
    }
    out.push(brackets[1]);
    true
}

fn scalar(cells: &Cells<'_>, logical: &LogicalType, row: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    match logical {
        LogicalType::Utf8 => {
            let mut text = Vec::new();
            cells.write(row, &mut text);
            match std::str::from_utf8(&text) {
                Ok(text) => escape(text, out),
                Err(_) => return false,
            }
        }
        LogicalType::Float32 | LogicalType::Float64 => {
            cells.write(row, out);
            return out[start..]
                .iter()
                .all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        }
        _ if logical.is_numeric()
            || matches!(
                logical,
                LogicalType::Boolean | LogicalType::Json | LogicalType::Vector(_)
            ) =>
        {
            cells.write(row, out);
        }
        _ => {
            out.push(b'"');
            cells.write(row, out);
            out.push(b'"');
        }
    }
    true
}

/// A nested column as an Arrow array of JSON texts.
pub fn to_json_array(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(Arc::new(to_json(column)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Float64Array, Int8Array, Int64Builder, ListBuilder, MapBuilder, StringBuilder, StructArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::Field;

    fn check(column: ArrayRef, expected: &[Option<&str>]) {
        let texts = to_json(&column).unwrap();
        assert_eq!(texts.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn lists_keep_their_nulls() {
        let mut lists = ListBuilder::new(Int64Builder::new());
        lists.append_value([Some(1), None]);
        lists.append_null();
        lists.append_value([]);
        check(
            Arc::new(lists.finish()),
            &[Some("[1,null]"), None, Some("[]")],
        );
        let mut lists = ListBuilder::new(Int64Builder::new());
        lists.append_value([Some(1)]);
        lists.append_value([Some(2)]);
        check(Arc::new(lists.finish().slice(1, 1)), &[Some("[2]")]);
    }

    #[test]
    fn structs_are_objects_and_scalars_are_widened() {
        let column = StructArray::from(vec![
            (
                Arc::new(Field::new("a\"", DataType::Int8, true)),
                Arc::new(Int8Array::from(vec![Some(1), None])) as ArrayRef,
            ),
            (
                Arc::new(Field::new(
                    "t",
                    DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None),
                    true,
                )),
                Arc::new(TimestampMillisecondArray::from(vec![0, 1])) as ArrayRef,
            ),
        ]);
        check(
            Arc::new(column),
            &[
                Some(r#"{"a\"":1,"t":"1970-01-01T00:00:00"}"#),
                Some(r#"{"a\"":null,"t":"1970-01-01T00:00:00.001000"}"#),
            ],
        );
    }

    #[test]
    fn a_map_with_text_keys_is_an_object() {
        let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        map.keys().append_value("k");
        map.values().append_value(1);
        map.append(true).unwrap();
        check(Arc::new(map.finish()), &[Some(r#"{"k":1}"#)]);
        let mut map = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
        map.keys().append_value(2);
        map.values().append_value(1);
        map.append(true).unwrap();
        check(Arc::new(map.finish()), &[Some("[[2,1]]")]);
    }

    #[test]
    fn nan_has_no_json() {
        let column = StructArray::from(vec![(
            Arc::new(Field::new("x", DataType::Float64, false)),
            Arc::new(Float64Array::from(vec![0.5, f64::NAN])) as ArrayRef,
        )]);
        check(Arc::new(column), &[Some(r#"{"x":0.5}"#), None]);
    }
}
