//! What a document is called: the record's id, its key, or its place in the run.
//!
//! The same record gets the same id whenever it is written, so that writing it again changes
//! nothing. Ids go into bodies as JSON strings and into paths never, so that no character in them
//! means anything.

use arrow::array::RecordBatch;
use dkhost_core::json::RowError;
use dkhost_core::text::Cells;
use dkhost_core::{Result, Role, Schema};
use xxhash_rust::xxh3::xxh3_128;

/// What the server takes at most, in bytes.
///
/// *Source* – Elasticsearch reference, "`_id` field": limited to 512 bytes in size.
const ID_BYTES_MAX: usize = 512;

/// Where ids come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdFrom {
    /// These columns; several are joined by `/`.
    Columns(Vec<usize>),
    /// The record's place: run, partition, batch and row.
    Place,
}

impl IdFrom {
    /// The id column, else the key; in dataknobs stores else the field `id`.
    pub fn of(schema: &Schema, dataknobs: bool) -> Self {
        let field = || dataknobs.then(|| schema.index_of("id")).flatten();
        match (schema.role(Role::Id), schema.key()) {
            (Some(id), _) => IdFrom::Columns(vec![id]),
            (None, key) if !key.is_empty() => IdFrom::Columns(key),
            _ => field().map_or(IdFrom::Place, |id| IdFrom::Columns(vec![id])),
        }
    }

    /// Whether another record may have the same.
    pub fn is_place(&self) -> bool {
        *self == IdFrom::Place
    }
}

/// What ids of places begin with: unlike those of any other run, partition and batch.
pub(super) fn place_prefix(run: &str, partition: u32, seq: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut hash = xxh3_128(format!("{run}\0{partition}").as_bytes());
    let mut prefix = String::with_capacity(32);
    for _ in 0..22 {
        prefix.push(char::from(DIGITS[(hash & 63) as usize]));
        hash >>= 6;
    }
    prefix.push_str(&format!("-{seq:x}-"));
    prefix
}

/// The ids of one batch.
pub(super) struct Ids<'a> {
    cells: Vec<(Cells<'a>, &'a str)>,
    prefix: &'a str,
    first: usize,
}

impl<'a> Ids<'a> {
    /// Binds the columns of a batch; rows without any are called `prefix` and their number, counted
    /// from `first`.
    pub fn bind(
        from: &IdFrom,
        schema: &'a Schema,
        records: &'a RecordBatch,
        prefix: &'a str,
        first: usize,
    ) -> Result<Self> {
        let columns: &[usize] = match from {
            IdFrom::Columns(columns) => columns,
            IdFrom::Place => &[],
        };
        let cells = columns.iter().map(|index| {
            let field = &schema.fields[*index];
            let cells = Cells::bind(records.column(*index).as_ref(), &field.logical)?;
            Ok((cells, field.name.as_str()))
        });
        Ok(Ids {
            cells: cells.collect::<Result<_>>()?,
            prefix,
            first,
        })
    }

    /// Appends the id of a row.
    ///
    /// *Errors* – `elasticsearch::no_id`, `elasticsearch::id_too_long`; `out` is then as it was.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        let start = out.len();
        if self.cells.is_empty() {
            out.extend_from_slice(format!("{}{:x}", self.prefix, self.first + row).as_bytes());
            return Ok(());
        }
        for (place, (cells, name)) in self.cells.iter().enumerate() {
            if place > 0 {
                out.push(b'/');
            }
            let from = out.len();
            if !cells.write(row, out) {
                out.truncate(start);
                let message = format!("`{name}` is null, and the document is called by it");
                return Err(RowError::new("elasticsearch::no_id", message).in_column(*name));
            }
            if self.cells.len() > 1 {
                escape_slashes(out, from);
            }
        }
        let (length, name) = (out.len() - start, self.cells[0].1);
        if length == 0 {
            let message = format!("`{name}` is empty, and the document is called by it");
            return Err(RowError::new("elasticsearch::no_id", message).in_column(name));
        }
        if length > ID_BYTES_MAX {
            out.truncate(start);
            let message =
                format!("an id of {length} bytes; the server takes at most {ID_BYTES_MAX}");
            return Err(RowError::new("elasticsearch::id_too_long", message).in_column(name));
        }
        Ok(())
    }
}

/// So that `a/b` + `c` is not called as `a` + `b/c`.
fn escape_slashes(out: &mut Vec<u8>, from: usize) {
    if !out[from..].iter().any(|byte| matches!(byte, b'/' | b'%')) {
        return;
    }
    let part = out.split_off(from);
    for byte in part {
        match byte {
            b'/' => out.extend_from_slice(b"%2F"),
            b'%' => out.extend_from_slice(b"%25"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_drive::{rows, schema};

    fn ids(fields: &[&str], cells: &[&[Option<&str>]]) -> Vec<String> {
        let schema = schema(fields);
        let records = rows(&schema, cells);
        let from = IdFrom::of(&schema, false);
        let ids = Ids::bind(&from, &schema, &records, "place-", 16).unwrap();
        let one = |row| {
            let mut out = b"before".to_vec();
            match ids.write(row, &mut out) {
                Ok(()) => String::from_utf8(out.split_off(6)).unwrap(),
                Err(refused) => {
                    assert_eq!(out, b"before");
                    refused.code.to_owned()
                }
            }
        };
        (0..records.num_rows()).map(one).collect()
    }

    #[test]
    fn a_document_is_called_by_its_key() {
        let long = "x".repeat(513);
        assert_eq!(
            ids(
                &["!id utf8", "n int64"],
                &[
                    &[Some("a\n\"/"), None],
                    &[Some(""), None],
                    &[None, None],
                    &[Some(&long), None],
                ]
            ),
            [
                "a\n\"/",
                "elasticsearch::no_id",
                "elasticsearch::no_id",
                "elasticsearch::id_too_long"
            ]
        );
        assert_eq!(ids(&["!n int64"], &[&[Some("-7")]]), ["-7"]);
    }

    #[test]
    fn keys_of_several_columns_stay_apart() {
        let two = ["!a utf8", "!b utf8"];
        let cells: &[&[Option<&str>]] = &[
            &[Some("a/b"), Some("c")],
            &[Some("a"), Some("b/c")],
            &[Some("a%2Fb"), Some("c")],
        ];
        assert_eq!(ids(&two, cells), ["a%2Fb/c", "a/b%2Fc", "a%252Fb/c"]);
    }

    #[test]
    fn without_a_key_it_is_called_by_its_place() {
        assert_eq!(
            ids(&["n int64"], &[&[Some("1")], &[Some("1")]]),
            ["place-10", "place-11"]
        );
        let prefixes = [
            place_prefix("run", 0, 1),
            place_prefix("run", 1, 1),
            place_prefix("run", 0, 2),
            place_prefix("other", 0, 1),
        ];
        let mut unlike = prefixes.to_vec();
        unlike.sort();
        unlike.dedup();
        assert_eq!(unlike.len(), prefixes.len());
        assert_eq!(place_prefix("run", 0, 1), prefixes[0]);
    }
}
