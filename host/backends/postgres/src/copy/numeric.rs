//! `numeric` in its binary form: digits to the base of 10000, and how many of their decimal digits
//! after the point are shown.
//!
//! ```text
//! ndigits:i16 weight:i16 sign:u16 dscale:i16 digit:i16…     value = Σ digit[i] × 10000^(weight-i)
//! ```
//!
//! *Source* – `numeric_send` and `numeric_recv`, `src/backend/utils/adt/numeric.c`.

use dkhost_core::text;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Decimal digits that may stand before and after the point.
const BEFORE_MAX: i64 = 131_072;
const AFTER_MAX: i64 = 16_383;

const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// A number as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numeric<'a> {
    weight: i32,
    sign: u16,
    scale: usize,
    digits: &'a [[u8; 2]],
}

impl<'a> Numeric<'a> {
    /// `None` if the bytes are no number.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, digits) = bytes.split_first_chunk::<8>()?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let (digits, rest) = digits.as_chunks::<2>();
        let (sign, scale) = (word(4), word(6));
        let is_sound = rest.is_empty()
            && digits.len() == usize::from(word(0))
            && matches!(sign, 0 | NEGATIVE | NAN | INFINITY | MINUS_INFINITY)
            && (i64::from(scale) <= AFTER_MAX || sign & NAN == NAN)
            && digits
                .iter()
                .all(|digit| u16::from_be_bytes(*digit) < 10_000);
        is_sound.then_some(Numeric {
            weight: i32::from(word(2) as i16),
            sign,
            scale: usize::from(scale),
            digits,
        })
    }

    /// Its name, if it is no number but stands in for one.
    #[inline]
    pub(super) fn special(&self) -> Option<&'static str> {
        match self.sign {
            NAN => Some("NaN"),
            INFINITY => Some("Infinity"),
            MINUS_INFINITY => Some("-Infinity"),
            _ => None,
        }
    }

    #[inline]
    fn digit(&self, at: i32) -> u16 {
        let digit = usize::try_from(at).ok().and_then(|at| self.digits.get(at));
        digit.map_or(0, |digit| u16::from_be_bytes(*digit))
    }

    fn is_negative(&self) -> bool {
        self.sign == NEGATIVE && self.digits.iter().any(|digit| *digit != [0, 0])
    }

    /// Writes its decimal text, with as many digits after the point as it is shown with.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.is_negative() {
            out.push(b'-');
        }
        let first = (0..=self.weight).find(|at| self.digit(*at) != 0);
        match first {
            None => out.push(b'0'),
            Some(first) => {
                out.extend_from_slice(itoa::Buffer::new().format(self.digit(first)).as_bytes());
                for at in first + 1..=self.weight {
                    out.extend_from_slice(&four(self.digit(at)));
                }
            }
        }
        if self.scale == 0 {
            return;
        }
        out.push(b'.');
        let end = out.len() + self.scale;
        // Zeros between the point and the first digit, where the number is small.
        let zeros = (-1 - self.weight).max(0) as usize * 4;
        out.resize((out.len() + zeros).min(end), b'0');
        let mut at = (self.weight + 1).max(0);
        while out.len() < end {
            out.extend_from_slice(&four(self.digit(at)));
            at += 1;
        }
        out.truncate(end);
    }

    /// The number × 10^`scale`, if that is an integer of at most `precision` digits.
    #[inline]
    pub(super) fn decimal(&self, precision: u8, scale: i8) -> Option<i128> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let last = self.weight - (self.digits.len() as i32 - 1);
        let power = last * 4 + i32::from(scale);
        let absolute = match self.digits.len() {
            0..=4 => {
                let mantissa = self.mantissa();
                match usize::try_from(power) {
                    Ok(power) => {
                        i128::from(mantissa).checked_mul(10i128.checked_pow(power as u32)?)?
                    }
                    Err(_) => {
                        let Some(divisor) = POWERS.get(power.unsigned_abs() as usize) else {
                            return (mantissa == 0).then_some(0);
                        };
                        mantissa
                            .is_multiple_of(*divisor)
                            .then(|| i128::from(mantissa / divisor))?
                    }
                }
            }
            _ => self.long(power)?,
        };
        if absolute >= 10i128.checked_pow(u32::from(precision))? {
            return None;
        }
        Some(if self.sign == NEGATIVE {
            -absolute
        } else {
            absolute
        })
    }

    /// The digits as one integer, of at most four.
    #[inline]
    fn mantissa(&self) -> u64 {
        let one = |sum: u64, digit: &[u8; 2]| sum * 10_000 + u64::from(u16::from_be_bytes(*digit));
        self.digits.iter().fold(0, one)
    }

    fn long(&self, power: i32) -> Option<i128> {
        // The last digit may have zeros that a scale of ours has no place for: up to three.
        let (last, before) = self.digits.split_last()?;
        let mut sum = 0i128;
        for digit in before {
            sum = sum
                .checked_mul(10_000)?
                .checked_add(i128::from(u16::from_be_bytes(*digit)))?;
        }
        let last = i128::from(u16::from_be_bytes(*last));
        if power >= 0 {
            let whole = sum.checked_mul(10_000)?.checked_add(last)?;
            return whole.checked_mul(10i128.checked_pow(power as u32)?);
        }
        let cut = power.unsigned_abs();
        if cut <= 3 {
            let divisor = 10i128.pow(cut);
            let kept = sum.checked_mul(10i128.pow(4 - cut))?;
            return (last % divisor == 0).then(|| kept.checked_add(last / divisor))?;
        }
        if last != 0 {
            return None;
        }
        let rest = Numeric {
            digits: self.digits.get(..self.digits.len() - 1)?,
            ..*self
        };
        rest.long(power + 4)
    }
}

fn four(digit: u16) -> [u8; 4] {
    let ascii = |value: u16| b'0' + (value % 10) as u8;
    [
        ascii(digit / 1000),
        ascii(digit / 100),
        ascii(digit / 10),
        ascii(digit),
    ]
}

/// Why a text is no `numeric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsayable {
    /// `-0`, which would come back as `0`.
    MinusZero,
    /// More digits than the server keeps.
    TooLong,
    /// No number at all.
    NoNumber,
}

/// Appends `value` × 10^-`scale` with its length before it.
pub(super) fn put_decimal(value: i128, scale: i8, out: &mut Vec<u8>) -> Result<(), Unsayable> {
    let pad = (4 - scale.rem_euclid(4)) % 4;
    let short = u64::try_from(value.unsigned_abs()).ok();
    let Some(mut rest) = short
        .filter(|_| scale >= 0)
        .and_then(|short| short.checked_mul(POWERS[pad as usize]))
    else {
        let mut text = Vec::with_capacity(48);
        text::write_decimal(value, scale, &mut text);
        return put_text(&text, out);
    };
    let mut weight = -1 - (i16::from(scale) + i16::from(pad)) / 4;
    let (mut digits, mut from, mut until) = ([0u8; 10], 10, 10);
    while rest != 0 {
        let digit = (rest % 10_000) as u16;
        rest /= 10_000;
        weight += 1;
        if digit == 0 && from == until {
            until -= 2;
            from -= 2;
            continue;
        }
        from -= 2;
        digits[from..from + 2].copy_from_slice(&digit.to_be_bytes());
    }
    let digits = &digits[from..until];
    let sign = if value < 0 { NEGATIVE } else { 0 };
    let weight = if digits.is_empty() { 0 } else { weight };
    put_head(digits.len() / 2, weight, sign, scale as u16, out);
    out.extend_from_slice(digits);
    Ok(())
}

fn put_head(digits: usize, weight: i16, sign: u16, scale: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&(8 + 2 * digits as u32).to_be_bytes());
    out.extend_from_slice(&(digits as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
}

/// Appends the number that a decimal text spells, with its length before it; also `NaN`, `inf`.
pub(super) fn put_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Unsayable> {
    let special = match text {
        b"NaN" => Some(NAN),
        b"inf" => Some(INFINITY),
        b"-inf" => Some(MINUS_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        put_head(0, 0, sign, 0, out);
        return Ok(());
    }
    let parts = Parts::of(text).ok_or(Unsayable::NoNumber)?;
    let after = (parts.after as i64).saturating_sub(parts.power).max(0);
    let significant = |digit: &u8| *digit != b'0';
    let digits = || parts.whole.iter().chain(parts.fraction);
    let Some(zeros) = digits().position(significant) else {
        return match (parts.negative, after > AFTER_MAX) {
            (true, _) => Err(Unsayable::MinusZero),
            (_, true) => Err(Unsayable::TooLong),
            _ => {
                put_head(0, 0, 0, after as u16, out);
                Ok(())
            }
        };
    };
    // Decimal digits before the point; negative for zeros behind it.
    let before = (parts.whole.len() as i64 - zeros as i64).saturating_add(parts.power);
    if before > BEFORE_MAX || after > AFTER_MAX {
        return Err(Unsayable::TooLong);
    }
    let weight = (before - 1).div_euclid(4);
    let mut place = 4 - (before - 4 * weight);
    let head = out.len();
    put_head(
        0,
        weight as i16,
        if parts.negative { NEGATIVE } else { 0 },
        after as u16,
        out,
    );
    let (mut digit, mut end) = (0u16, out.len());
    for ascii in digits().skip(zeros) {
        digit = digit * 10 + u16::from(ascii - b'0');
        place += 1;
        if place == 4 {
            out.extend_from_slice(&digit.to_be_bytes());
            if digit != 0 {
                end = out.len();
            }
            (digit, place) = (0, 0);
        }
    }
    if digit != 0 {
        for _ in place..4 {
            digit *= 10;
        }
        out.extend_from_slice(&digit.to_be_bytes());
        end = out.len();
    }
    out.truncate(end);
    let length = end - head - 4;
    out[head..head + 4].copy_from_slice(&(length as u32).to_be_bytes());
    out[head + 4..head + 6].copy_from_slice(&((length as u16 - 8) / 2).to_be_bytes());
    Ok(())
}

/// A decimal text taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    after: usize,
    power: i64,
}

impl<'a> Parts<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let run = |from: usize| {
            let rest = &unsigned[from..];
            from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let whole = run(0);
        let (start, end) = match unsigned.get(whole) {
            Some(b'.') => (whole + 1, run(whole + 1)),
            _ => (whole, whole),
        };
        let power = match unsigned.get(end..) {
            Some([]) => 0,
            Some([b'e' | b'E', power @ ..]) => exponent(power)?,
            _ => return None,
        };
        (whole + (end - start) > 0).then_some(Parts {
            negative,
            whole: &unsigned[..whole],
            fraction: &unsigned[start..end],
            after: end - start,
            power,
        })
    }
}

/// A power of ten; one that no server takes for all that are too large.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power = digits.iter().fold(0i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(1 << 40)
    });
    Some(if negative { -power } else { power })
}
