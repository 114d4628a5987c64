//! The schema of a sample of dataknobs records: columns as for any document, and the type most
//! fields declare.

use std::collections::HashMap;

use super::{Form, Reader, TYPE_PREFIX};
use crate::json::{self, RowError};
use crate::{Field, Schema};

/// Finds the fields of dataknobs records and their types.
#[derive(Debug)]
pub struct Inference {
    plain: json::Inference,
    reader: Reader,
    declared: HashMap<String, Vec<(String, u64)>>,
}

impl Inference {
    /// Nothing seen yet.
    pub fn new(form: Form) -> Self {
        Inference {
            plain: json::Inference::new().bare_nan(form.is_bare_nan()),
            reader: Reader::new(&Schema::default()),
            declared: HashMap::new(),
        }
    }

    /// Takes a record of a file or of S3 into account.
    ///
    /// *Errors* – malformed records are as if they had not been there.
    pub fn record(&mut self, bytes: &[u8]) -> Result<(), RowError> {
        let Inference {
            plain,
            reader,
            declared,
        } = self;
        let mut types = Vec::new();
        let record = reader.read(None, bytes, &mut |name, declared| {
            types.push((name.to_owned(), declared.to_owned()));
        })?;
        plain.observe(record.fields)?;
        for (name, kind) in types {
            let counts = declared.entry(name).or_default();
            match counts.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        Ok(())
    }

    /// Takes the `data` of a flat record into account.
    ///
    /// *Errors* – malformed records are as if they had not been there.
    pub fn flat(&mut self, data: &[u8]) -> Result<(), RowError> {
        let record = self.reader.flat(data, None)?;
        self.plain.observe(record.fields)
    }

    /// The fields in the order in which they were first seen, the usual dataknobs type of each in
    /// its source type; null in them means absent.
    pub fn finish(self) -> Vec<Field> {
        let mut fields = self.plain.finish();
        for field in &mut fields {
            // The first of equally frequent ones, so that a sample read twice says the same.
            let usual = self.declared.get(&field.name).and_then(|counts| {
                counts
                    .iter()
                    .rev()
                    .max_by_key(|(_, count)| *count)
                    .map(|(kind, _)| kind)
            });
            field.source_type = usual.map(|kind| format!("{TYPE_PREFIX}{kind}"));
        }
        fields
    }
}
