//! Makes a new input out of old ones: the mistakes that files, cables and people make.

use std::ops::Range;

use crate::dice::Dice;

/// An input grows no longer than this: what breaks on more breaks on less, only later.
pub const INPUT_MAX: usize = 2 << 10;

/// Numbers at the edges of types.
const NUMBERS: [&str; 20] = [
    "0",
    "-0",
    "-1",
    "1",
    "127",
    "255",
    "65535",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e999",
    "-1e-400",
    "0.1",
];

/// Bytes that end, open or hide something in some format.
const BYTES: [&[u8]; 22] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\"",
    b"\\",
    b"'",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\x1b",
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{10ffff}".as_bytes(),
];

/// Changes `input` in one to eight places. `words` are what the format is made of, `others` what
/// pieces may be taken from.
pub fn mutate(input: &mut Vec<u8>, words: &[&str], others: &[Vec<u8>], dice: &mut Dice) {
    // Mostly one: what is wrong in many places is refused at the first.
    let changes = [1, 1, 1, 2, 4, 8][dice.below(6)];
    for _ in 0..changes {
        change(input, words, others, dice);
    }
    input.truncate(INPUT_MAX);
}

fn change(input: &mut Vec<u8>, words: &[&str], others: &[Vec<u8>], dice: &mut Dice) {
    match dice.below(14) {
        0 => flip(input, dice),
        1 => {
            let at = some_range(input, 1, dice);
            let byte = dice.roll() as u8;
            input.splice(at, [byte]);
        }
        2 => {
            let range = some_range(input, 64, dice);
            input.drain(range);
        }
        3 | 4 => insert(
            input,
            dice.one_of(&BYTES).copied().unwrap_or_default(),
            dice,
        ),
        5 | 6 => insert(
            input,
            dice.one_of(words).map_or(b"", |word| word.as_bytes()),
            dice,
        ),
        7 => number(input, dice),
        8 => repeat(input, dice),
        9 => {
            let range = some_range(input, 400, dice);
            let piece = input[range].to_vec();
            insert(input, &piece, dice);
        }
        10 | 11 => splice(input, others, dice),
        12 => {
            let end = dice.below(input.len() + 1);
            input.truncate(end);
        }
        _ => lines(input, dice),
    }
}

fn some_range(input: &[u8], length: usize, dice: &mut Dice) -> Range<usize> {
    let start = dice.below(input.len() + 1);
    let length = dice.below(length + 1).min(input.len() - start);
    start..start + length
}

fn flip(input: &mut [u8], dice: &mut Dice) {
    let at = dice.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

fn insert(input: &mut Vec<u8>, piece: &[u8], dice: &mut Dice) {
    let replaced = if dice.once_in(3) { piece.len() } else { 0 };
    let range = some_range(input, replaced, dice);
    input.splice(range, piece.iter().copied());
}

/// Puts another number in the place of one.
fn number(input: &mut Vec<u8>, dice: &mut Dice) {
    let starts: Vec<usize> = (0..input.len())
        .filter(|at| input[*at].is_ascii_digit() && (*at == 0 || !input[at - 1].is_ascii_digit()))
        .collect();
    let Some(start) = dice.one_of(&starts).copied() else {
        return;
    };
    let length = input[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = dice.one_of(&NUMBERS).copied().unwrap_or_default();
    input.splice(start..start + length, number.bytes());
}

/// The same piece many times: depth, width, length.
fn repeat(input: &mut Vec<u8>, dice: &mut Dice) {
    let range = some_range(input, 12, dice);
    let times = 1 << dice.below(10);
    let (at, piece) = (range.end, input[range].repeat(times));
    input.splice(at..at, piece.into_iter().take(INPUT_MAX));
}

/// A piece of another input.
fn splice(input: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    let Some(other) = dice.one_of(others) else {
        return;
    };
    let taken = some_range(other, 400, dice);
    let range = some_range(input, 64, dice);
    input.splice(range, other[taken].iter().copied());
}

/// Lines that change places, come twice or go.
fn lines(input: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = input
        .split_inclusive(|b| *b == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(3) {
        _ if lines.is_empty() => {}
        0 => lines.swap(one, other),
        1 => lines.insert(other, lines[one].clone()),
        _ => drop(lines.remove(one)),
    }
    *input = lines.concat();
}
