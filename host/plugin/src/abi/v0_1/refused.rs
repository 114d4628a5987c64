//! Rows a plugin refuses: each a row of the batch, with a code, blaming a column that is there.

use arrow::buffer::BooleanBuffer;
use dkhost_core::RowReject;
use dkhost_core::dead_letter::MESSAGE_MAX_BYTES;

use super::promise::Promise;
use crate::log::clip;

type Verified<T> = Result<T, String>;

/// Bytes of a reject's code.
const CODE_MAX: usize = 128;

/// A row the plugin refuses, as it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) row: u32,
    pub(crate) column: Option<u32>,
    pub(crate) code: String,
    pub(crate) message: String,
}

type Rejects = (Vec<RowReject>, Option<BooleanBuffer>);

/// The refused rows, verified, and the same as a bitmap.
pub(super) fn rejects(promise: &Promise, rows: usize, refused: Vec<Refused>) -> Verified<Rejects> {
    if refused.is_empty() {
        return Ok((Vec::new(), None));
    }
    if refused.len() > rows {
        return Err(format!("{} rejects for {rows} rows", refused.len()));
    }
    let mut bits = vec![false; rows];
    let mut rejects = Vec::with_capacity(refused.len());
    for reject in refused {
        match bits.get_mut(reject.row as usize) {
            Some(bit) => *bit = true,
            None => return Err(format!("a reject of row {} of {rows}", reject.row)),
        }
        let column = match reject.column {
            None => None,
            Some(at) => match promise.input.fields.get(at as usize) {
                Some(field) => Some(field.name.clone()),
                None => {
                    return Err(format!(
                        "a reject that blames column {at}, which is not there"
                    ));
                }
            },
        };
        if reject.code.is_empty() || reject.code.len() > CODE_MAX {
            return Err(format!(
                "a reject of row {} without a code of 1 to {CODE_MAX} bytes",
                reject.row
            ));
        }
        let message = clip(reject.message, MESSAGE_MAX_BYTES);
        rejects.push(RowReject {
            row: reject.row,
            column,
            code: reject.code,
            message,
        });
    }
    Ok((rejects, Some(bits.into())))
}
