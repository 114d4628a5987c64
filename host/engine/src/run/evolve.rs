//! `schema_drift = "evolve"`: fields the frozen schema does not know become columns of the target.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use dkhost_core::json::{DecodeOptions, Decoder, Inference};
use dkhost_core::{
    Batch, Error, Field, LogicalType, Result, Role, RowReject, Schema, StageKind, Writer,
};

/// The columns a run has added to its target so far, shared by its partitions.
#[derive(Debug, Default)]
pub struct Evolution {
    columns: Mutex<Vec<Field>>,
}

impl Evolution {
    /// Goes on with the columns of earlier processes, as their checkpoints name them.
    pub fn resume(evolved: &[(String, String)]) -> Result<Self> {
        let mut columns: Vec<Field> = Vec::new();
        for (name, logical) in evolved {
            let logical: LogicalType = logical
                .parse()
                .map_err(|cause: String| Error::state("state::corrupt", cause))?;
            if !columns.iter().any(|column| column.name == *name) {
                columns.push(Field::new(name, logical));
            }
        }
        Ok(Evolution {
            columns: Mutex::new(columns),
        })
    }

    /// The columns so far, for a checkpoint.
    pub fn columns(&self) -> Vec<(String, String)> {
        self.known()
            .iter()
            .map(|column| (column.name.clone(), column.logical.to_string()))
            .collect()
    }

    fn known(&self) -> Vec<Field> {
        self.columns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the rest of a batch by columns, adding them to the target first where they are new.
    pub fn unfold(&self, batch: Batch, writer: &mut dyn Writer) -> Result<Batch> {
        let schema = Schema::from_arrow(&batch.records.schema())?;
        let Some(rest) = schema.role(Role::Rest) else {
            return Ok(batch);
        };
        let objects = batch.records.column(rest).clone();
        let objects = objects.as_string::<i32>();
        let columns = self.learn(objects, writer)?;
        let (extra, rejects) = decode(objects, &columns)?;
        let mut arrays = batch.records.columns().to_vec();
        let mut fields = schema.fields;
        arrays.remove(rest);
        fields.remove(rest);
        arrays.extend(extra);
        fields.extend(columns);
        let records = RecordBatch::try_new(Schema::new(fields).to_arrow(), arrays)?;
        Batch { records, ..batch }.refuse(rejects, StageKind::Decode, "target")
    }

    /// Adds the fields of these objects that are new; says which columns the batch is to have.
    fn learn(
        &self,
        objects: &arrow::array::StringArray,
        writer: &mut dyn Writer,
    ) -> Result<Vec<Field>> {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        if objects.null_count() == objects.len() {
            return Ok(columns.clone());
        }
        let mut inference = Inference::new();
        for object in objects.iter().flatten() {
            inference
                .observe(object.as_bytes())
                .map_err(|cause| Error::bug(cause.message))?;
        }
        let fresh: Vec<Field> = inference
            .finish()
            .into_iter()
            .filter(|field| !columns.iter().any(|column| column.name == field.name))
            .map(|field| Field::new(field.name, field.logical))
            .collect();
        if !fresh.is_empty() {
            writer.add_columns(&fresh)?;
            columns.extend(fresh);
        }
        Ok(columns.clone())
    }
}

fn decode(
    objects: &arrow::array::StringArray,
    columns: &[Field],
) -> Result<(Vec<arrow::array::ArrayRef>, Vec<RowReject>)> {
    // Without a rest column the decoder refuses what does not fit instead of keeping it aside.
    let mut decoder = Decoder::new(&Schema::new(columns.to_vec()), DecodeOptions::default());
    let mut rejects = Vec::new();
    for row in 0..objects.len() {
        let object = if objects.is_null(row) {
            "{}"
        } else {
            objects.value(row)
        };
        if let Err(cause) = decoder.push(object.as_bytes()) {
            let code = "drift::type_mismatch".to_owned();
            rejects.push(RowReject {
                row: row as u32,
                column: cause.column,
                code,
                message: cause.message,
            });
            decoder
                .push(b"{}")
                .map_err(|cause| Error::bug(cause.message))?;
        }
    }
    Ok((decoder.finish()?.columns().to_vec(), rejects))
}
