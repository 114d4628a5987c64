//! Decimal numbers as text, and whether a machine number holds exactly what the text says.
//!
//! A JSON number is scanned once; the scan leaves the first digits and the power of ten behind, so
//! that nearly every integer and float is ready without a second look at the text. Only numbers of
//! more than fifteen digits take the slow way: parse, print as short as possible, compare digits.
//!
//! *Source* – RFC 8259, section 6; W. D. Clinger, "How to read floating point numbers accurately"
//! (a mantissa below 2^53 and a power of ten up to 10^22 give a correctly rounded quotient).

/// A number's text, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a> {
    /// The text.
    pub text: &'a str,
    /// The digits as a number; with `exponent` the absolute value, if `whole`.
    mantissa: u64,
    /// Power of ten of the mantissa.
    exponent: i32,
    /// One word instead of three bools: a number is copied about a lot, and copying bytes that were
    /// written one by one stalls.
    flags: u32,
}

const NEGATIVE: u32 = 1;
const INTEGER: u32 = 2;
/// Mantissa and exponent hold the number completely.
const WHOLE: u32 = 4;

fn flags(negative: bool, integer: bool, whole: bool) -> u32 {
    u32::from(negative) * NEGATIVE + u32::from(integer) * INTEGER + u32::from(whole) * WHOLE
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl<'a> Number<'a> {
    /// Scans the JSON number at the start of `text`; the number and its length are the same.
    ///
    /// *Errors* – where the text stops being a number.
    #[inline(always)]
    pub fn scan(text: &'a str) -> Result<Self, usize> {
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let mut digits = Digits {
            bytes,
            at: negative as usize,
            mantissa: 0,
            whole: true,
        };
        let start = digits.at;
        match digits.run() {
            0 => return Err(digits.at),
            length if length > 1 && bytes[start] == b'0' => return Err(start + 1),
            _ => (),
        }
        let (mut exponent, mut integer) = (0i32, true);
        if bytes.get(digits.at) == Some(&b'.') {
            digits.at += 1;
            integer = false;
            match digits.run() {
                0 => return Err(digits.at),
                length => exponent = -i32::try_from(length).unwrap_or(i32::MAX),
            }
        }
        let Digits {
            mut at,
            mantissa,
            mut whole,
            ..
        } = digits;
        if let Some(b'e' | b'E') = bytes.get(at) {
            integer = false;
            let (power, end) = scan_exponent(bytes, at + 1)?;
            at = end;
            match power.and_then(|power| exponent.checked_add(power)) {
                Some(sum) => exponent = sum,
                None => whole = false,
            }
        }
        let flags = flags(negative, integer, whole);
        Ok(Number {
            text: &text[..at],
            mantissa,
            exponent,
            flags,
        })
    }

    /// Reads a whole text as a number, more leniently than JSON: `+5`, `.5` and `5.` as well.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Ok(number) = Number::scan(text)
            && number.text.len() == text.len()
        {
            return Some(number);
        }
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if unsigned.len() < 1 + unsigned.contains('.') as usize
            || !is_digits(whole)
            || !is_digits(fraction)
            || (whole.len() > 1 && whole.starts_with('0'))
        {
            return None;
        }
        let mut digits = Digits {
            bytes: whole.as_bytes(),
            at: 0,
            mantissa: 0,
            whole: true,
        };
        digits.run();
        (digits.bytes, digits.at) = (fraction.as_bytes(), 0);
        digits.run();
        Some(Number {
            text,
            flags: flags(text.starts_with('-'), false, digits.whole),
            mantissa: digits.mantissa,
            exponent: -i32::try_from(fraction.len()).ok()?,
        })
    }

    /// Whether it begins with a minus.
    #[inline]
    pub fn is_negative(&self) -> bool {
        self.flags & NEGATIVE != 0
    }

    /// Whether it has neither a fraction nor an exponent.
    #[inline]
    pub fn is_integer(&self) -> bool {
        self.flags & INTEGER != 0
    }

    #[inline]
    fn is_whole(&self) -> bool {
        self.flags & WHOLE != 0
    }

    /// The number as an int64, if it is written as an integer and fits. `-0` is none: its sign
    /// would be lost.
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        if !self.is_integer() || !self.is_whole() {
            return None;
        }
        match self.is_negative() {
            false => i64::try_from(self.mantissa).ok(),
            true if self.mantissa == 0 => None,
            true => 0i64.checked_sub_unsigned(self.mantissa),
        }
    }

    /// The number as a uint64, if it is written as an integer and fits.
    #[inline]
    pub fn as_u64(&self) -> Option<u64> {
        (self.is_integer() && self.is_whole() && !self.is_negative()).then_some(self.mantissa)
    }

    /// The number as a float64, if printing that as short as possible gives the same number.
    #[inline]
    pub fn as_f64(&self) -> Option<f64> {
        // A double keeps every number of 15 digits.
        if self.is_whole()
            && self.mantissa < 1_000_000_000_000_000
            && self.exponent.unsigned_abs() <= 22
        {
            let power = POWERS[self.exponent.unsigned_abs() as usize];
            let mantissa = self.mantissa as f64;
            let value = if self.exponent < 0 {
                mantissa / power
            } else {
                mantissa * power
            };
            return Some(if self.is_negative() { -value } else { value });
        }
        let value: f64 = self.text.parse().ok()?;
        (value.is_finite() && same_number(self.text, zmij::Buffer::new().format_finite(value)))
            .then_some(value)
    }

    /// The number as a float32, if printing that as short as possible gives the same number.
    #[inline]
    pub fn as_f32(&self) -> Option<f32> {
        // A float keeps every number of 6 digits, and powers of ten up to 10^10 exactly.
        if self.is_whole() && self.mantissa < 1_000_000 && self.exponent.unsigned_abs() <= 10 {
            let power = POWERS[self.exponent.unsigned_abs() as usize] as f32;
            let mantissa = self.mantissa as f32;
            let value = if self.exponent < 0 {
                mantissa / power
            } else {
                mantissa * power
            };
            return Some(if self.is_negative() { -value } else { value });
        }
        let value: f32 = self.text.parse().ok()?;
        (value.is_finite() && same_number(self.text, zmij::Buffer::new().format_finite(value)))
            .then_some(value)
    }

    /// The number as a decimal: exactly `value` × 10^-`scale` with at most `precision` digits.
    pub fn as_decimal(&self, precision: u8, scale: i8) -> Option<i128> {
        let (mantissa, exponent) = match self.is_whole() {
            true => (self.mantissa as i128, i64::from(self.exponent)),
            false => significant(self.text)?,
        };
        let shift = exponent + i64::from(scale);
        let absolute = match (mantissa, u32::try_from(shift.unsigned_abs())) {
            (0, _) => 0,
            (_, Ok(by)) if shift >= 0 => mantissa.checked_mul(10i128.checked_pow(by)?)?,
            (_, Ok(by)) => {
                let power = 10i128.checked_pow(by)?;
                (mantissa % power == 0).then(|| mantissa / power)?
            }
            _ => return None,
        };
        (absolute < 10i128.checked_pow(precision.into())?).then_some(if self.is_negative() {
            -absolute
        } else {
            absolute
        })
    }
}

/// Whether two numbers' texts mean the same number, of whatever size.
pub(crate) fn same_number(a: &str, b: &str) -> bool {
    let (a, b) = (Parts::of(a), Parts::of(b));
    if a.first.is_none() || b.first.is_none() {
        return a.first.is_none() && b.first.is_none();
    }
    a.negative == b.negative && a.first == b.first && a.digits().eq(b.digits())
}

/// All digits of a long number as one integer and its power of ten; `None` beyond 38 digits.
fn significant(text: &str) -> Option<(i128, i64)> {
    let parts = Parts::of(text);
    let Some(first) = parts.first else {
        return Some((0, 0));
    };
    let (mut mantissa, mut count) = (0i128, 0);
    for digit in parts.digits() {
        count += 1;
        if count > 38 {
            return None;
        }
        mantissa = mantissa * 10 + i128::from(digit - b'0');
    }
    Some((mantissa, first.checked_sub(count - 1)?))
}

/// A number's text without the zeros that mean nothing.
struct Parts<'a> {
    negative: bool,
    /// Power of ten of the first digit that is not zero; `None` if all are.
    first: Option<i64>,
    significant: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let negative = text.starts_with('-');
        let text = text.trim_start_matches(['-', '+']).as_bytes();
        let end = text
            .iter()
            .position(|b| matches!(b, b'e' | b'E'))
            .unwrap_or(text.len());
        // Saturating: a power beyond i32 is like no number a machine type holds.
        let power = match text.get(end + 1..) {
            Some(power) => scan_exponent(text, end + 1).map_or(0, |(p, _)| {
                p.unwrap_or(if power[0] == b'-' { i32::MIN } else { i32::MAX })
            }),
            None => 0,
        };
        let digits = &text[..end];
        let point = digits
            .iter()
            .position(|b| *b == b'.')
            .unwrap_or(digits.len());
        let is_significant = |b: &u8| matches!(b, b'1'..=b'9');
        let (Some(start), Some(stop)) = (
            digits.iter().position(is_significant),
            digits.iter().rposition(is_significant),
        ) else {
            return Parts {
                negative,
                first: None,
                significant: b"",
            };
        };
        let place = if start < point {
            point - start - 1
        } else {
            start - point
        };
        let place = if start < point {
            place as i64
        } else {
            -(place as i64)
        };
        Parts {
            negative,
            first: Some(place.saturating_add(power.into())),
            significant: &digits[start..=stop],
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.significant.iter().copied().filter(|b| *b != b'.')
    }
}

/// Reads a run of digits into a mantissa.
struct Digits<'a> {
    bytes: &'a [u8],
    at: usize,
    mantissa: u64,
    whole: bool,
}

impl Digits<'_> {
    /// How many digits there were.
    #[inline(always)]
    fn run(&mut self) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            let digit = u64::from(digit - b'0');
            match self
                .mantissa
                .checked_mul(10)
                .and_then(|m| m.checked_add(digit))
            {
                Some(mantissa) => self.mantissa = mantissa,
                None => self.whole = false,
            }
            self.at += 1;
        }
        self.at - start
    }
}

/// The exponent after its `e` and where it ends; `None` if it is beyond i32.
fn scan_exponent(bytes: &[u8], mut at: usize) -> Result<(Option<i32>, usize), usize> {
    let negative = bytes.get(at) == Some(&b'-');
    if let Some(b'+' | b'-') = bytes.get(at) {
        at += 1;
    }
    let mut digits = Digits {
        bytes,
        at,
        mantissa: 0,
        whole: true,
    };
    if digits.run() == 0 {
        return Err(digits.at);
    }
    let power = i32::try_from(digits.mantissa).ok().filter(|_| digits.whole);
    Ok((
        power.map(|power| if negative { -power } else { power }),
        digits.at,
    ))
}
