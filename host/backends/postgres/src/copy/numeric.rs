//! `numeric`: groups of four decimal digits, to integers and text and back.
//!
//! ```text
//! groups i16 │ weight i16 │ sign u16 │ scale u16 │ group u16 …      value = Σ groupᵢ × 10000^(weight−i)
//! ```

const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Digits before the point, and after it, that a server holds.
///
/// *Source* – "Numeric Types": up to 131072 digits before the decimal point, 16383 after it.
const MAX_BEFORE: i64 = 131_072;
const MAX_AFTER: i64 = 16_383;

/// Why a value is no number of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    NotANumber,
    Infinite,
    /// It has more digits than its column.
    TooLong,
    /// These bytes are no `numeric`.
    Malformed,
}

/// A value, taken apart.
struct Parts<'a> {
    negative: bool,
    weight: i32,
    scale: usize,
    groups: &'a [u8],
}

fn parts(bytes: &[u8]) -> Result<Parts<'_>, Odd> {
    let (head, groups) = bytes.split_first_chunk::<8>().ok_or(Odd::Malformed)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let negative = match word(4) {
        0 => false,
        NEGATIVE => true,
        NOT_A_NUMBER => return Err(Odd::NotANumber),
        INFINITY | MINUS_INFINITY => return Err(Odd::Infinite),
        _ => return Err(Odd::Malformed),
    };
    let is_group = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]) < 10_000;
    if groups.len() != usize::from(word(0)) * 2 || !groups.chunks_exact(2).all(is_group) {
        return Err(Odd::Malformed);
    }
    Ok(Parts {
        negative,
        weight: i32::from(word(2) as i16),
        scale: usize::from(word(6)),
        groups,
    })
}

impl Parts<'_> {
    /// The group that counts 10000^`power`.
    fn group(&self, power: i32) -> u16 {
        let index = usize::try_from(self.weight - power).ok();
        let pair = index.and_then(|index| self.groups.get(index * 2..index * 2 + 2));
        pair.map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
    }
}

/// The value times 10^`scale`, of at most `precision` digits.
pub(super) fn to_decimal(bytes: &[u8], precision: u8, scale: i8) -> Result<i128, Odd> {
    let parts = parts(bytes)?;
    let mut value: i128 = 0;
    for pair in parts.groups.chunks_exact(2) {
        let group = i128::from(u16::from_be_bytes([pair[0], pair[1]]));
        value = value
            .checked_mul(10_000)
            .and_then(|value| value.checked_add(group))
            .ok_or(Odd::TooLong)?;
    }
    let count = (parts.groups.len() / 2) as i32;
    let power = 4 * (parts.weight - count + 1) + i32::from(scale);
    let ten = |power: u32| 10_i128.checked_pow(power);
    value = match power {
        0.. if value == 0 => 0,
        0.. => ten(power as u32)
            .and_then(|ten| value.checked_mul(ten))
            .ok_or(Odd::TooLong)?,
        _ => match ten(power.unsigned_abs()) {
            Some(ten) if value % ten == 0 => value / ten,
            _ if value == 0 => 0,
            _ => return Err(Odd::TooLong),
        },
    };
    match ten(u32::from(precision)) {
        Some(limit) if value >= limit => Err(Odd::TooLong),
        _ if parts.negative => Ok(-value),
        _ => Ok(value),
    }
}

/// Appends the value as text, with as many digits after the point as it has.
pub(super) fn write_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Odd> {
    let parts = parts(bytes)?;
    if parts.negative {
        out.push(b'-');
    }
    if parts.weight < 0 {
        out.push(b'0');
    }
    for power in (0..=parts.weight).rev() {
        let digits = four(parts.group(power));
        // Only the first group goes without its zeros.
        let skip = match power == parts.weight {
            true => digits.iter().take(3).take_while(|digit| **digit == b'0').count(),
            false => 0,
        };
        out.extend_from_slice(&digits[skip..]);
    }
    if parts.scale > 0 {
        out.push(b'.');
        let end = out.len() + parts.scale;
        let mut power = -1;
        while out.len() < end {
            out.extend_from_slice(&four(parts.group(power)));
            power -= 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn four(group: u16) -> [u8; 4] {
    let digit = |by: u16| b'0' + (group / by % 10) as u8;
    [digit(1000), digit(100), digit(10), digit(1)]
}

/// Appends a decimal number (`-12.50`, `1.5e300`) as `numeric`, its length first; false if it is
/// none, or has more digits than a server holds. Nothing is appended then.
pub(super) fn write_binary(text: &str, digits: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    let Some(number) = Written::parse(text, digits) else {
        return false;
    };
    let Written {
        negative,
        point,
        scale,
    } = number;
    // Groups are counted from the point; what is missing to a whole group on either side is zero.
    let first = point.div_euclid(4) + i64::from(point.rem_euclid(4) != 0) - 1;
    let last = (point - digits.len() as i64).div_euclid(4);
    let digit = |place: i64| -> u16 {
        let index = usize::try_from(place).ok();
        index.and_then(|index| digits.get(index)).map_or(0, |digit| u16::from(digit - b'0'))
    };
    let group = |power: i64| {
        let start = point - (power + 1) * 4;
        (0..4).fold(0, |group, at| group * 10 + digit(start + at))
    };
    let count = match digits.is_empty() {
        true => 0,
        false => first - last + 1,
    };
    out.extend_from_slice(&(8 + 2 * count as i32).to_be_bytes());
    out.extend_from_slice(&(count as i16).to_be_bytes());
    out.extend_from_slice(&(if count == 0 { 0 } else { first } as i16).to_be_bytes());
    out.extend_from_slice(&(if negative { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend_from_slice(&(scale as u16).to_be_bytes());
    for power in (0..count).map(|index| first - index) {
        out.extend_from_slice(&group(power).to_be_bytes());
    }
    true
}

/// A number as it is written down; its digits, without zeros at either end, stand elsewhere.
struct Written {
    negative: bool,
    /// How many of the digits stand before the point; may be below zero, or more than there are.
    point: i64,
    /// Digits after the point, zeros at the end included.
    scale: i64,
}

impl Written {
    fn parse(text: &str, digits: &mut Vec<u8>) -> Option<Self> {
        digits.clear();
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        digits.extend_from_slice(before.as_bytes());
        digits.extend_from_slice(after.as_bytes());
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut point = (before.len() as i64).checked_add(exponent)?;
        let scale = (digits.len() as i64 - point).max(0);
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        point -= zeros as i64;
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            point = 0;
        }
        let fits = point <= MAX_BEFORE && scale <= MAX_AFTER;
        fits.then_some(Written {
            negative: negative && !digits.is_empty(),
            point,
            scale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> Option<String> {
        let (mut digits, mut binary, mut back) = (Vec::new(), Vec::new(), Vec::new());
        if !write_binary(text, &mut digits, &mut binary) {
            assert!(binary.is_empty());
            return None;
        }
        assert_eq!(binary.len() - 4, i32::from_be_bytes(binary[..4].try_into().unwrap()) as usize);
        write_text(&binary[4..], &mut back).unwrap();
        Some(String::from_utf8(back).unwrap())
    }

    #[test]
    fn text_keeps_its_digits_after_the_point() {
        for text in [
            "0", "0.00", "1", "-1", "10000", "9999", "12345678.9", "0.0001", "0.00012345", "-0.5",
            "1.50", "100000000", "99999999999999999999999999999999999999.9999999999", "0.000000001",
        ] {
            assert_eq!(round_trip(text).as_deref(), Some(text));
        }
        assert_eq!(round_trip("-0").as_deref(), Some("0"));
        assert_eq!(round_trip("1.5e3").as_deref(), Some("1500"));
        assert_eq!(round_trip("15E-1").as_deref(), Some("1.5"));
        assert_eq!(round_trip("1e5").as_deref(), Some("100000"));
        assert_eq!(round_trip("007.10").as_deref(), Some("7.10"));
        assert_eq!(round_trip("1.5e-6").as_deref(), Some("0.0000015"));
    }

    #[test]
    fn what_no_server_holds_is_refused() {
        for text in ["", "-", ".", "x", "1e", "1e999999999999", "1e200000", "1e-20000", "NaN", "1_0"] {
            assert_eq!(round_trip(text), None, "{text}");
        }
        assert!(round_trip(&format!("1{}", "0".repeat(131_071))).is_some());
        assert!(round_trip(&format!("1{}", "0".repeat(131_072))).is_none());
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let decimal = |text: &str, precision, scale| {
            let mut binary = Vec::new();
            assert!(write_binary(text, &mut Vec::new(), &mut binary));
            to_decimal(&binary[4..], precision, scale)
        };
        assert_eq!(decimal("-12.50", 10, 2), Ok(-1250));
        assert_eq!(decimal("12.5", 10, 2), Ok(1250));
        assert_eq!(decimal("12.505", 10, 2), Err(Odd::TooLong));
        assert_eq!(decimal("99999999.99", 10, 2), Ok(9_999_999_999));
        assert_eq!(decimal("100000000", 10, 2), Err(Odd::TooLong));
        assert_eq!(decimal("0", 38, 38), Ok(0));
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal(&"9".repeat(60), 38, 0), Err(Odd::TooLong));
        assert_eq!(decimal("1e37", 38, 0), Ok(10_i128.pow(37)));
        assert_eq!(decimal("0.00000000000000000000000000000000000001", 38, 38), Ok(1));
    }

    #[test]
    fn what_is_no_numeric_is_found_out() {
        let mut binary = Vec::new();
        write_binary("12.5", &mut Vec::new(), &mut binary);
        let whole = &binary[4..];
        for end in 0..whole.len() {
            assert_eq!(write_text(&whole[..end], &mut Vec::new()), Err(Odd::Malformed));
        }
        let nan = [0, 0, 0, 0, 0xC0, 0, 0, 0];
        assert_eq!(to_decimal(&nan, 5, 2), Err(Odd::NotANumber));
        let infinite = [0, 0, 0, 0, 0xD0, 0, 0, 0x20];
        assert_eq!(write_text(&infinite, &mut Vec::new()), Err(Odd::Infinite));
    }
}
