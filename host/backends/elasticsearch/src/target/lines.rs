//! A batch as the lines of a bulk: an action and a document for each row, written straight from its
//! columns.
//!
//! A raw line end in a body begins a new action, so ids are escaped as JSON strings and documents
//! come from the encoder, which writes each on one line. What is sent is a part of these bytes
//! without a copy, as long as the rows follow each other.

use bytes::Bytes;
use dkhost_core::json::escape;
use dkhost_core::{RowReject, json::RowError};
use xxhash_rust::xxh3::xxh3_64;

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Only where no document of that id is.
    Create,
    /// Whatever is there.
    Index,
}

/// Rows on their way into lines.
pub(super) struct Writing {
    action: &'static str,
    bytes: Vec<u8>,
    rows: Vec<Option<Row>>,
    rejects: Vec<RowReject>,
    id: Vec<u8>,
}

/// Where a row's lines lie.
#[derive(Debug, Clone)]
struct Row {
    id: Box<str>,
    start: usize,
    document: usize,
    /// After the line end of the document.
    end: usize,
}

/// All rows of a batch.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Bytes,
    rows: Vec<Option<Row>>,
    /// Rows that are no documents; they have no lines.
    pub rejects: Vec<RowReject>,
}

impl Writing {
    pub fn new(action: Action, rows: usize) -> Self {
        Writing {
            action: match action {
                Action::Create => "{\"create\":{\"_id\":",
                Action::Index => "{\"index\":{\"_id\":",
            },
            bytes: Vec::new(),
            rows: Vec::with_capacity(rows),
            rejects: Vec::new(),
            id: Vec::new(),
        }
    }

    /// Adds the next row: `id` and `document` append theirs to what they are given. The document is
    /// told the row's id. A `version` is the document's own.
    pub fn row(
        &mut self,
        version: Option<i64>,
        id: impl FnOnce(&mut Vec<u8>) -> Result<(), RowError>,
        document: impl FnOnce(&str, &mut Vec<u8>) -> Result<(), RowError>,
    ) {
        let start = self.bytes.len();
        match self.lines(version, id, document) {
            Ok(row) => self.rows.push(Some(row)),
            Err(refused) => {
                self.bytes.truncate(start);
                let row = self.rows.len() as u32;
                self.rejects.push(refused.reject(row));
                self.rows.push(None);
            }
        }
    }

    fn lines(
        &mut self,
        version: Option<i64>,
        id: impl FnOnce(&mut Vec<u8>) -> Result<(), RowError>,
        document: impl FnOnce(&str, &mut Vec<u8>) -> Result<(), RowError>,
    ) -> Result<Row, RowError> {
        let start = self.bytes.len();
        self.id.clear();
        id(&mut self.id)?;
        let id: Box<str> = String::from_utf8_lossy(&self.id).into();
        self.bytes.extend_from_slice(self.action.as_bytes());
        escape(&id, &mut self.bytes);
        if let Some(version) = version {
            // Equal ones pass, so that a batch that is sent again is taken again.
            let version = format!(",\"version\":{version},\"version_type\":\"external_gte\"");
            self.bytes.extend_from_slice(version.as_bytes());
        }
        self.bytes.extend_from_slice(b"}}\n");
        let at = self.bytes.len();
        document(&id, &mut self.bytes)?;
        self.bytes.push(b'\n');
        Ok(Row {
            id,
            start,
            document: at,
            end: self.bytes.len(),
        })
    }

    pub fn finish(self) -> Lines {
        Lines {
            bytes: Bytes::from(self.bytes),
            rows: self.rows,
            rejects: self.rejects,
        }
    }
}

impl Lines {
    /// How many rows there are, those without lines included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows that have lines.
    pub fn present(&self) -> impl Iterator<Item = u32> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| row.is_some())
            .map(|(row, _)| row as u32)
    }

    fn row(&self, row: u32) -> Option<&Row> {
        self.rows.get(row as usize)?.as_ref()
    }

    /// The id of a row; empty for one without lines.
    pub fn id(&self, row: u32) -> &str {
        self.row(row).map_or("", |row| &row.id)
    }

    /// The document of a row, without a line end.
    pub fn document(&self, row: u32) -> &[u8] {
        self.row(row)
            .map_or(&[], |row| &self.bytes[row.document..row.end - 1])
    }

    /// A hash of a row's document, to know it again.
    pub fn hash(&self, row: u32) -> u64 {
        xxh3_64(self.document(row))
    }

    /// Bytes of a row's lines.
    pub fn size(&self, row: u32) -> usize {
        self.row(row).map_or(0, |row| row.end - row.start)
    }

    /// A body of these rows, in their order.
    pub fn body(&self, rows: &[u32]) -> Bytes {
        let spans: Vec<(usize, usize)> = rows
            .iter()
            .filter_map(|row| self.row(*row))
            .map(|row| (row.start, row.end))
            .collect();
        let follow = spans.windows(2).all(|pair| pair[0].1 == pair[1].0);
        match (spans.first(), spans.last()) {
            (Some(first), Some(last)) if follow => self.bytes.slice(first.0..last.1),
            _ => {
                let mut body = Vec::with_capacity(spans.iter().map(|(a, b)| b - a).sum());
                for (start, end) in spans {
                    body.extend_from_slice(&self.bytes[start..end]);
                }
                Bytes::from(body)
            }
        }
    }

    /// Rows in portions of at most about `bytes`, in their order; a row that is larger is alone.
    pub fn portions(&self, rows: &[u32], bytes: usize) -> Vec<Vec<u32>> {
        let (mut portions, mut portion, mut held) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            let size = self.size(*row);
            if held + size > bytes && !portion.is_empty() {
                portions.push(std::mem::take(&mut portion));
                held = 0;
            }
            portion.push(*row);
            held += size;
        }
        if !portion.is_empty() {
            portions.push(portion);
        }
        portions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rows: &[(&str, &str)]) -> Lines {
        let mut writing = Writing::new(Action::Create, rows.len());
        for (id, document) in rows {
            let refuse = document.is_empty();
            writing.row(
                None,
                |out| {
                    out.extend_from_slice(id.as_bytes());
                    Ok(())
                },
                |_, out| {
                    out.extend_from_slice(document.as_bytes());
                    match refuse {
                        true => Err(RowError::new("json::not_a_number", "no")),
                        false => Ok(()),
                    }
                },
            );
        }
        writing.finish()
    }

    fn text(body: &[u8]) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn rows_are_an_action_and_a_document_on_a_line_each() {
        let lines = lines(&[
            ("1", "{}"),
            ("a\"}}\n{\"delete\":{", "{\"n\":1}"),
            ("3", ""),
            ("4", "{}"),
        ]);
        let body = lines.body(&[0, 1, 3]);
        assert_eq!(
            text(&body),
            "{\"create\":{\"_id\":\"1\"}}\n{}\n\
             {\"create\":{\"_id\":\"a\\\"}}\\n{\\\"delete\\\":{\"}}\n{\"n\":1}\n\
             {\"create\":{\"_id\":\"4\"}}\n{}\n"
        );
        assert_eq!(lines.body(&[3, 0]).len(), lines.size(3) + lines.size(0));
        assert_eq!(lines.present().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(
            (lines.rejects[0].row, lines.document(1)),
            (2, &b"{\"n\":1}"[..])
        );
    }

    #[test]
    fn portions_are_bounded_and_hold_at_least_a_row() {
        let lines = lines(&[
            ("1", "{}"),
            ("2", "{}"),
            ("3", "{\"long\":1111111111}"),
            ("4", "{}"),
        ]);
        let size = lines.size(0);
        let portions = |bytes| lines.portions(&[0, 1, 2, 3], bytes);
        assert_eq!(portions(2 * size), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(portions(1), [[0], [1], [2], [3]]);
        assert_eq!(portions(1 << 20), [[0, 1, 2, 3]]);
    }
}
