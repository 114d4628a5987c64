//! One link of a chain: what turns the values of a column into other values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Datum, RecordBatch, Scalar, StringBuilder, new_null_array,
};
use arrow::compute::is_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, SchemaRef};
use dkhost_core::{Error, LogicalType, Result, RowReject};
use regex::Regex;

use super::timestamp::Formats;
use crate::expr::Expression;
use crate::expr::convert::{Converted, convert, value_text};
use crate::expr::fault::Fault;

/// The name under which a chain's expressions see the value.
pub(super) const VALUE: &str = "value";

/// What turns values into other values.
pub(super) enum Link {
    /// An expression over the one column [`VALUE`].
    Expression {
        expression: Expression,
        schema: SchemaRef,
    },
    /// A conversion; a value that cannot be converted becomes `default`, or its row is refused.
    Convert {
        from: LogicalType,
        to: LogicalType,
        default: Option<ArrayRef>,
    },
    /// Text by the first format that fits.
    Timestamp { formats: Formats },
    /// A value where there is none.
    Fill { value: ArrayRef },
    /// The text of a group where the pattern matches, null elsewhere. DataFusion's `regexp_match`
    /// leaves out groups that took no part, so that the others move up.
    Extract { pattern: Regex, group: usize },
}

impl Link {
    /// Whether a value may become null: where a pattern does not match, and by JSON's null.
    pub(super) fn makes_null(&self) -> bool {
        match self {
            Link::Extract { .. } => true,
            Link::Convert { from, to, .. } => {
                from != to && (*from == LogicalType::Json || *to == LogicalType::Json)
            }
            Link::Expression { .. } | Link::Timestamp { .. } | Link::Fill { .. } => false,
        }
    }

    /// Changes `values`; rows that have none afterwards are added to `rejects`.
    pub(super) fn change(
        &self,
        values: ArrayRef,
        column: &str,
        rejects: &mut Vec<RowReject>,
    ) -> Result<ArrayRef> {
        match self {
            Link::Expression { expression, schema } => {
                let records = RecordBatch::try_new(schema.clone(), vec![values])?;
                let evaluated = expression.evaluate_rows(&records)?;
                rejects.extend(evaluated.faults.into_iter().map(|fault| RowReject {
                    row: fault.row,
                    column: Some(column.to_owned()),
                    code: "step::expression".to_owned(),
                    message: fault.message,
                }));
                Ok(evaluated.values)
            }
            Link::Convert { from, to, default } => {
                let converted = convert(&values, from, to).map_err(bug)?;
                match default {
                    Some(default) => with_default(&converted, default),
                    None => {
                        refuse(&converted, column, rejects, |row| {
                            converted.reason(&values, row, from, to)
                        });
                        Ok(converted.values)
                    }
                }
            }
            Link::Timestamp { formats } => {
                let converted = formats.parse(&values);
                let spelled = formats.spelled();
                refuse(&converted, column, rejects, |row| {
                    format!(
                        "{} is not written as {spelled}",
                        value_text(&values, row, &LogicalType::Utf8)
                    )
                });
                Ok(converted.values)
            }
            Link::Fill { value } => fill(&values, value),
            Link::Extract { pattern, group } => {
                let texts = values.as_string::<i32>();
                let mut found = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
                for text in texts {
                    let part = text.and_then(|text| pattern.captures(text)?.get(*group));
                    found.append_option(part.map(|part| part.as_str()));
                }
                Ok(Arc::new(found.finish()))
            }
        }
    }
}

fn fill(values: &ArrayRef, value: &ArrayRef) -> Result<ArrayRef> {
    let value = Scalar::new(value.clone());
    if *values.data_type() == DataType::Null {
        let none = new_null_array(value.get().0.data_type(), values.len());
        return Ok(zip(&is_null(&none)?, &value, &none)?);
    }
    match values.null_count() {
        0 => Ok(values.clone()),
        _ => Ok(zip(&is_null(values)?, &value, values)?),
    }
}

fn bug(fault: Fault) -> Error {
    Error::bug(fault.message)
}

fn refuse(
    converted: &Converted,
    column: &str,
    rejects: &mut Vec<RowReject>,
    why: impl Fn(usize) -> String,
) {
    rejects.extend(converted.failed.iter().map(|row| RowReject {
        row: *row,
        column: Some(column.to_owned()),
        code: "step::cast".to_owned(),
        message: why(*row as usize),
    }));
}

fn with_default(converted: &Converted, default: &ArrayRef) -> Result<ArrayRef> {
    if converted.failed.is_empty() {
        return Ok(converted.values.clone());
    }
    let mut failed = vec![false; converted.values.len()];
    for row in &converted.failed {
        failed[*row as usize] = true;
    }
    Ok(zip(
        &failed.into(),
        &Scalar::new(default.clone()),
        &converted.values,
    )?)
}
