//! Which rows go on: all, those of a bitmap, or rows spread from others; and how a column loses the
//! same ones.

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate, take};

use super::receive;
use super::room::Room;
use crate::limits::Limits;

type Verified<T> = Result<T, String>;

/// Which input rows the output rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All of them, in place.
    All,
    /// A bitmap over the input.
    Selection(Vec<u8>),
    /// For each output row its input row, as uint32.
    Origin(Vec<u8>),
}

/// The rows that go on, ready to be taken out of a column.
pub(super) enum Kept {
    All,
    Masked(BooleanBuffer, FilterPredicate),
    /// Rows of the plugin's output that survive the rejects; then the input row of each survivor.
    Spread {
        given: usize,
        survivors: Option<FilterPredicate>,
        origin: UInt32Array,
    },
}

impl Kept {
    pub(super) fn of(
        rows: Rows,
        count: usize,
        limits: &Limits,
        refused: Option<BooleanBuffer>,
    ) -> Verified<Kept> {
        match rows {
            Rows::All => Ok(match refused {
                None => Kept::All,
                Some(refused) => Kept::masked(!&refused),
            }),
            Rows::Selection(bits) => Ok(Kept::masked(without(
                receive::bitmap(bits, count, "the selection")?,
                refused,
            ))),
            Rows::Origin(bytes) => Kept::spread(origin(&bytes, count, limits)?, refused),
        }
    }

    pub(super) fn masked(mask: BooleanBuffer) -> Kept {
        if mask.count_set_bits() == mask.len() {
            return Kept::All;
        }
        let predicate = FilterBuilder::new(&BooleanArray::new(mask.clone(), None))
            .optimize()
            .build();
        Kept::Masked(mask, predicate)
    }

    fn spread(origin: Vec<u32>, refused: Option<BooleanBuffer>) -> Verified<Kept> {
        let given = origin.len();
        let Some(refused) = refused else {
            return Ok(Kept::Spread {
                given,
                survivors: None,
                origin: origin.into(),
            });
        };
        let mask: BooleanBuffer = origin
            .iter()
            .map(|row| !refused.value(*row as usize))
            .collect();
        let predicate = FilterBuilder::new(&BooleanArray::new(mask, None))
            .optimize()
            .build();
        let survivors: Vec<u32> = origin
            .into_iter()
            .filter(|row| !refused.value(*row as usize))
            .collect();
        Ok(Kept::Spread {
            given,
            survivors: Some(predicate),
            origin: survivors.into(),
        })
    }

    /// How many rows a computed column has.
    pub(super) fn computed_rows(&self, input: usize) -> usize {
        match self {
            Kept::Spread { given, .. } => *given,
            _ => input,
        }
    }

    /// How many rows go on.
    pub(super) fn len(&self, input: usize) -> usize {
        match self {
            Kept::All => input,
            Kept::Masked(_, predicate) => predicate.count(),
            Kept::Spread { origin, .. } => origin.len(),
        }
    }

    pub(super) fn carry(&self, column: &ArrayRef, room: &mut Room) -> Verified<ArrayRef> {
        match self {
            Kept::All => Ok(column.clone()),
            Kept::Masked(_, predicate) => predicate.filter(column).map_err(|e| e.to_string()),
            Kept::Spread { origin, .. } => {
                room.for_rows(column, origin)?;
                take(column, origin, None).map_err(|e| e.to_string())
            }
        }
    }

    pub(super) fn compute(&self, column: ArrayRef) -> Verified<ArrayRef> {
        match self {
            Kept::Masked(_, predicate)
            | Kept::Spread {
                survivors: Some(predicate),
                ..
            } => predicate.filter(&column).map_err(|e| e.to_string()),
            _ => Ok(column),
        }
    }

    pub(super) fn into_origin(self) -> Option<Vec<u32>> {
        match self {
            Kept::All => None,
            Kept::Masked(mask, _) => Some(mask.set_indices_u32().collect()),
            Kept::Spread { origin, .. } => Some(origin.values().to_vec()),
        }
    }
}

/// The rows of `mask` that are not refused.
pub(super) fn without(mask: BooleanBuffer, refused: Option<BooleanBuffer>) -> BooleanBuffer {
    match refused {
        Some(refused) => &mask & &!&refused,
        None => mask,
    }
}

/// Input rows in ascending order, each of them there.
pub(super) fn origin(bytes: &[u8], rows: usize, limits: &Limits) -> Verified<Vec<u32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!(
            "an origin of {} bytes, which is no whole number of rows",
            bytes.len()
        ));
    }
    if words.len() > limits.output_rows {
        return Err(format!(
            "{} rows, and one call may return {}",
            words.len(),
            limits.output_rows
        ));
    }
    let origin: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    if let Some(place) = origin.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(format!(
            "an origin that is not ascending at row {}",
            place + 1
        ));
    }
    match origin.last() {
        Some(last) if *last as usize >= rows => {
            Err(format!("an origin that names row {last} of {rows}"))
        }
        _ => Ok(origin),
    }
}
