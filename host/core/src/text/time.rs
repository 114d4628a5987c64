//! Dates and times in ISO 8601, to the microsecond.
//!
//! What cannot be held exactly (nanoseconds, leap seconds, `24:00`, a missing or surplus zone) is
//! refused rather than rounded. Years beyond 0 to 9999 are written with a sign.
//!
//! *Source* – ISO 8601-1; days from civil: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;

/// Days since 1970-01-01 of `2024-02-29`.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date()?;
    cursor.0.is_empty().then(|| i32::try_from(days).ok())?
}

/// Microseconds since midnight of `23:59`, `23:59:59` or `23:59:59.999999`.
pub fn parse_time(text: &str) -> Option<i64> {
    let mut cursor = Cursor(text.as_bytes());
    let time = cursor.time()?;
    cursor.0.is_empty().then_some(time)
}

/// Microseconds since 1970-01-01T00:00:00 of `2024-02-29T23:59:59.5`, or with a space for the `T`.
///
/// With `zoned` the text must end in `Z` or an offset and the result is UTC; without, it must not.
pub fn parse_timestamp(text: &str, zoned: bool) -> Option<i64> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date()?;
    if !matches!(cursor.take()?, b'T' | b't' | b' ') {
        return None;
    }
    let time = cursor.time()?;
    let offset = if zoned { cursor.offset()? } else { 0 };
    if !cursor.0.is_empty() {
        return None;
    }
    // The first day of the range begins before it.
    let micros = i128::from(days) * i128::from(DAY) + i128::from(time - offset);
    i64::try_from(micros).ok()
}

/// Writes days since 1970-01-01.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    write_civil(days.into(), out);
}

/// Writes microseconds since midnight.
pub fn write_time(micros: i64, out: &mut Vec<u8>) {
    let fraction = micros.rem_euclid(SECOND) as u32;
    two(micros.div_euclid(HOUR), out);
    out.push(b':');
    two(micros.rem_euclid(HOUR) / MINUTE, out);
    out.push(b':');
    two(micros.rem_euclid(MINUTE) / SECOND, out);
    if fraction != 0 {
        out.push(b'.');
        padded(fraction, 100_000, out);
    }
}

/// Writes microseconds since 1970-01-01T00:00:00; `Z` at the end when `zoned`.
pub fn write_timestamp(micros: i64, zoned: bool, out: &mut Vec<u8>) {
    write_civil(micros.div_euclid(DAY), out);
    out.push(b'T');
    write_time(micros.rem_euclid(DAY), out);
    if zoned {
        out.push(b'Z');
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, byte: u8) -> bool {
        let there = self.0.first() == Some(&byte);
        if there {
            self.0 = &self.0[1..];
        }
        there
    }

    fn two(&mut self) -> Option<i64> {
        match self.0 {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
                self.0 = rest;
                Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
            }
            _ => None,
        }
    }

    /// Four digits, or a sign and at least four.
    fn year(&mut self) -> Option<i64> {
        let sign = if self.skip(b'-') {
            Some(-1)
        } else {
            self.skip(b'+').then_some(1)
        };
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if !(4..=9).contains(&length) || (length > 4 && sign.is_none()) {
            return None;
        }
        let year = self.0[..length]
            .iter()
            .fold(0, |year, b| year * 10 + i64::from(b - b'0'));
        self.0 = &self.0[length..];
        // There is no year -0000.
        (sign != Some(-1) || year != 0).then_some(sign.unwrap_or(1) * year)
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.year()?;
        let month = self.skip(b'-').then(|| self.two())??;
        let day = self.skip(b'-').then(|| self.two())??;
        let days_in_month = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            _ => return None,
        };
        (1..=days_in_month)
            .contains(&day)
            .then(|| days_from_civil(year, month, day))
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.two().filter(|hour| *hour < 24)?;
        let minute = self.skip(b':').then(|| self.two())??;
        let second = if self.skip(b':') {
            self.two()?
        } else {
            return below_sixty(hour, minute, 0, 0);
        };
        let mut micros = 0;
        if self.skip(b'.') {
            let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
            // Zeros beyond the microsecond say nothing; anything else would be lost.
            if length == 0 || self.0[..length].iter().skip(6).any(|b| *b != b'0') {
                return None;
            }
            for place in 0..6 {
                let digit = if place < length {
                    i64::from(self.0[place] - b'0')
                } else {
                    0
                };
                micros = micros * 10 + digit;
            }
            self.0 = &self.0[length..];
        }
        below_sixty(hour, minute, second, micros)
    }

    /// `Z`, `+02`, `+0200`, `+02:00`, `+02:00:00` in microseconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.take()? {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hour = self.two().filter(|hour| *hour < 24)?;
        let colon = self.skip(b':');
        let minute = if colon || !self.0.is_empty() {
            self.two()?
        } else {
            0
        };
        let second = if self.skip(b':') { self.two()? } else { 0 };
        below_sixty(hour, minute, second, 0).map(|offset| sign * offset)
    }
}

fn below_sixty(hour: i64, minute: i64, second: i64, micros: i64) -> Option<i64> {
    (minute < 60 && second < 60).then_some(hour * HOUR + minute * MINUTE + second * SECOND + micros)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn write_civil(days: i64, out: &mut Vec<u8>) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match year {
        0..=9999 => padded(year as u32, 1000, out),
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            padded(year.unsigned_abs() as u32, 100_000, out);
        }
    }
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
}

fn two(value: i64, out: &mut Vec<u8>) {
    match value {
        0..=99 => out.extend([b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]),
        // Out of a day's range: not a time anybody wrote, but still not a panic.
        _ => out.extend(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// With leading zeros: as many digits as `place` has, or more.
fn padded(value: u32, mut place: u32, out: &mut Vec<u8>) {
    while place > 1 && value < place {
        out.push(b'0');
        place /= 10;
    }
    out.extend(itoa::Buffer::new().format(value).as_bytes());
}
