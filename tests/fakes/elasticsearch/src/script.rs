//! What is to go wrong, and what was asked for.

use std::collections::VecDeque;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answered with this status and nothing done; with a Retry-After of so many seconds.
    Status(u16, Option<u32>),
    /// Carried out, and the connection closed without an answer.
    Lost,
    /// Closed before anything is done.
    Dropped,
    /// Items of a bulk, by place, that are not carried out but answered with a status.
    Items(Vec<(usize, u16)>),
    /// Items of a bulk, by place, that are carried out and answered with a status all the same.
    DoneItems(Vec<(usize, u16)>),
    /// Carried out; the items of the answer come in the opposite order.
    Reordered,
    /// Carried out; so many of the last items are not in the answer.
    Short(usize),
    /// Carried out; the answer ends after so many bytes, and the connection with it.
    Cut(usize),
    /// Carried out; the byte of the answer at that place is another.
    Flipped(usize),
    /// Not carried out; 200 all the same, with an error of this status in the body.
    ErrorInside(u16),
    /// Carried out once [`Fake::release`](crate::Fake::release) says so.
    Held,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// `/movies/_bulk`, as it was sent.
    pub path: String,
    /// `require_alias=true&…`, as it was sent.
    pub query: String,
    /// The body, unpacked.
    pub body: String,
    /// Whether it was packed.
    pub gzip: bool,
    /// The header `Authorization`.
    pub authorization: Option<String>,
}

/// Plans and memories.
#[derive(Debug, Default)]
pub(crate) struct Script {
    planned: VecDeque<Planned>,
    pub key: Option<String>,
    pub limit: Option<usize>,
    pub seen: Vec<Seen>,
}

#[derive(Debug)]
struct Planned {
    method: String,
    path: String,
    fault: Fault,
    stays: bool,
}

impl Script {
    pub fn add(&mut self, method: &str, path: &str, fault: Fault, stays: bool) {
        self.planned.push_back(Planned {
            method: method.to_owned(),
            path: path.to_owned(),
            fault,
            stays,
        });
    }

    pub fn clear(&mut self) {
        self.planned.clear();
    }

    pub fn is_waiting(&self) -> bool {
        self.planned.iter().any(|planned| !planned.stays)
    }

    /// The fault this request meets.
    pub fn fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let meets =
            |planned: &Planned| planned.method == method && path.ends_with(planned.path.as_str());
        let once = self.planned.iter().position(|p| !p.stays && meets(p));
        if let Some(once) = once {
            return self.planned.remove(once).map(|planned| planned.fault);
        }
        let stays = self.planned.iter().find(|p| p.stays && meets(p));
        stays.map(|planned| planned.fault.clone())
    }
}
