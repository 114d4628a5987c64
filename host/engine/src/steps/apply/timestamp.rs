//! `to_timestamp`: text to microseconds by strftime formats.
//!
//! DataFusion's own function goes through nanoseconds, which end in 2262, and says of a batch only
//! that some value failed. The parser is the same (chrono); the formats are compiled once. A time
//! with digits beyond the microsecond is refused, and so is a leap second.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use chrono::format::{Fixed, Item, Parsed, StrftimeItems};
use chrono::{NaiveDateTime, NaiveTime, Timelike};
use dkhost_core::LogicalType;

use crate::expr::convert::Converted;

/// Formats, tried in order.
pub(super) struct Formats {
    items: Vec<Vec<Item<'static>>>,
    spelled: Vec<String>,
    zoned: bool,
}

impl Formats {
    /// Compiles strftime formats.
    ///
    /// *Errors* – the index of the format at fault, and what is wrong with it.
    pub(super) fn compile(formats: &[String]) -> Result<Self, (usize, String)> {
        let mut items = Vec::new();
        for (index, format) in formats.iter().enumerate() {
            let parsed = StrftimeItems::new(format).parse_to_owned();
            items.push(parsed.map_err(|_| (index, format!("`{format}` is no strftime format")))?);
            if format.replace("%%", "").contains("%Z") {
                return Err((
                    index,
                    "a zone's name (%Z) does not say its offset; use %z".to_owned(),
                ));
            }
            if has_offset(format) != has_offset(&formats[0]) {
                return Err((
                    index,
                    "one format has an offset (%z) and another has none".to_owned(),
                ));
            }
        }
        Ok(Formats {
            zoned: formats.first().is_some_and(|f| has_offset(f)),
            items,
            spelled: formats.to_vec(),
        })
    }

    /// UTC if the formats have a zone, an unknown clock otherwise.
    pub(super) fn logical(&self) -> LogicalType {
        LogicalType::Timestamp(self.zoned.then(|| Arc::from("UTC")))
    }

    /// The formats for a message.
    pub(super) fn spelled(&self) -> String {
        let mut spelled = String::new();
        for (index, format) in self.spelled.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            let _ = write!(spelled, "{or}`{format}`");
        }
        spelled
    }

    /// Parses text; a format without a time of day gives midnight.
    pub(super) fn parse(&self, input: &ArrayRef) -> Converted {
        let texts = input.as_string::<i32>();
        let mut micros = TimestampMicrosecondBuilder::with_capacity(texts.len());
        let mut failed = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let value =
                text.and_then(|text| self.items.iter().find_map(|items| self.micros(text, items)));
            if text.is_some() && value.is_none() {
                failed.push(row as u32);
            }
            micros.append_option(value);
        }
        let values: TimestampMicrosecondArray = micros.finish();
        let LogicalType::Timestamp(zone) = self.logical() else {
            return Converted {
                values: Arc::new(values),
                failed,
            };
        };
        Converted {
            values: Arc::new(values.with_timezone_opt(zone)),
            failed,
        }
    }

    fn micros(&self, text: &str, items: &[Item<'static>]) -> Option<i64> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
        if self.zoned {
            let at = parsed.to_datetime().ok()?;
            return is_micros(at.nanosecond(), text, items).then(|| at.timestamp_micros());
        }
        let at = naive(&parsed)?;
        is_micros(at.nanosecond(), text, items).then(|| at.and_utc().timestamp_micros())
    }
}

/// Whether microseconds hold the whole time. Chrono skips the digits after the ninth.
fn is_micros(nanos: u32, text: &str, items: &[Item<'static>]) -> bool {
    let has_fraction = items
        .iter()
        .any(|item| matches!(item, Item::Fixed(Fixed::Nanosecond | Fixed::RFC3339)));
    let is_long = |part: &str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit);
        digits.skip(9).any(|digit| digit != b'0')
    };
    nanos.is_multiple_of(1000)
        && nanos < 1_000_000_000
        && !(has_fraction && text.split('.').skip(1).any(is_long))
}

fn naive(parsed: &Parsed) -> Option<NaiveDateTime> {
    if let Ok(at) = parsed.to_naive_datetime_with_offset(0) {
        return Some(at);
    }
    let has_time =
        parsed.hour_mod_12().is_some() || parsed.minute().is_some() || parsed.second().is_some();
    let date = parsed.to_naive_date().ok()?;
    if !has_time {
        return Some(date.and_time(NaiveTime::MIN));
    }
    Some(date.and_time(parsed.to_naive_time().ok()?))
}

fn has_offset(format: &str) -> bool {
    let format = format.replace("%%", "");
    ["%z", "%:z", "%::z", "%:::z", "%#z", "%+"]
        .iter()
        .any(|offset| format.contains(offset))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use arrow::util::display::array_value_to_string;

    use super::*;

    fn parse(formats: &[&str], text: &str) -> Option<String> {
        let formats: Vec<String> = formats.iter().map(|f| (*f).to_owned()).collect();
        let formats = Formats::compile(&formats).unwrap();
        let input: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let parsed = formats.parse(&input);
        assert_eq!(parsed.values.data_type(), &formats.logical().arrow());
        assert_eq!(parsed.failed.is_empty(), parsed.values.is_valid(0));
        parsed
            .failed
            .is_empty()
            .then(|| array_value_to_string(&parsed.values, 0).unwrap())
    }

    #[test]
    fn the_first_format_that_fits_gives_the_time() {
        let formats = ["%b %d %Y", "%Y-%m-%d", "%Y-%m-%d %H:%M", "%d.%m.%y"];
        for (text, time) in [
            ("Jun 12 1998", Some("1998-06-12T00:00:00")),
            ("Feb 29 1996", Some("1996-02-29T00:00:00")),
            ("Feb 29 1998", None),
            ("1998-06-12", Some("1998-06-12T00:00:00")),
            ("1998-06-12 07:30", Some("1998-06-12T07:30:00")),
            ("01.02.69", Some("2069-02-01T00:00:00")),
            ("01.02.70", Some("1970-02-01T00:00:00")),
            ("9999-12-31", Some("9999-12-31T00:00:00")),
            ("0001-01-01", Some("0001-01-01T00:00:00")),
            ("Jun 12 1998 x", None),
            ("", None),
        ] {
            assert_eq!(parse(&formats, text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn an_offset_gives_utc_and_seconds_of_the_epoch_are_a_format() {
        assert_eq!(
            parse(&["%Y-%m-%dT%H:%M:%S%z"], "2020-01-01T00:00:00+0200").unwrap(),
            "2019-12-31T22:00:00Z"
        );
        assert_eq!(parse(&["%s"], "86400").unwrap(), "1970-01-02T00:00:00");
        assert_eq!(
            parse(&["%Y-%m-%d %H:%M:%S%.f"], "2020-01-01 00:00:00.123456").unwrap(),
            "2020-01-01T00:00:00.123456"
        );
    }

    #[test]
    fn a_time_finer_than_a_microsecond_is_refused() {
        for (format, text, is_held) in [
            (
                "%Y-%m-%d %H:%M:%S%.f",
                "2020-01-01 00:00:00.123456000",
                true,
            ),
            (
                "%Y-%m-%d %H:%M:%S%.f",
                "2020-01-01 00:00:00.1234560000",
                true,
            ),
            (
                "%Y-%m-%d %H:%M:%S%.f",
                "2020-01-01 00:00:00.123456789",
                false,
            ),
            (
                "%Y-%m-%d %H:%M:%S%.f",
                "2020-01-01 00:00:00.1234560001",
                false,
            ),
            ("%+", "2020-01-01T00:00:00.1234567Z", false),
            ("%+", "2020-01-01T00:00:00.123456Z", true),
            ("%Y-%m-%d %H:%M:%S", "2016-12-31 23:59:60", false),
        ] {
            assert_eq!(parse(&[format], text).is_some(), is_held, "{text}");
        }
    }

    #[test]
    fn formats_that_cannot_go_together_are_refused() {
        let refused = |formats: &[&str]| {
            Formats::compile(&formats.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>())
                .err()
                .unwrap()
        };
        assert_eq!(
            refused(&["%Y", "%Q"]),
            (1, "`%Q` is no strftime format".to_owned())
        );
        assert_eq!(refused(&["%Y-%m-%d", "%+"]).0, 1);
        assert_eq!(refused(&["%Y-%m-%d %Z"]).0, 0);
    }
}
