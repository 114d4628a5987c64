//! One direction of one connection: reads, looks, and passes on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::rule::{Act, Way};
use crate::{Shared, locked};

/// How often a writer whose reader has stopped looks whether the connection is over.
const LOOK: Duration = Duration::from_millis(50);

/// When nothing more has come for so long, the server has answered.
const QUIET: Duration = Duration::from_millis(200);

/// From where, and to where.
type Ends = (TcpStream, TcpStream);

/// What the two directions of a connection tell each other.
pub(crate) struct Gate {
    /// The client and the server, until the connection is over.
    ends: Mutex<Option<Ends>>,
    over: AtomicBool,
    swallows_to_server: AtomicBool,
    swallows_to_client: AtomicBool,
    /// Replies are dropped, and the first one ends the connection.
    ends_with_reply: AtomicBool,
}

/// The gate of a connection, and the ends of its two directions: to the server and back.
pub(crate) fn join(client: &TcpStream, server: &TcpStream) -> io::Result<(Gate, Ends, Ends)> {
    for end in [client, server] {
        end.set_nodelay(true)?;
        end.set_write_timeout(Some(LOOK))?;
    }
    let pair = |a: &TcpStream, b: &TcpStream| Ok((a.try_clone()?, b.try_clone()?));
    let gate = Gate {
        ends: Mutex::new(Some(pair(client, server)?)),
        over: AtomicBool::new(false),
        swallows_to_server: AtomicBool::new(false),
        swallows_to_client: AtomicBool::new(false),
        ends_with_reply: AtomicBool::new(false),
    };
    let back: io::Result<Ends> = pair(server, client);
    Ok((gate, pair(client, server)?, back?))
}

/// Makes the last close of this a reset.
pub(crate) fn will_reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

impl Gate {
    fn swallows(&self, way: Way) -> &AtomicBool {
        match way {
            Way::ToServer => &self.swallows_to_server,
            Way::ToClient => &self.swallows_to_client,
        }
    }

    /// Ends both directions.
    pub(crate) fn end(&self, by_reset: bool) {
        self.over.store(true, SeqCst);
        let Some((client, server)) = locked(&self.ends).take() else {
            return;
        };
        for end in [&client, &server] {
            match by_reset {
                // Said to this side alone: it wakes the readers, who let go of their ends, and the
                // last to let go resets.
                true => {
                    will_reset(end);
                    let _ = end.shutdown(Shutdown::Read);
                }
                false => drop(end.shutdown(Shutdown::Both)),
            }
        }
    }

    /// What has to be so before the bytes up to the place are delivered: the answer to them may be
    /// here at once.
    fn brace(&self, act: Act, way: Way) {
        match act {
            Act::Cut | Act::Close | Act::BlackHole => {
                let back = match way {
                    Way::ToServer => Way::ToClient,
                    Way::ToClient => Way::ToServer,
                };
                self.swallows(back).store(true, SeqCst);
            }
            Act::DropReplies => {
                self.ends_with_reply.store(true, SeqCst);
                self.swallows_to_client.store(true, SeqCst);
            }
            Act::Swallow | Act::Delay(_) | Act::Corrupt => {}
        }
    }

    /// Does what a rule asks; whether the connection goes on. `rest` is what comes after the place.
    fn act(&self, act: Act, way: Way, rest: &mut [u8]) -> bool {
        match act {
            Act::Cut => self.end(true),
            Act::Close => self.end(false),
            Act::Swallow | Act::BlackHole => self.swallows(way).store(true, SeqCst),
            Act::DropReplies => {}
            Act::Delay(time) => thread::sleep(time),
            Act::Corrupt => {
                if let Some(byte) = rest.first_mut() {
                    *byte = !*byte;
                }
            }
        }
        !self.over.load(SeqCst)
    }

    /// Writes all of it, unless the connection ends meanwhile.
    fn pass(&self, mut bytes: &[u8], mut to: &TcpStream) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(cause) if is_a_pause(&cause) && !self.over.load(SeqCst) => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

/// Passes on what comes from `from` until one end closes or a rule ends it.
pub(crate) fn run(shared: &Shared, gate: &Gate, way: Way, mut from: TcpStream, to: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    let mut before = Vec::new();
    let mut passed = 0;
    loop {
        let length = match from.read(&mut buffer) {
            _ if gate.over.load(SeqCst) => return,
            // One end has said all; what the other says may still come.
            Ok(0) => return drop(to.shutdown(Shutdown::Write)),
            Ok(length) => length,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return gate.end(true),
        };
        let mut piece = &mut buffer[..length];
        while !piece.is_empty() {
            let found = shared.strikes(way, &before, passed, piece);
            let at = found.map_or(piece.len(), |(at, _)| at);
            let (now, later) = std::mem::take(&mut piece).split_at_mut(at);
            let swallows = gate.swallows(way).load(SeqCst);
            if let Some((_, act)) = found {
                gate.brace(act, way);
            }
            if !swallows && gate.pass(now, &to).is_err() {
                return gate.end(true);
            }
            passed += at as u64;
            remember(&mut before, now, shared.overlap());
            if let Some((_, act)) = found
                && !gate.act(act, way, later)
            {
                return;
            }
            piece = later;
        }
        if way == Way::ToClient && gate.ends_with_reply.load(SeqCst) {
            // It may have been the answer to something before: the last one is waited for.
            let _ = from.set_read_timeout(Some(QUIET));
        }
    }
}

/// Keeps the end of what passed, as much as a search has to see again.
fn remember(before: &mut Vec<u8>, now: &[u8], overlap: usize) {
    before.extend_from_slice(&now[now.len().saturating_sub(overlap)..]);
    before.drain(..before.len().saturating_sub(overlap));
}

fn is_a_pause(cause: &io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(cause.kind(), Interrupted | TimedOut | WouldBlock)
}
