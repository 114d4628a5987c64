//! When records of a dataknobs store were written: what a record brings along, and what the store
//! says by itself.
//!
//! *Source* – `dataknobs-data` 0.11.0, `backends/sql_base.py`: an insert sets both times, an update
//! the last one.

use dkhost_core::dataknobs::RECORD;
use dkhost_core::json::RowError;
use serde_json::{Map, Value as Json};

/// When a record was written first, and last.
pub(super) const TIMES: [&str; 2] = ["created_at", "updated_at"];

/// Those of one record, in microseconds and UTC.
pub(super) type Taken = [Option<i64>; 2];

/// The store's own times, if the record brings them along, in microseconds and UTC.
pub(super) fn timestamps(meta: &str) -> Result<Taken, RowError> {
    if !meta.contains(RECORD) {
        return Ok([None, None]);
    }
    // Metadata that is no object is refused when it is written.
    let meta: Map<String, Json> = serde_json::from_str(meta).unwrap_or_default();
    let mut times = [None, None];
    for (time, name) in times.iter_mut().zip(TIMES) {
        let Some(text) = meta.get(RECORD).and_then(|own| own.get(name)?.as_str()) else {
            continue;
        };
        *time = Some(moment(text).ok_or_else(|| {
            RowError::new(
                "dataknobs::bad_time",
                format!(
                    "`{name}` is {text:?}, which is no time; read the store without `timestamps`"
                ),
            )
        })?);
    }
    Ok(times)
}

fn moment(text: &str) -> Option<i64> {
    use dkhost_core::text::parse_timestamp;
    parse_timestamp(text, false).or_else(|| parse_timestamp(text, true))
}

/// The value of a column for a row, from the one that was sent: times that no record brings are set.
pub(super) fn inserted(column: &str, sent: String) -> String {
    match TIMES.contains(&column) {
        true => format!("coalesce({sent}, CURRENT_TIMESTAMP)"),
        false => sent,
    }
}

/// Whether a column is one of the times.
pub(super) fn is_time(column: &str) -> bool {
    TIMES.contains(&column)
}

/// What an update does to the times of the row it meets: `SET`'s entries, and whether that alone is
/// reason to update. A time that was sent is put there; else the first stays and the last is now.
pub(super) fn touched(are_sent: bool) -> ([&'static str; 2], &'static str) {
    match are_sent {
        true => (
            [
                "created_at = CASE WHEN excluded.created_at = CURRENT_TIMESTAMP THEN coalesce(t.created_at, excluded.created_at) ELSE excluded.created_at END",
                "updated_at = excluded.updated_at",
            ],
            " OR (excluded.created_at <> CURRENT_TIMESTAMP AND excluded.created_at IS DISTINCT FROM t.created_at) \
             OR (excluded.updated_at <> CURRENT_TIMESTAMP AND excluded.updated_at IS DISTINCT FROM t.updated_at)",
        ),
        false => (
            [
                "created_at = coalesce(t.created_at, CURRENT_TIMESTAMP)",
                "updated_at = CURRENT_TIMESTAMP",
            ],
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_stores_write_them() {
        let meta = |created: &str| format!(r#"{{"$record":{{"created_at":"{created}"}}}}"#);
        for (text, micros) in [
            ("1970-01-01 00:00:01", 1_000_000),
            ("1970-01-01 00:00:00.000001", 1),
            ("1970-01-01T01:00:01+01:00", 1_000_000),
            ("1970-01-01 00:00:01+00", 1_000_000),
        ] {
            assert_eq!(
                timestamps(&meta(text)).unwrap(),
                [Some(micros), None],
                "{text}"
            );
        }
        assert_eq!(
            timestamps(&meta("soon")).unwrap_err().code,
            "dataknobs::bad_time"
        );
    }
}
