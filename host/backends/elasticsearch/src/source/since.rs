//! Only what changed since the last run: documents from the cursor, less the lookback, to the
//! greatest value of this moment.
//!
//! Both ends are included, so that documents which share the cursor's value are never missed; those
//! at the boundary are read again. Documents without a value are read by the first run and by no
//! other. The server keeps dates to the millisecond, and so does the cursor.

use std::sync::Arc;

use dkhost_core::text::{Number, parse_timestamp, write_timestamp};
use dkhost_core::{Error, Incremental, Lookback, Result};
use serde_json::{Value as Json, json};

use super::mapping::Mapped;
use super::moment::{Moments, ensure_whole};

/// What an incremental run reads.
#[derive(Debug, Clone)]
pub(super) struct Since {
    pub condition: Option<Json>,
    /// The greatest value there is: the cursor of the next run.
    pub until: Option<String>,
    pub notes: Vec<String>,
}

/// A field as a line that runs go along.
struct Axis<'a> {
    name: &'a str,
    kind: &'a str,
}

impl Since {
    /// Finds the end of this run's documents.
    ///
    /// *Errors* – `source::unknown_column`; `source::cursor_type`, `source::lookback` for what has no
    /// order or no distance; `source::changed` for a cursor that is no value of the field.
    pub fn find(moments: &Arc<Moments>, mapped: &[Mapped], asked: &Incremental) -> Result<Self> {
        let axis = Axis::of(mapped, &asked.column)?;
        let until = match &asked.until {
            Some(until) => Some(axis.parse(until)?),
            None => axis.greatest(moments)?,
        };
        let from = match &asked.cursor {
            Some(cursor) => {
                Some(axis.looking_back(axis.parse(cursor)?, asked.lookback.as_deref())?)
            }
            None => None,
        };
        let name = axis.name;
        let told = until.map(|until| axis.write(until));
        let mut notes = vec![match (&asked.cursor, &told) {
            (_, None) => format!("no document has a `{name}`"),
            (None, Some(until)) => format!("all documents are read, up to `{name}` {until}"),
            (Some(cursor), Some(until)) => format!(
                "documents are read from `{name}` {cursor}{} up to {until}, both included",
                match &asked.lookback {
                    Some(lookback) => format!(" less {lookback}"),
                    None => String::new(),
                }
            ),
        }];
        if from.is_some() {
            notes.push(format!(
                "documents without a `{name}` are not read: only the first run reads them"
            ));
        }
        Ok(Since {
            condition: axis.condition(from, until),
            until: told,
            notes,
        })
    }
}

impl<'a> Axis<'a> {
    fn of(mapped: &'a [Mapped], column: &str) -> Result<Self> {
        let Some(field) = mapped.iter().find(|field| field.name == column) else {
            let names: Vec<&str> = mapped.iter().map(|field| field.name.as_str()).collect();
            let message =
                format!("`incremental` names the field `{column}`, which is not in the mapping");
            return Err(Error::config("source::unknown_column", message)
                .help(format!("there are: {}", names.join(", "))));
        };
        match field.kind.as_str() {
            "date" | "long" | "integer" | "short" | "byte" => Ok(Axis {
                name: &field.name,
                kind: &field.kind,
            }),
            kind => Err(Error::config(
                "source::cursor_type",
                format!("`{column}` is {kind}, along which no run can go"),
            )
            .help("take a field that grows with every change: a whole number, a date")),
        }
    }

    fn is_date(&self) -> bool {
        self.kind == "date"
    }

    /// A cursor as the server counts: a number, or milliseconds.
    fn parse(&self, text: &str) -> Result<i64> {
        let parsed = match self.is_date() {
            true => parse_timestamp(text, true).map(|micros| micros.div_euclid(1_000)),
            false => text.parse().ok(),
        };
        parsed.ok_or_else(|| {
            Error::state(
                "source::changed",
                "the cursor of the last run is no value of the incremental field",
            )
            .help("was the mapping changed? `dkhost run --full` reads everything again")
        })
    }

    fn write(&self, value: i64) -> String {
        if !self.is_date() {
            return value.to_string();
        }
        let mut text = Vec::new();
        write_timestamp(value.saturating_mul(1_000), true, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The greatest value there is.
    fn greatest(&self, moments: &Arc<Moments>) -> Result<Option<i64>> {
        let mut greatest = None;
        for shard in &moments.shards {
            let order = json!({"order": "desc", "missing": "_last", "unmapped_type": self.kind});
            let body = json!({
                "size": 1, "_source": false, "track_total_hits": false,
                "query": {"exists": {"field": self.name}}, "sort": [{self.name: order}]
            });
            let request = moments.search(shard, &moments.of(shard)?, body);
            let said: Json = moments.client.ask(&request)?.parse(&request.doing)?;
            ensure_whole(&request.doing, &said)?;
            greatest = greatest.max(said["hits"]["hits"][0]["sort"][0].as_i64());
        }
        Ok(greatest)
    }

    fn looking_back(&self, cursor: i64, lookback: Option<&str>) -> Result<i64> {
        let Some(text) = lookback else {
            return Ok(cursor);
        };
        let back = match (Lookback::parse(text), self.is_date()) {
            (Some(Lookback::Time(back)), true) => i64::try_from(back.as_millis()).ok(),
            (Some(Lookback::Number(back)), false) => {
                Number::parse(&back).and_then(|back| back.as_i64())
            }
            _ => None,
        };
        back.map(|back| cursor.saturating_sub(back)).ok_or_else(|| {
            let message = format!(
                "a lookback of `{text}` says nothing about `{}`, which is {}",
                self.name, self.kind
            );
            Error::config("source::lookback", message)
                .help("write `10m` or `1d` for a date, a whole number for a number")
        })
    }

    fn condition(&self, from: Option<i64>, until: Option<i64>) -> Option<Json> {
        let range = |mut bounds: Json| {
            if self.is_date() {
                bounds["format"] = "epoch_millis".into();
            }
            json!({"range": {self.name: bounds}})
        };
        match (from, until) {
            (None, None) => None,
            (None, Some(until)) => Some(json!({"bool": {"should": [
                range(json!({"lte": until})),
                {"bool": {"must_not": [{"exists": {"field": self.name}}]}}
            ], "minimum_should_match": 1}})),
            (Some(_), None) => Some(json!({"match_none": {}})),
            (Some(from), Some(until)) => Some(range(json!({"gte": from, "lte": until}))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: Axis<'_> = Axis {
        name: "at",
        kind: "date",
    };
    const NUMBER: Axis<'_> = Axis {
        name: "n",
        kind: "long",
    };

    #[test]
    fn a_cursor_is_written_and_read_back() {
        let (text, millis) = ("2024-01-01T00:00:00.250000Z", 1_704_067_200_250);
        assert_eq!(
            (DATE.parse(text).unwrap(), DATE.write(millis)),
            (millis, text.to_owned())
        );
        assert_eq!(NUMBER.parse("-7").unwrap(), -7);
        assert_eq!(
            NUMBER.parse("2024-01-01").unwrap_err().code(),
            "source::changed"
        );
    }

    #[test]
    fn looking_back_goes_by_time_or_by_number() {
        assert_eq!(DATE.looking_back(100_000, Some("10s")).unwrap(), 90_000);
        assert_eq!(NUMBER.looking_back(100, Some("30")).unwrap(), 70);
        for (axis, text) in [(&DATE, "30"), (&NUMBER, "10s"), (&NUMBER, "1.5")] {
            assert_eq!(
                axis.looking_back(0, Some(text)).unwrap_err().code(),
                "source::lookback"
            );
        }
    }

    #[test]
    fn the_first_run_reads_documents_without_a_value() {
        let first = NUMBER.condition(None, Some(9)).unwrap();
        assert_eq!(
            first["bool"]["should"][0],
            json!({"range": {"n": {"lte": 9}}})
        );
        let later = DATE.condition(Some(1), Some(9)).unwrap();
        assert_eq!(
            later,
            json!({"range": {"at": {"gte": 1, "lte": 9, "format": "epoch_millis"}}})
        );
        assert_eq!(
            NUMBER.condition(Some(1), None),
            Some(json!({"match_none": {}}))
        );
    }
}
