//! Arrays and objects whose text is kept: walked once, without recursion, so that no depth of theirs
//! costs stack.

use super::{Kind, Scanner};
use crate::json::{MAX_DEPTH, Stop};

impl Scanner<'_> {
    /// Checks an array or object to its end; `strictly` refuses NaN and infinity inside.
    pub(super) fn nested(&mut self, strictly: bool) -> Result<(), Stop> {
        // One bit per open bracket, 1 for an object.
        let (mut open, mut depth) = (0u128, 0u32);
        loop {
            let empty = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    depth += 1;
                    // The document around this value is the first level.
                    if depth >= MAX_DEPTH {
                        return Err(self.stop("json::too_deep", "nested too deep"));
                    }
                    open = open << 1 | u128::from(bracket == b'{');
                    self.open(bracket)?
                }
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                    true
                }
                _ => {
                    if let (true, Kind::NotFinite(_)) = (strictly, self.scalar()?) {
                        return Err(self.stop(
                            "json::not_a_number",
                            "NaN or infinity inside a value; before",
                        ));
                    }
                    true
                }
            };
            if empty && !self.close(&mut open, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Goes into an array or object, past a first key: `true` if it was empty and is closed by the
    /// next byte.
    fn open(&mut self, bracket: u8) -> Result<bool, Stop> {
        self.at += 1;
        self.skip_space();
        match (bracket, self.peek()) {
            (b'{', Some(b'}')) | (b'[', Some(b']')) => Ok(true),
            (b'{', _) => self.scan_key().map(|_| self.skip_space()).map(|()| false),
            _ => Ok(false),
        }
    }

    /// After a value: `true` if another is next, past its key; `false` if the outermost bracket
    /// was closed.
    fn close(&mut self, open: &mut u128, depth: &mut u32) -> Result<bool, Stop> {
        while *depth > 0 {
            self.skip_space();
            let object = *open & 1 == 1;
            match (object, self.peek()) {
                (_, Some(b',')) => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    self.skip_space();
                    return Ok(true);
                }
                (true, Some(b'}')) | (false, Some(b']')) => {
                    self.at += 1;
                    *open >>= 1;
                    *depth -= 1;
                }
                (true, _) => return Err(self.unexpected("a comma or the end of the object")),
                (false, _) => return Err(self.unexpected("a comma or the end of the list")),
            }
        }
        Ok(false)
    }
}
