//! One connection to a server, used by one thread.
//!
//! The driver is asynchronous and the traits are not, so a session owns a runtime of its own; the
//! connection moves only while somebody waits for an answer. Whoever waits does not wait forever:
//! when the server has said nothing for a while, it is asked on a second connection whether it is
//! still there, so that a sort of an hour is waited for and a dead machine is not.
//!
//! Nothing is assumed of a session between two transactions (a pooler may hand the next one to
//! another server process): settings are made inside each transaction, and nothing is prepared
//! under a name that outlives one. So COPY, for which the driver prepares a name that it closes
//! again, must stand inside a transaction; and results of [`Session::rows`] must have types that
//! every server has from the start (cast what is not: `::text`), because for others the driver
//! prepares names that stay.

#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::Severity;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyOutStream, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::{self, fault};
use crate::server::Server;

/// How long a server may take to hear that nobody waits for its answer any more, and to hear good-bye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What one message of a COPY carries: while the server takes one in, the next is on its way.
const MESSAGE_BYTES: usize = 128 << 10;

/// An open connection. Dropping it ends what the server still does for it.
pub(crate) struct Session {
    client: Client,
    server: Server,
    /// The server is at work for us.
    busy: bool,
    /// The server has said its last word, or none for too long.
    over: bool,
    tls: MakeRustlsConnect,
    // After the client: without it the connection says good-bye.
    rest: Rest,
}

/// What drives the connection.
struct Rest {
    runtime: Runtime,
    ended: JoinHandle<()>,
}

impl Session {
    /// Connects.
    ///
    /// *Errors* – `postgres::unreachable`, `postgres::denied` and the like, by class.
    pub(crate) fn open(server: &Server) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| {
                Error::infrastructure("postgres::runtime", "cannot start a connection's runtime")
                    .caused_by(cause)
            })?;
        let line = match runtime.block_on(server.connect()) {
            Ok(line) => line,
            Err(error) => {
                // A name server that does not answer is not waited for.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(Session {
            client: line.client,
            server: server.clone(),
            busy: false,
            over: false,
            tls: line.tls,
            rest: Rest {
                runtime,
                ended: line.ended,
            },
        })
    }

    /// Runs statements, separated by semicolons, for their effect.
    pub(crate) fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.ask(doing, async |client| client.batch_execute(sql).await)
    }

    /// The rows of one statement whose parameters have these types.
    pub(crate) fn rows(
        &mut self,
        doing: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        self.ask(doing, async |client| {
            client.query_typed(sql, parameters).await
        })
    }

    /// Runs one statement with parameters; how many rows it touched.
    pub(crate) fn execute(
        &mut self,
        doing: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64> {
        self.ask(doing, async |client| {
            client.execute_typed(sql, parameters).await
        })
    }

    /// Begins `COPY … TO STDOUT`, inside a transaction; [`Session::next_chunk`] yields what comes.
    pub(crate) fn copy_out(&mut self, doing: &str, sql: &str) -> Result<CopyOut> {
        let stream = self.ask(doing, async |client| client.copy_out(sql).await)?;
        self.busy = true;
        Ok(CopyOut {
            stream: Box::pin(stream),
        })
    }

    /// Appends whole messages (one row each, after the header) to `chunk` until it holds `bytes`;
    /// false when there are no more.
    pub(crate) fn next_chunk(
        &mut self,
        doing: &str,
        copy: &mut CopyOut,
        chunk: &mut Vec<u8>,
        bytes: usize,
    ) -> Result<bool> {
        let more = self.ask(doing, async |_| {
            while chunk.len() < bytes {
                match copy.stream.next().await {
                    Some(message) => chunk.extend_from_slice(&message?),
                    None => return Ok(false),
                }
            }
            Ok(true)
        })?;
        self.busy = more;
        Ok(more)
    }

    /// `COPY … FROM STDIN` of all of `data`, inside a transaction; how many rows arrived.
    pub(crate) fn copy_in(&mut self, doing: &str, sql: &str, mut data: Bytes) -> Result<u64> {
        self.ask(doing, async |client| {
            let sink = client.copy_in::<_, Bytes>(sql).await?;
            let mut sink = pin!(sink);
            let mut sent = Ok(());
            while !data.is_empty() && sent.is_ok() {
                let message = data.split_to(data.len().min(MESSAGE_BYTES));
                sent = sink.feed(message).await;
            }
            // A refusal in mid-copy closes the sink; why is only told at its end.
            let finished = sink.finish().await;
            finished.and_then(|rows| sent.map(|()| rows))
        })
    }

    /// Whether the connection is known to be gone, or as good as gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.over || self.client.is_closed()
    }

    /// Waits for an answer as long as the server is there.
    fn ask<T>(
        &mut self,
        doing: &str,
        question: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        self.busy = true;
        self.over = true;
        let (client, server) = (&self.client, &self.server);
        let outcome = self.rest.runtime.block_on(async {
            let mut answer: Pin<&mut _> = pin!(question(client));
            let silence = server.times.silence;
            loop {
                match timeout(silence, answer.as_mut()).await {
                    Ok(answer) => return Ok(answer),
                    Err(_) if server.is_there().await => {}
                    Err(_) => return Err(fault::silent(doing, &server.name, silence)),
                }
            }
        })?;
        self.busy = false;
        self.over = outcome.as_ref().is_err_and(is_last_word);
        outcome.map_err(|cause| fault(doing, cause))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.busy && !self.client.is_closed() {
            let token = self.client.cancel_token();
            let cancel = token.cancel_query(self.tls.clone());
            // Whether it was heard is not told; a server that is gone has nothing to end.
            let _ = self
                .rest
                .runtime
                .block_on(async { timeout(FAREWELL, cancel).await });
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        // Says good-bye, unless somebody keeps the rest of a COPY that nobody reads.
        let ended = &mut self.ended;
        let _ = self
            .runtime
            .block_on(async { timeout(FAREWELL / 10, ended).await });
    }
}

/// Whether the server hangs up after this; that it has is only seen later.
fn is_last_word(cause: &tokio_postgres::Error) -> bool {
    let severity = cause.as_db_error().and_then(|said| said.parsed_severity());
    matches!(severity, Some(Severity::Fatal | Severity::Panic))
}

/// What a `COPY … TO STDOUT` sends.
pub(crate) struct CopyOut {
    stream: Pin<Box<CopyOutStream>>,
}
