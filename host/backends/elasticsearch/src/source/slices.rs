//! Slices of an index, and what is left of one in a later moment.
//!
//! A shard numbers what is written to it, and a document has the number of its last change
//! (`_seq_no`). So a slice is a range of numbers of one shard, in any moment the same: a document
//! cannot come into it any more, and leaves it by being changed or deleted. Whoever reads on in a
//! later moment counts what is left. If that is what should be left, nothing was missed; if not,
//! some documents have other numbers now, above all there were, and are read there when the target
//! takes records again.

use dkhost_core::{Error, Partition, Position, Result};
use serde::{Deserialize, Serialize};

use super::indices::changed;
use super::moment::{Counted, Moments, Shard};

/// Fewer documents are not worth a slice of their own.
const SLICE_MIN: u64 = 10_000;

/// What of a shard is read, fixed when the run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slice {
    pub index: String,
    pub uuid: String,
    pub shard: u32,
    /// Sequence numbers above this.
    pub after: i64,
    /// Up to this.
    pub until: i64,
    /// How many documents have such a number.
    pub count: u64,
    /// The greatest number of all slices of the shard.
    pub ceiling: i64,
}

/// How far a slice is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// The number of the last document.
    pub sequence: i64,
    /// How many documents were read of how many, since the slice was begun, or begun again.
    pub read: u64,
    pub count: u64,
    /// Changes up to here are taken in.
    pub ceiling: i64,
    /// The moment it was read in, if that still is to be had.
    pub moment: Option<String>,
}

impl Reached {
    /// Where a partition is to be read on.
    ///
    /// *Errors* – `source::changed` for a position of another kind of source.
    pub fn of(slice: &Slice, from: &Position) -> Result<Self> {
        if from.is_start() {
            return Ok(Reached {
                sequence: slice.after,
                read: 0,
                count: slice.count,
                ceiling: slice.ceiling,
                moment: None,
            });
        }
        Reached::deserialize(&from.0).map_err(|cause| {
            changed("the position is not one of an index".to_owned()).caused_by(cause)
        })
    }

    pub fn position(&self) -> Result<Position> {
        serde_json::to_value(self)
            .map(Position)
            .map_err(|cause| Error::bug("a position that is no JSON").caused_by(cause))
    }
}

/// One walk through a range of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    pub after: i64,
    pub until: i64,
    /// It reads what was changed since; the position stays until it is over.
    pub catches_up: bool,
}

/// What is found of a slice in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Documents of the slice that are not read yet.
    pub left: u64,
    /// Documents above the ceiling.
    pub fresh: Counted,
    /// Documents of the whole slice.
    pub whole: u64,
}

/// What is to be read now, and from where on.
///
/// *Errors* – `source::changed` when documents that were not read yet were changed or deleted, and
/// the target takes no record twice.
pub(super) fn phases(
    slice: &Slice,
    mut reached: Reached,
    found: &Found,
    repeatable: bool,
) -> Result<(Reached, Vec<Phase>)> {
    let expected = reached.count.saturating_sub(reached.read);
    if found.left != expected && !repeatable {
        return Err(changed(format!(
            "index {} was written to since the run began, in places that were not read yet",
            slice.index
        ))
        .help("start anew with `dkhost run --no-resume`; with a target that takes records again (on_conflict = \"upsert\") the run would go on"));
    }
    let mut phases = Vec::new();
    if let Some((_, last)) = found.fresh.range.filter(|_| repeatable) {
        phases.push(Phase {
            after: reached.ceiling,
            until: last,
            catches_up: true,
        });
        reached.ceiling = last;
    }
    if found.left > expected {
        // What was being written when the moment was made came later than greater numbers.
        (reached.sequence, reached.read, reached.count) = (slice.after, 0, found.whole);
    } else {
        reached.count = reached.read + found.left;
    }
    phases.push(Phase {
        after: reached.sequence,
        until: slice.until,
        catches_up: false,
    });
    Ok((reached, phases))
}

/// Cuts the shards into about as many slices as are wanted.
pub(super) fn partitions(
    moments: &Moments,
    wanted: usize,
    count: impl Fn(&Shard, Option<(i64, i64)>) -> Result<Counted>,
) -> Result<Vec<Partition>> {
    let each = wanted.max(1).div_ceil(moments.shards.len().max(1)) as u64;
    let mut partitions = Vec::new();
    for shard in &moments.shards {
        let whole = count(shard, None)?;
        let pieces = each.min(whole.documents / SLICE_MIN).max(1);
        let (first, last) = whole.range.unwrap_or((0, -1));
        for (after, until) in ranges(first - 1, last, pieces) {
            let count = match pieces {
                1 => whole.documents,
                _ => count(shard, Some((after, until)))?.documents,
            };
            let slice = Slice {
                index: shard.index.name.clone(),
                uuid: shard.index.uuid.clone(),
                shard: shard.number,
                after,
                until,
                count,
                ceiling: last,
            };
            let label = match pieces {
                1 => shard.label(),
                _ => format!("{}, writes {} to {until}", shard.label(), after + 1),
            };
            partitions.push(Partition {
                index: partitions.len() as u32,
                label,
                slice: serde_json::to_value(slice)
                    .map_err(|cause| Error::bug("a slice that is no JSON").caused_by(cause))?,
            });
        }
    }
    Ok(partitions)
}

/// Ranges of equal width.
fn ranges(after: i64, until: i64, pieces: u64) -> Vec<(i64, i64)> {
    let (pieces, width) = (i128::from(pieces), i128::from(until) - i128::from(after));
    let bound = |piece: i128| (i128::from(after) + width * piece / pieces) as i64;
    (0..pieces)
        .map(|piece| (bound(piece), bound(piece + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Slice = Slice {
        index: String::new(),
        uuid: String::new(),
        shard: 0,
        after: 99,
        until: 199,
        count: 100,
        ceiling: 399,
    };

    fn reached() -> Reached {
        Reached {
            sequence: 149,
            read: 50,
            count: 100,
            ceiling: 399,
            moment: None,
        }
    }

    fn found(left: u64, fresh: Option<(i64, i64)>) -> Found {
        let documents = fresh.map_or(0, |(first, last)| (last - first + 1) as u64);
        Found {
            left,
            fresh: Counted {
                documents,
                range: fresh,
            },
            whole: left + 50,
        }
    }

    fn outcome(found: Found, repeatable: bool) -> Result<Vec<(i64, i64, bool)>, &'static str> {
        let (_, phases) = phases(&SLICE, reached(), &found, repeatable).map_err(|e| e.code())?;
        Ok(phases
            .iter()
            .map(|phase| (phase.after, phase.until, phase.catches_up))
            .collect())
    }

    #[test]
    fn ranges_have_every_number_once() {
        assert_eq!(ranges(-1, 9, 3), [(-1, 2), (2, 5), (5, 9)]);
        assert_eq!(ranges(-1, -1, 1), [(-1, -1)]);
    }

    #[test]
    fn an_index_that_did_not_change_is_read_on() {
        for repeatable in [false, true] {
            assert_eq!(
                outcome(found(50, None), repeatable),
                Ok(vec![(149, 199, false)])
            );
        }
    }

    #[test]
    fn changes_are_read_where_they_may_come_twice() {
        let changed = found(49, Some((400, 400)));
        assert_eq!(
            outcome(changed, true),
            Ok(vec![(399, 400, true), (149, 199, false)])
        );
        assert_eq!(outcome(changed, false), Err("source::changed"));
        // Only what was read already was changed, or something was added.
        assert_eq!(
            outcome(found(50, Some((400, 400))), false),
            Ok(vec![(149, 199, false)])
        );
    }

    #[test]
    fn what_came_late_is_not_missed() {
        let late = found(51, None);
        assert_eq!(outcome(late, true), Ok(vec![(99, 199, false)]));
        assert_eq!(outcome(late, false), Err("source::changed"));
    }

    #[test]
    fn a_position_knows_what_was_caught_up() {
        let (now, _) = phases(&SLICE, reached(), &found(40, Some((400, 420))), true).unwrap();
        assert_eq!((now.ceiling, now.count), (420, 90));
        let again = Reached::of(&SLICE, &now.position().unwrap()).unwrap();
        assert_eq!(again, now);
        assert_eq!(
            Reached::of(&SLICE, &Position::start()).unwrap().sequence,
            99
        );
        let other = Position(serde_json::json!({"line": 3}));
        assert_eq!(
            Reached::of(&SLICE, &other).unwrap_err().code(),
            "source::changed"
        );
    }
}
