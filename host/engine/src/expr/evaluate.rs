//! Evaluation on batches, where a bad value costs its own record only.
//!
//! DataFusion evaluates a batch whole: one division by zero fails all 8,192 rows and does not say
//! which it was. The good batch is the common case and pays nothing; a bad one is halved until the
//! rows at fault are alone, each with its own reason.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_empty_array, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::Schema;
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use dkhost_core::{Error, LogicalType, Result};

use super::Expression;
use super::canonical::canonical;
use super::fault::Fault;

/// The values of an expression on a batch.
#[derive(Debug)]
pub struct Evaluated {
    /// A value for each row of the batch; null for the rows at fault.
    pub values: ArrayRef,
    /// The rows that have no value, ascending.
    pub faults: Vec<RowFault>,
}

/// A row for which an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Index into the batch.
    pub row: u32,
    /// Why, for people.
    pub message: String,
}

impl Expression {
    /// Evaluates a batch of the schema the expression was bound to; fails whole if a row does.
    ///
    /// *Errors* – `step::expression` with the reason of some row.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        self.try_batch(batch).map_err(|fault| self.error(fault))
    }

    /// Evaluates a batch of the schema the expression was bound to, and tells the rows apart that
    /// have no value.
    ///
    /// *Errors* – only what no value caused.
    pub fn evaluate_rows(&self, batch: &RecordBatch) -> Result<Evaluated> {
        let fault = match self.try_batch(batch) {
            Ok(values) => {
                return Ok(Evaluated {
                    values,
                    faults: Vec::new(),
                });
            }
            Err(fault) => fault,
        };
        let mut parts = Vec::new();
        let mut faults = Vec::new();
        self.halve(batch, 0, fault, &mut parts, &mut faults)?;
        let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        Ok(Evaluated {
            values: concat(&parts)?,
            faults,
        })
    }

    /// Evaluates a condition: true where a row goes on, false where it is false or null.
    ///
    /// *Errors* – as [`Expression::evaluate_rows`]; a bug if it is not a condition.
    pub fn decide(&self, batch: &RecordBatch) -> Result<(BooleanArray, Vec<RowFault>)> {
        let Evaluated { values, faults } = self.evaluate_rows(batch)?;
        if *self.logical() == LogicalType::Null {
            return Ok((vec![false; batch.num_rows()].into(), faults));
        }
        match values.as_any().downcast_ref::<BooleanArray>() {
            Some(decided) if decided.null_count() == 0 => Ok((decided.clone(), faults)),
            Some(decided) => Ok((arrow::compute::prep_null_mask_filter(decided), faults)),
            None => Err(Error::bug("a condition is not boolean")),
        }
    }

    fn try_batch(&self, batch: &RecordBatch) -> Result<ArrayRef, Fault> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(new_empty_array(&self.logical.arrow()));
        }
        let values = match self.physical.evaluate(batch)? {
            ColumnarValue::Array(values) => canonical(values, &self.logical)?,
            // Brought to its type once, not once a row.
            ColumnarValue::Scalar(value) => {
                let one = canonical(value.to_array()?, &self.logical)?;
                ScalarValue::try_from_array(&one, 0)?.to_array_of_size(rows)?
            }
        };
        match values.len() == rows {
            true => Ok(values),
            false => Err(Fault {
                message: "the result has another length".into(),
                by_data: false,
            }),
        }
    }

    fn halve(
        &self,
        batch: &RecordBatch,
        start: usize,
        fault: Fault,
        parts: &mut Vec<ArrayRef>,
        faults: &mut Vec<RowFault>,
    ) -> Result<()> {
        if !fault.by_data {
            return Err(self.error(fault));
        }
        let rows = batch.num_rows();
        if rows == 1 {
            parts.push(new_null_array(&self.logical.arrow(), 1));
            faults.push(RowFault {
                row: start as u32,
                message: fault.message,
            });
            return Ok(());
        }
        let middle = rows / 2;
        for (offset, length) in [(0, middle), (middle, rows - middle)] {
            let half = batch.slice(offset, length);
            match self.try_batch(&half) {
                Ok(values) => parts.push(values),
                Err(fault) => self.halve(&half, start + offset, fault, parts, faults)?,
            }
        }
        Ok(())
    }

    fn error(&self, fault: Fault) -> Error {
        let message = format!("`{}` cannot be computed: {}", self.text(), fault.message);
        match fault.by_data {
            true => Error::data("step::expression", message),
            false => Error::bug(message),
        }
    }
}

/// Evaluates one row without values, to find what DataFusion refuses whatever the data.
///
/// *Errors* – in the user's words, if it is not for the values.
pub(super) fn dry_run(physical: &dyn PhysicalExpr, input: &Schema) -> Result<(), Fault> {
    let fields = input
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = schema
        .fields()
        .iter()
        .map(|field| new_null_array(field.data_type(), 1));
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row = RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)?;
    match physical.evaluate(&one_row).map_err(Fault::from) {
        Err(fault) if !fault.by_data => Err(fault),
        _ => Ok(()),
    }
}

/// Evaluates what reads no column.
pub(super) fn constant(physical: &dyn PhysicalExpr) -> Result<ColumnarValue, Fault> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    Ok(physical.evaluate(&one_row)?)
}
