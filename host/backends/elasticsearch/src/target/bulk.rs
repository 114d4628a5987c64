//! Sends lines in bulk and finds out what became of each row.
//!
//! ```text
//! 200, 201              done
//! 409                   met another document: for the caller to say what that means
//! 429, 502, 503, 504    that row alone again, later; Retry-After is obeyed
//! 400                   refused for good, with the server's type and reason
//! anything else         the run stops
//! ```
//!
//! The same for a bulk as a whole, where 413 means that it is sent in halves. HTTP 200 with errors
//! inside is the normal case of trouble. Several bulks are under way at once, as many as the
//! [`Gate`] lets through; rows of one batch have ids of their own, so their order is of no matter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dkhost_core::{Class, Error, Result, RowReject, fail};
use serde_json::Value as Json;

use super::answers::{Fate, fates};
use super::gate::{Gate, Leave};
use super::lines::Lines;
use crate::client::{Answer, Client, Pending, Request};
use crate::fault::{self, Refusal};

/// How often a row is sent before the run gives up for now; some two minutes in all.
const ATTEMPTS: u32 = 12;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// The only parts of an answer that are read.
const PARTS: &str = "errors,error,status,items.*._id,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by";

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Done,
    /// It met another document.
    Met,
    /// It may have met the document that was written by a request whose answer was not the
    /// server's own.
    MetPerhapsItself,
    Refused(RowReject),
}

/// How bulks are sent.
#[derive(Debug, Clone)]
pub(super) struct Bulk {
    pub client: Client,
    pub gate: Arc<Gate>,
    /// Bytes of a body, at about the most.
    pub bytes: usize,
    pub gzip: bool,
    /// For messages.
    pub doing: String,
    /// The longest pause between attempts.
    pub pause_max: Duration,
}

/// Some rows that are sent together.
struct Portion {
    rows: Vec<u32>,
    attempt: u32,
    not_before: Option<Instant>,
    /// It may have been carried out already.
    doubtful: bool,
}

struct UnderWay {
    portion: Portion,
    pending: Pending,
    leave: Leave,
}

impl Bulk {
    pub fn new(client: Client, gate: Arc<Gate>, bytes: usize, gzip: bool, doing: String) -> Self {
        Bulk {
            client,
            gate,
            bytes,
            gzip,
            doing,
            pause_max: PAUSE_MAX,
        }
    }

    /// Sends rows to `index` (an alias that must be there) and tells `each` of every one of them.
    ///
    /// *Errors* – some may be written, which ones is not known. Nothing is under way any more.
    pub fn send(
        &self,
        index: &str,
        lines: &Lines,
        rows: &[u32],
        each: &mut dyn FnMut(u32, Sent),
    ) -> Result<()> {
        let portions = lines.portions(rows, self.bytes);
        let mut waiting: VecDeque<Portion> = portions.into_iter().map(Portion::new).collect();
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let sent = self.turn(index, lines, &mut waiting, &mut under_way, each);
        // What arrives after we have answered could not be told from somebody else's.
        for left in under_way {
            let _ = left.pending.wait();
        }
        sent
    }

    fn turn(
        &self,
        index: &str,
        lines: &Lines,
        waiting: &mut VecDeque<Portion>,
        under_way: &mut VecDeque<UnderWay>,
        each: &mut dyn FnMut(u32, Sent),
    ) -> Result<()> {
        while !waiting.is_empty() || !under_way.is_empty() {
            while let Some(leave) = self.leave(waiting, under_way.is_empty()) {
                let Some(portion) = waiting.pop_front() else {
                    break;
                };
                let request = self.request(index, lines, &portion.rows);
                under_way.push_back(UnderWay {
                    portion,
                    pending: self.client.begin(request),
                    leave,
                });
            }
            let Some(next) = under_way.pop_front() else {
                continue;
            };
            let answer = next.pending.wait();
            drop(next.leave);
            self.settle(lines, next.portion, answer?, waiting, each)?;
            fail::point("elasticsearch.bulk.answered")?;
        }
        Ok(())
    }

    /// Leave to send the first that waits; where nothing is under way it is waited for.
    fn leave(&self, waiting: &mut VecDeque<Portion>, idle: bool) -> Option<Leave> {
        let first = waiting.front()?;
        let pause = first
            .not_before
            .map(|at| at.saturating_duration_since(Instant::now()));
        match (idle, pause) {
            (false, Some(pause)) if !pause.is_zero() => return None,
            (true, Some(pause)) => std::thread::sleep(pause),
            _ => (),
        }
        match idle {
            true => Some(self.gate.enter()),
            false => self.gate.try_enter(),
        }
    }

    fn request(&self, index: &str, lines: &Lines, rows: &[u32]) -> Request {
        Request::post(&self.doing, format!("{index}/_bulk"))
            .with("require_alias", true)
            .with("filter_path", PARTS)
            .lines(lines.body(rows), self.gzip)
    }

    fn settle(
        &self,
        lines: &Lines,
        portion: Portion,
        answer: Answer,
        waiting: &mut VecDeque<Portion>,
        each: &mut dyn FnMut(u32, Sent),
    ) -> Result<()> {
        match answer.status {
            200..=299 => self.items(lines, portion, &answer, waiting, each),
            413 => self.too_large(portion, &answer, waiting, each),
            429 | 408 | 502..=504 => {
                self.gate.narrow();
                let doubtful = answer.status != 429;
                let give_up = || fault::refused(&self.doing, &answer);
                waiting.push_back(self.again(portion, answer.retry_after, doubtful, give_up)?);
                Ok(())
            }
            _ => Err(fault::refused(&self.doing, &answer)),
        }
    }

    /// In halves; a row that is too large alone is refused.
    fn too_large(
        &self,
        portion: Portion,
        answer: &Answer,
        waiting: &mut VecDeque<Portion>,
        each: &mut dyn FnMut(u32, Sent),
    ) -> Result<()> {
        let mut rows = portion.rows;
        if let [row] = rows[..] {
            let refusal = Refusal::of(answer.status, &Json::Null);
            each(row, Sent::Refused(reject(row, &refusal)));
            return Ok(());
        }
        let second = rows.split_off(rows.len() / 2);
        waiting.push_front(Portion::new(second));
        waiting.push_front(Portion::new(rows));
        Ok(())
    }

    fn items(
        &self,
        lines: &Lines,
        portion: Portion,
        answer: &Answer,
        waiting: &mut VecDeque<Portion>,
        each: &mut dyn FnMut(u32, Sent),
    ) -> Result<()> {
        let ids = portion.rows.iter().map(|row| lines.id(*row));
        let fates = fates(answer, &self.doing, ids)?;
        // By whether what asks for them again may have carried them out.
        let mut again: [(Vec<u32>, Option<Refusal>); 2] = Default::default();
        for (row, fate) in portion.rows.iter().zip(fates) {
            let refusal = match fate {
                Fate::Done => {
                    each(*row, Sent::Done);
                    continue;
                }
                Fate::Refused(refusal) => refusal,
            };
            match refusal.status {
                409 if portion.doubtful => each(*row, Sent::MetPerhapsItself),
                409 => each(*row, Sent::Met),
                400 | 413 => each(*row, Sent::Refused(reject(*row, &refusal))),
                429 | 502..=504 => {
                    let (rows, why) = &mut again[usize::from(refusal.status != 429)];
                    rows.push(*row);
                    *why = Some(refusal);
                }
                _ => return Err(fault::refused_part(&self.doing, refusal)),
            }
        }
        let mut all_taken = true;
        for (doubtful, (rows, why)) in again.into_iter().enumerate() {
            let Some(why) = why else { continue };
            all_taken = false;
            let left = Portion {
                rows,
                attempt: portion.attempt,
                not_before: None,
                doubtful: portion.doubtful,
            };
            let give_up = || fault::refused_part(&self.doing, why);
            waiting.push_back(self.again(left, answer.retry_after, doubtful == 1, give_up)?);
        }
        match all_taken {
            true => self.gate.widen(),
            false => self.gate.narrow(),
        }
        Ok(())
    }

    /// The same rows once more, after a pause that doubles; when the server says how long, that long.
    fn again(
        &self,
        portion: Portion,
        retry_after: Option<Duration>,
        doubtful: bool,
        give_up: impl FnOnce() -> Error,
    ) -> Result<Portion> {
        let attempt = portion.attempt + 1;
        if attempt >= ATTEMPTS {
            let error = give_up();
            return Err(match error.class() {
                Class::Throttled | Class::Transient => error,
                _ => error.with_class(Class::Transient),
            });
        }
        let doubled = PAUSE_FIRST.saturating_mul(1 << portion.attempt.min(16));
        let pause =
            retry_after.unwrap_or_else(|| spread(doubled.min(self.pause_max), &portion.rows));
        Ok(Portion {
            attempt,
            not_before: Some(Instant::now() + pause),
            doubtful: portion.doubtful || doubtful,
            rows: portion.rows,
        })
    }
}

impl Portion {
    fn new(rows: Vec<u32>) -> Self {
        Portion {
            rows,
            attempt: 0,
            not_before: None,
            doubtful: false,
        }
    }
}

/// Half of a pause to all of it, so that writers that were turned away together do not come back
/// together.
fn spread(pause: Duration, rows: &[u32]) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let dice = now.map_or(0, |now| now.subsec_nanos()) as usize + rows.len();
    pause / 2 + (pause / 2) * (dice % 1000) as u32 / 1000
}

/// The reject of a row, in the server's own words.
pub(super) fn reject(row: u32, refusal: &Refusal) -> RowReject {
    let (code, message) = match refusal.status {
        413 => (
            "elasticsearch::too_large",
            "the server takes no document of this size (http.max_content_length)".to_owned(),
        ),
        _ => ("elasticsearch::refused", refusal.to_string()),
    };
    RowReject {
        row,
        column: field(&refusal.reason),
        code: code.to_owned(),
        message,
    }
}

/// The field a mapping blames: `failed to parse field [price] of type [long] …`.
fn field(reason: &str) -> Option<String> {
    let (_, behind) = reason.split_once(" field [")?;
    let (name, _) = behind.split_once(']')?;
    (!name.is_empty()).then(|| name.to_owned())
}
