//! Where something happens, and what.

use std::time::Duration;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Both ends are reset. What passed before was delivered, the rest is lost, and so is every
    /// answer to it.
    Cut,
    /// Both ends are closed as by a program that ends.
    Close,
    /// What comes later on this way is read and thrown away; the connection stays open.
    Swallow,
    /// As [`Act::Swallow`], both ways: a machine that has vanished without a word.
    BlackHole,
    /// This way goes on, what comes back is thrown away; once the server has answered and says
    /// no more, both ends are reset: something was done, and nobody was told.
    DropReplies,
    /// It waits once, then goes on.
    Delay(Duration),
    /// The byte at the place is another (all its bits turned); then it goes on.
    Corrupt,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// After so many bytes.
    Bytes(u64),
    /// After the last byte of this.
    Pattern(Vec<u8>),
    /// At the first byte of this.
    Before(Vec<u8>),
}

/// Where something happens, and what: [`Rule::after`] or [`Rule::when`], then [`Rule::then`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    way: Way,
    place: Place,
    pub(crate) act: Act,
    pub(crate) always: bool,
}

impl Rule {
    /// After `bytes` bytes of a connection have passed; they are delivered.
    #[must_use]
    pub fn after(way: Way, bytes: u64) -> Self {
        Rule {
            way,
            place: Place::Bytes(bytes),
            act: Act::Cut,
            always: false,
        }
    }

    /// After this pattern has passed; it is delivered.
    #[must_use]
    pub fn when(way: Way, pattern: &[u8]) -> Self {
        Rule {
            place: Place::Pattern(pattern.to_vec()),
            ..Rule::after(way, 0)
        }
    }

    /// When this pattern is about to pass; it is not delivered, but for what of it came in an
    /// earlier piece. The way to lose an answer for certain: `before(Way::ToClient, b"COMMIT\0")`
    /// strikes when the server has committed, and says so.
    #[must_use]
    pub fn before(way: Way, pattern: &[u8]) -> Self {
        Rule {
            place: Place::Before(pattern.to_vec()),
            ..Rule::after(way, 0)
        }
    }

    /// What happens there; a cut unless said.
    #[must_use]
    pub fn then(self, act: Act) -> Self {
        Rule { act, ..self }
    }

    /// On every connection, and for a pattern each time it passes, in place of once.
    #[must_use]
    pub fn always(self) -> Self {
        Rule {
            always: true,
            ..self
        }
    }

    /// The byte of `piece` at which the place is reached.
    pub(crate) fn reached(
        &self,
        way: Way,
        before: &[u8],
        passed: u64,
        piece: &[u8],
    ) -> Option<usize> {
        if way != self.way || piece.is_empty() {
            return None;
        }
        match &self.place {
            Place::Bytes(bytes) => {
                let at = bytes.checked_sub(passed)?;
                // Strikes with the byte that comes after it, and so when there is one.
                usize::try_from(at).ok().filter(|at| *at < piece.len())
            }
            Place::Pattern(pattern) | Place::Before(pattern) => {
                let known = before.len().saturating_sub(pattern.len().saturating_sub(1));
                let seen = [&before[known..], piece].concat();
                let at = seen
                    .windows(pattern.len().max(1))
                    .position(|w| w == pattern)?;
                let seen_again = before.len() - known;
                match self.place {
                    Place::Before(_) => Some(at.saturating_sub(seen_again)),
                    _ => Some(at + pattern.len() - seen_again),
                }
            }
        }
    }

    pub(crate) fn overlap(&self) -> usize {
        match &self.place {
            Place::Bytes(_) => 0,
            Place::Pattern(pattern) | Place::Before(pattern) => pattern.len().saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_wherever_it_is_split() {
        let rule = Rule::when(Way::ToServer, b"COMMIT");
        assert_eq!(rule.reached(Way::ToServer, b"", 0, b"a COMMIT b"), Some(8));
        assert_eq!(rule.reached(Way::ToServer, b"a COM", 5, b"MIT b"), Some(3));
        assert_eq!(rule.reached(Way::ToServer, b"a COMMI", 7, b"T"), Some(1));
        assert_eq!(rule.reached(Way::ToClient, b"", 0, b"COMMIT"), None);
        // What was found is not found again in what is seen twice.
        assert_eq!(rule.reached(Way::ToServer, b"COMMIT", 6, b" b"), None);
    }

    #[test]
    fn a_pattern_may_be_kept_back() {
        let rule = Rule::before(Way::ToClient, b"DONE");
        assert_eq!(rule.reached(Way::ToClient, b"", 0, b"a DONE b"), Some(2));
        assert_eq!(rule.reached(Way::ToClient, b"a D", 3, b"ONE b"), Some(0));
    }

    #[test]
    fn bytes_are_counted_from_the_beginning_of_the_connection() {
        let rule = Rule::after(Way::ToClient, 10);
        assert_eq!(rule.reached(Way::ToClient, b"", 0, &[0; 10]), None);
        assert_eq!(rule.reached(Way::ToClient, b"", 0, &[0; 11]), Some(10));
        assert_eq!(rule.reached(Way::ToClient, b"", 10, &[0; 1]), Some(0));
        assert_eq!(rule.reached(Way::ToClient, b"", 11, &[0; 9]), None);
    }
}
