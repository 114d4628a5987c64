//! Days of the calendar, whole years between them, and birthdates as stores hold them.

use dkhost_sdk::{Cell, Type, Value, View};
use serde::Deserialize;
use serde::de::Error;

/// A day: year, month, day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: i64,
    month: i64,
    day: i64,
}

impl Day {
    /// From days since 1970-01-01, in the Gregorian calendar.
    pub fn from_days(days: i32) -> Day {
        // The year begins in March, so that its last day is the one that comes and goes.
        let days = i64::from(days) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let month = match march_month {
            0..=9 => march_month + 3,
            _ => march_month - 9,
        };
        Day {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: of_year - (153 * march_month + 2) / 5 + 1,
        }
    }

    /// From a text that begins with `1815-12-10` and ends there or goes on with a time; `None` where
    /// there is no such day.
    pub fn from_text(text: &str) -> Option<Day> {
        let (date, rest) = text.trim().split_at_checked(10)?;
        if !matches!(rest.as_bytes().first(), None | Some(b'T' | b' ')) {
            return None;
        }
        let part = |range: std::ops::Range<usize>| {
            let digits = date.get(range)?;
            let all = digits.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| digits.parse::<i64>().ok()).flatten()
        };
        if date.as_bytes()[4] != b'-' || date.as_bytes()[7] != b'-' {
            return None;
        }
        let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
        let is_there = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        is_there.then_some(Day { year, month, day })
    }

    /// Whole years until another day: birthdays that were had.
    pub fn years_until(self, day: Day) -> i64 {
        let had = (day.month, day.day) >= (self.month, self.day);
        day.year - self.year - i64::from(!had)
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let day = (text.len() == 10).then(|| Day::from_text(&text)).flatten();
        day.ok_or_else(|| D::Error::custom("`today` is a day of the calendar, like 2026-01-31"))
    }
}

/// A birthdate as it came in: a date, or a text that may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Birthdate<'a> {
    /// Of a column of dates.
    Day(Day),
    /// Of a column of texts.
    Text(&'a str),
}

impl Birthdate<'_> {
    /// The day; `None` for a text that is none, or that is empty.
    pub fn day(self) -> Option<Day> {
        match self {
            Birthdate::Day(day) => Some(day),
            Birthdate::Text(text) => Day::from_text(text),
        }
    }
}

impl<'a> Cell<'a> for Birthdate<'a> {
    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::Date32 | Type::Utf8)
    }

    fn ty() -> Type {
        Type::Date32
    }

    fn get(view: &View<'a>, row: usize) -> Option<Self> {
        match view.text() {
            Some(text) => text.get(row).map(Birthdate::Text),
            None => view
                .fixed::<i32>()?
                .get(row)
                .map(|days| Birthdate::Day(Day::from_days(days))),
        }
    }

    /// It is only read: the column passes by as it is.
    fn value(&self) -> Value<'_> {
        Value::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i64, month: i64, day: i64) -> Day {
        Day { year, month, day }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, day(1970, 1, 1)),
            (-1, day(1969, 12, 31)),
            (59, day(1970, 3, 1)),
            (11_016, day(2000, 2, 29)),
            (20_780, day(2026, 11, 23)),
            (-719_468, day(0, 3, 1)),
        ] {
            assert_eq!(Day::from_days(days), expected);
        }
    }

    #[test]
    fn texts_are_days_only_if_the_calendar_has_them() {
        for text in [
            "1815-12-10",
            " 1815-12-10 ",
            "1815-12-10T08:30:00Z",
            "1815-12-10 08:30",
        ] {
            assert_eq!(Day::from_text(text), Some(day(1815, 12, 10)), "{text}");
        }
        assert_eq!(Day::from_text("2000-02-29"), Some(day(2000, 2, 29)));
        for text in [
            "",
            "1815",
            "1900-02-29",
            "1815-13-01",
            "1815-00-10",
            "1815-12-32",
            "10.12.1815",
            "+815-12-10",
            "1815-12-1é",
            "1815-12-10x",
            "1815/12/10",
        ] {
            assert_eq!(Day::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_year_is_full_on_the_birthday() {
        let born = day(2000, 2, 29);
        assert_eq!(born.years_until(day(2026, 2, 28)), 25);
        assert_eq!(born.years_until(day(2026, 3, 1)), 26);
        assert_eq!(born.years_until(born), 0);
    }
}
