//! Days of the calendar, and whole years between them.

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

    /// Whole years until another day: birthdays that were had.
    pub fn years_until(self, day: Day) -> i64 {
        let had = (day.month, day.day) >= (self.month, self.day);
        day.year - self.year - i64::from(!had)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom("a day is written 2026-01-31");
        let parts: Vec<i64> = text
            .split('-')
            .map(|part| part.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        match parts.as_slice() {
            [year, month @ 1..=12, day @ 1..=31] => Ok(Day {
                year: *year,
                month: *month,
                day: *day,
            }),
            _ => Err(wrong()),
        }
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
    fn a_year_is_full_on_the_birthday() {
        let born = day(2000, 2, 29);
        assert_eq!(born.years_until(day(2026, 2, 28)), 25);
        assert_eq!(born.years_until(day(2026, 3, 1)), 26);
        assert_eq!(born.years_until(born), 0);
    }
}
