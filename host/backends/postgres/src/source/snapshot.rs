//! One moment of the database for all partitions of a run, and what is known about it later.
//!
//! A session of the source opens a transaction, exports its snapshot and stays; each reader joins
//! it. While it lives every partition sees the same rows, however often a reader is made anew, and
//! nobody can alter or empty the table, because the transaction holds its lock. When it is lost
//! (the server was restarted, the process is another one) there is a new moment, and a position
//! says in which one it was made: rows written since are told by their transaction (see
//! [`Moment::since`]).
//!
//! *Source* – "Snapshot Synchronization Functions"; "Transaction IDs and Snapshots".

use std::sync::{Arc, Mutex, PoisonError};

use dkhost_core::{Error, Result};
use serde_json::{Value as Json, json};

use super::order::other_position;
use super::relation::Relation;
use crate::fault::refusal;
use crate::server::Server;
use crate::session::Session;

/// Transactions in an epoch.
const EPOCH: i64 = 1 << 32;

/// How often a lost snapshot is replaced before a read gives up.
const ATTEMPTS: u32 = 3;

/// A snapshot of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The exported snapshot's name, with what it sees: no two moments share both.
    id: String,
    /// What others join it by.
    export: String,
    /// No transaction from this on is sure to be seen; with its epoch.
    first_unseen: i64,
    /// Older ones that were under way, subtransactions included.
    under_way: Vec<i64>,
    /// The next transaction there will be, with its epoch.
    next: i64,
}

impl Moment {
    /// As a position carries it.
    pub(crate) fn to_json(&self) -> Json {
        json!([self.id, self.first_unseen, self.under_way])
    }

    /// Whether `made` was made in this moment.
    pub(crate) fn is(&self, made: &Json) -> bool {
        made[0].as_str() == Some(&self.id)
    }

    /// What stands after WHERE for rows that the moment of a position may not have seen. A row has
    /// 32 bits of its transaction; the rest is that of the latest ones.
    ///
    /// *Errors* – `source::changed` if the transactions of another server are meant.
    pub(crate) fn since(&self, made: &Json) -> Result<String> {
        let seen = made[1].as_i64().ok_or_else(other_position)?;
        if seen > self.next {
            return Err(Error::state(
                "source::changed",
                "the position was made on a server that had come further than this one",
            )
            .help("is it a copy or a backup? start anew with `dkhost run --no-resume`"));
        }
        let epoch = self.next & !0xffff_ffff;
        let xid = format!("(xmin::text::int8 + {epoch})");
        let xid = format!(
            "CASE WHEN {xid} > {} THEN {xid} - {EPOCH} ELSE {xid} END",
            self.next
        );
        let mut unseen = format!("{xid} >= {seen}");
        let under_way = made[2].as_array().map(Vec::as_slice).unwrap_or_default();
        let under_way: Vec<String> = under_way
            .iter()
            .map(|xid| Ok(xid.as_i64().ok_or_else(other_position)?.to_string()))
            .collect::<Result<_>>()?;
        if !under_way.is_empty() {
            unseen.push_str(&format!(" OR {xid} IN ({})", under_way.join(", ")));
        }
        Ok(format!("xmin::text::int8 > 2 AND ({unseen})"))
    }
}

/// Holds a snapshot for those who join it.
struct Exporter {
    session: Session,
    moment: Moment,
}

/// What a new snapshot has to be: still the same table or query.
pub(crate) type Check = dyn Fn(&mut Session) -> Result<()> + Send + Sync;

/// The snapshot of a source, replaced when it is lost.
pub(crate) struct Snapshots {
    server: Server,
    /// How every transaction is set.
    settings: String,
    /// Runs before the snapshot is taken: locks the table.
    lock: String,
    check: Box<Check>,
    exporter: Mutex<Option<Exporter>>,
}

impl Snapshots {
    /// Snapshots in which the relation can be read, and which `alone` keep others from writing to it;
    /// `settings` are of its transactions.
    pub(crate) fn of(
        server: Server,
        relation: &Arc<Relation>,
        settings: &str,
        alone: bool,
    ) -> Result<Self> {
        let checked = relation.clone();
        Ok(Snapshots {
            settings: format!("{}; {settings}", server.settings()),
            server,
            lock: relation.lock(alone)?,
            check: Box::new(move |session| checked.verify(session)),
            exporter: Mutex::new(None),
        })
    }

    /// Asks something in the snapshot.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&mut Session, &Moment) -> Result<T>,
    ) -> Result<T> {
        let mut held = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
        let exporter = self.hold(&mut held)?;
        let answer = question(&mut exporter.session, &exporter.moment);
        if answer.is_err() {
            // A transaction in which something failed answers nothing any more.
            *held = None;
        }
        answer
    }

    /// A session in a transaction that sees the snapshot.
    pub(crate) fn join(&self) -> Result<(Session, Moment)> {
        for attempt in 1.. {
            let moment = {
                let mut held = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
                self.hold(&mut held)?.moment.clone()
            };
            let mut session = Session::open(&self.server)?;
            let begin = format!(
                "{}; SET TRANSACTION SNAPSHOT '{}'; {}",
                BEGIN, moment.export, self.settings
            );
            match session.run("read in the run's snapshot", &begin) {
                Ok(()) => return Ok((session, moment)),
                Err(error) if attempt < ATTEMPTS && is_lost(&error) => self.forget(&moment),
                Err(error) => return Err(error),
            }
        }
        Err(Error::bug("no attempt at a snapshot was the last"))
    }

    /// Lets go of the snapshot and of the lock on what is read.
    pub(crate) fn release(&self) {
        let mut held = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut exporter) = held.take() {
            // Where this fails the connection is gone, and with it the lock.
            let _ = exporter.session.run("end reading", "ROLLBACK");
        }
    }

    fn forget(&self, moment: &Moment) {
        let mut held = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|exporter| exporter.moment == *moment);
    }

    fn hold<'a>(&self, held: &'a mut Option<Exporter>) -> Result<&'a mut Exporter> {
        held.take_if(|exporter| exporter.session.is_closed());
        match held {
            Some(exporter) => Ok(exporter),
            none => Ok(none.insert(self.export()?)),
        }
    }

    fn export(&self) -> Result<Exporter> {
        let mut session = Session::open(&self.server)?;
        let (first_unseen, under_way) = under_way(&mut session)?;
        let begin = format!(
            "{BEGIN}; {}; SET LOCAL idle_in_transaction_session_timeout = 0; {}",
            self.settings, self.lock
        );
        session.run("begin to read", &begin)?;
        let sql = "SELECT s.export, s.now::text, pg_catalog.txid_snapshot_xmax(s.now) \
                   FROM (SELECT pg_catalog.pg_export_snapshot() AS export, pg_catalog.txid_current_snapshot() AS now) AS s";
        let rows = session.rows("take a snapshot", sql, &[])?;
        let row = rows
            .first()
            .ok_or_else(|| Error::bug("a snapshot without a row"))?;
        let wrong = |cause| Error::bug("a snapshot of another type").caused_by(cause);
        let export: String = row.try_get(0).map_err(wrong)?;
        let now: String = row.try_get(1).map_err(wrong)?;
        let moment = Moment {
            id: format!("{export} {now}"),
            export,
            first_unseen,
            under_way,
            next: row.try_get(2).map_err(wrong)?,
        };
        (self.check)(&mut session)?;
        Ok(Exporter { session, moment })
    }
}

/// Which transactions a snapshot taken after this may not see: all from the first on, and these.
///
/// A snapshot names transactions and not their subtransactions, whose numbers rows carry as well;
/// but each holds a lock on its own number while it is under way. One that ends between this and
/// the snapshot is seen. A standby knows no such locks and takes all from the oldest on.
fn under_way(session: &mut Session) -> Result<(i64, Vec<i64>)> {
    let sql = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.txid_snapshot_xmin(s.now) \
                 ELSE pg_catalog.txid_snapshot_xmax(s.now) END, \
               array(SELECT l.transactionid::text::int8 FROM pg_catalog.pg_locks l \
                 WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted) \
               FROM (SELECT pg_catalog.txid_current_snapshot() AS now) AS s";
    let rows = session.rows("look for transactions under way", sql, &[])?;
    let row = rows
        .first()
        .ok_or_else(|| Error::bug("transactions without a row"))?;
    let wrong = |cause| Error::bug("transactions of another type").caused_by(cause);
    let first: i64 = row.try_get(0).map_err(wrong)?;
    let xids: Vec<i64> = row.try_get(1).map_err(wrong)?;
    let whole = |xid: i64| {
        let near = (first & !(EPOCH - 1)) + xid;
        match near - first {
            far if far > EPOCH / 2 => near - EPOCH,
            far if far < -EPOCH / 2 => near + EPOCH,
            _ => near,
        }
    };
    let mut older: Vec<i64> = xids
        .into_iter()
        .map(whole)
        .filter(|xid| *xid < first)
        .collect();
    older.sort_unstable();
    Ok((first, older))
}

/// How every transaction of a source begins.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Whether it says that whoever held the snapshot is gone.
fn is_lost(error: &Error) -> bool {
    refusal(error).is_some_and(|said| matches!(said.state.code(), "22023" | "42704" | "55000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(next: i64) -> Moment {
        Moment {
            id: "a".to_owned(),
            export: "a".to_owned(),
            first_unseen: next,
            under_way: Vec::new(),
            next,
        }
    }

    #[test]
    fn a_moment_knows_the_positions_made_in_it() {
        let now = moment(7);
        assert!(now.is(&now.to_json()));
        assert!(!now.is(&json!(["b", 7])));
        assert!(!now.is(&Json::Null));
    }

    #[test]
    fn a_position_from_the_future_is_of_another_server() {
        assert_eq!(
            moment(7).since(&json!(["b", 8])).unwrap_err().code(),
            "source::changed"
        );
        assert!(moment(7).since(&json!(["b", 7])).is_ok());
    }
}
