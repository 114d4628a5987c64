//! Schemas and rows written as text.

use arrow::array::RecordBatch;
use dkhost_core::text::Appender;
use dkhost_core::{Field, Schema};

/// Rows of cells as [`dkhost_core::text`] spells them.
pub type Cells<'a> = &'a [&'a [Option<&'a str>]];

/// A schema from `name type` lines; `!` before a name makes it a key column.
pub fn schema(fields: &[&str]) -> Schema {
    let mut key = 0;
    let fields = fields.iter().map(|line| {
        // The name may have spaces, the type too.
        let (name, logical) = line
            .match_indices(' ')
            .find_map(|(at, _)| Some((&line[..at], line[at + 1..].parse().ok()?)))
            .unwrap();
        let mut field = Field::new(name.trim_start_matches('!'), logical);
        if name.starts_with('!') {
            field.key = Some(key);
            key += 1;
        }
        field
    });
    Schema::new(fields.collect())
}

/// Rows from the texts of their cells.
pub fn rows(schema: &Schema, rows: Cells<'_>) -> RecordBatch {
    let mut columns: Vec<Appender> = schema
        .fields
        .iter()
        .map(|field| Appender::new(&field.logical))
        .collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(*row) {
            match cell {
                Some(text) => assert!(column.append(text), "{text}"),
                None => column.append_null(),
            }
        }
    }
    let arrays = columns.iter_mut().map(|column| column.finish().unwrap());
    RecordBatch::try_new(schema.to_arrow(), arrays.collect()).unwrap()
}
