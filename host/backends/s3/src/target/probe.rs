//! Whether the server honours the conditions that keep two processes apart.
//!
//! Some take a request with `If-None-Match` and do as if it were not there. What a server says about
//! itself is no proof; writing the same object twice is.

use bytes::Bytes;
use dkhost_core::{Error, Result, Span};

use crate::client::Client;
use crate::fault::{is_absent, is_precondition};
use crate::put::{self, If, is_not_implemented};

/// Refuses a server that writes whatever the condition says.
///
/// *Errors* – `s3::no_conditions`.
pub(crate) fn conditions(client: &Client, key: &str, at: &Span) -> Result<()> {
    let honoured = probe(client, key);
    // What is left of it is swept at the end of the run as well.
    let removed = put::delete(client, &[key.to_owned()]);
    match honoured? {
        true => removed,
        false => Err(Error::config(
            "s3::no_conditions",
            "the server does not honour `If-None-Match` and `If-Match`, so that nothing would keep two runs from overwriting each other",
        )
        .at(at.clone(), "this server")
        .help("write to another server; or say `conditional = false` and make sure that only one process writes here")),
    }
}

fn probe(client: &Client, key: &str) -> Result<bool> {
    let write = |condition: &If| {
        let text = Bytes::from_static(b"may be removed\n");
        put::put(client, key, text, "text/plain", condition).map(drop)
    };
    match write(&If::Absent) {
        Ok(()) => {}
        // Left by a process that ended here.
        Err(error) if is_precondition(&error) => {}
        Err(error) if is_not_implemented(&error) => return Ok(false),
        Err(error) => return Err(error),
    }
    let other = If::Match("\"00000000000000000000000000000000\"".to_owned());
    for condition in [If::Absent, other] {
        match write(&condition) {
            Ok(()) => return Ok(false),
            Err(error) if is_precondition(&error) || is_absent(&error) => {}
            Err(error) if is_not_implemented(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
