//! The connection that one step of a run leaves to the next.
//!
//! A new one costs the server a process, and that process has to read its catalog first; a run
//! takes one step after the other.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dkhost_core::Result;

use crate::server::Server;
use crate::session::Session;

/// For how long a connection is kept: one over which nothing goes may be cut on its way.
const KEPT: Duration = Duration::from_secs(10);

/// Holds one connection at most, outside a transaction.
#[derive(Default)]
pub(super) struct Spare(Mutex<Option<(Session, Instant)>>);

impl Spare {
    /// The connection that was left, if it still answers; else a new one.
    ///
    /// *Errors* – those of [`Session::open`].
    pub(super) fn take(&self, server: &Server) -> Result<Session> {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((mut session, since)) = left
            && since.elapsed() < KEPT
            && !session.is_closed()
            && session.run("ask whether the server is there", "").is_ok()
        {
            return Ok(session);
        }
        Session::open(server)
    }

    /// Leaves a connection that is in no transaction.
    pub(super) fn leave(&self, session: Session) {
        if session.is_closed() {
            return;
        }
        let left = Some((session, Instant::now()));
        // The one that was there says good-bye when nobody is kept waiting by it.
        let other = std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            left,
        );
        drop(other);
    }
}
