//! Finds where a JSON value ends without building it, across the pieces it is read in.
//!
//! Only brackets and strings are looked at: what lies between them is the decoder's to judge. A
//! value that is cut at the wrong place because its brackets are wrong is therefore a record that
//! does not decode, and the next one is found again.

/// A value that is being scanned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ValueScan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    started: bool,
    scalar: bool,
}

impl ValueScan {
    /// Looks at the next bytes of the value; where it ends in them, if it does.
    ///
    /// *Shape* – the first byte ever given is the first of the value, not white space. A number or
    /// literal ends before the byte that follows it, so at the end of the text its end is not
    /// seen ([`ValueScan::may_end`]).
    pub fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if !self.started {
            self.started = true;
            match bytes.first()? {
                b'{' | b'[' => self.depth = 1,
                b'"' => self.in_string = true,
                _ => self.scalar = true,
            }
            at = 1;
        }
        if self.scalar {
            let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            return bytes[at..].iter().position(ends).map(|end| at + end);
        }
        self.structure(bytes, at)
    }

    fn structure(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            if self.in_string {
                at = self.string(bytes, at)?;
                if self.depth == 0 {
                    return Some(at);
                }
            }
            let rest = &bytes[at..];
            let skip = rest.iter().position(|b| CLASS[*b as usize] != OTHER)?;
            at += skip + 1;
            match CLASS[rest[skip] as usize] {
                QUOTE => self.in_string = true,
                OPEN => self.depth += 1,
                _ => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
            }
        }
    }

    /// Runs to the end of the string; where it is, or `None` if it is not in these bytes.
    fn string(&mut self, bytes: &[u8], mut at: usize) -> Option<usize> {
        if std::mem::take(&mut self.escaped) {
            if at == bytes.len() {
                self.escaped = true;
                return None;
            }
            at += 1;
        }
        loop {
            at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
            if bytes[at] == b'"' {
                self.in_string = false;
                return Some(at + 1);
            }
            at += 2;
            if at > bytes.len() {
                self.escaped = true;
                return None;
            }
        }
    }

    /// Whether the value is complete if nothing follows what was given.
    pub fn may_end(&self) -> bool {
        self.scalar
    }
}

const OTHER: u8 = 0;
const QUOTE: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 3;

const CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    class[b'"' as usize] = QUOTE;
    class[b'{' as usize] = OPEN;
    class[b'[' as usize] = OPEN;
    class[b'}' as usize] = CLOSE;
    class[b']' as usize] = CLOSE;
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the value ends when the text comes in two parts, for every place to cut it.
    fn check(text: &str, end: Option<usize>) {
        let bytes = text.as_bytes();
        for cut in 1..=bytes.len() {
            let mut scan = ValueScan::default();
            let found = scan
                .feed(&bytes[..cut])
                .or_else(|| scan.feed(&bytes[cut..]).map(|end| cut + end));
            assert_eq!(found, end, "{text} cut at {cut}");
        }
    }

    #[test]
    fn a_value_ends_at_its_bracket_or_quote() {
        check(r#"{"a":[1,{"b":"}]"}]},2"#, Some(20));
        check(r#""a\"b\\",1"#, Some(8));
        check(r#"{"\\\"}":0} "#, Some(11));
        check("12.5]", Some(4));
        check("true\n", Some(4));
        check("12", None);
        check(r#"{"a":"#, None);
        check(r#""a\"#, None);
    }
}
