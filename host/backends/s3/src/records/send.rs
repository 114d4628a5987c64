//! Many small objects, many of them on their way at once.

use std::collections::VecDeque;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::fault::{fault, is_precondition};
use crate::put::{self, If};

/// Requests under way at once.
pub(crate) const AT_ONCE: usize = 64;

/// An object to be written.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Its key.
    pub key: String,
    /// Its content.
    pub body: Bytes,
    /// Under which condition.
    pub condition: If,
}

/// What became of one.
enum Landed {
    Written,
    /// The condition does not hold.
    Met(Object),
    Failed(Object, Error),
}

/// Writes objects; those that are there with the same content count as written.
///
/// *Errors* – the first; what is left in `objects` was not acknowledged. `s3::other_content` when
/// somebody else's object has a key.
pub(crate) fn all(client: &Client, objects: &mut VecDeque<Object>) -> Result<()> {
    let mut flying: VecDeque<JoinHandle<Landed>> = VecDeque::with_capacity(AT_ONCE);
    let (mut left, mut first_error) = (VecDeque::new(), None);
    loop {
        while flying.len() < AT_ONCE && first_error.is_none() {
            let Some(object) = objects.pop_front() else {
                break;
            };
            flying.push_back(start(client, object));
        }
        let Some(task) = flying.pop_front() else {
            break;
        };
        let landed = client
            .wait(task)
            .map_err(|cause| Error::bug("a request ended badly").caused_by(cause))?;
        let (object, error) = match landed {
            Landed::Written => continue,
            Landed::Met(object) => match same(client, &object) {
                Ok(()) => continue,
                Err(error) => (object, error),
            },
            Landed::Failed(object, error) => (object, error),
        };
        left.push_back(object);
        first_error.get_or_insert(error);
    }
    objects.extend(left);
    first_error.map_or(Ok(()), Err)
}

fn start(client: &Client, object: Object) -> JoinHandle<Landed> {
    let Object {
        key,
        body,
        condition,
    } = &object;
    let request = put::request(client, key, body.clone(), "application/json", condition);
    let server = client.server.clone();
    client.spawn(async move {
        let answer = request.await.map_err(|cause| {
            let doing = format!("write s3://{}/{}", server.bucket, object.key);
            fault(&doing, &server, cause)
        });
        match answer {
            Ok(_) => Landed::Written,
            Err(error) if is_precondition(&error) => Landed::Met(object),
            Err(error) => Landed::Failed(object, error),
        }
    })
}

/// The object is there as it is to be: an earlier answer was lost.
fn same(client: &Client, object: &Object) -> Result<()> {
    let found = put::get(client, &object.key)?;
    if found.is_some_and(|found| found.bytes == object.body) {
        return Ok(());
    }
    Err(Error::infrastructure(
        "s3::other_content",
        format!(
            "{} was written by somebody else meanwhile",
            client.place(&object.key)
        ),
    )
    .help("run the same command again: it goes on where it stopped, and looks again"))
}
