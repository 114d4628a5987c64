//! One connection to a server, used by one thread.
//!
//! The driver is asynchronous and the traits are not, so a session owns a runtime of its own; the
//! connection moves only while somebody waits for an answer. Nothing is assumed of a session
//! between two transactions (a pooler may hand the next one to another server process): settings
//! are made inside each transaction, and nothing is prepared under a name that outlives one.

use std::pin::pin;

use bytes::Bytes;
use dkhost_core::{Error, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyOutStream, Row};

use crate::fault::fault;
use crate::server::Server;

/// An open connection.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    /// Connects.
    ///
    /// *Errors* – `postgres::unreachable`, `postgres::refused` and the like, by class.
    pub(crate) fn open(server: &Server) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| {
                Error::infrastructure("postgres::runtime", "cannot start a connection's runtime")
                    .caused_by(cause)
            })?;
        let client = runtime.block_on(server.connect())?;
        Ok(Session { runtime, client })
    }

    /// Runs statements, separated by semicolons, for their effect.
    pub(crate) fn run(&mut self, doing: &str, sql: &str) -> Result<()> {
        self.runtime
            .block_on(self.client.batch_execute(sql))
            .map_err(|cause| fault(doing, cause))
    }

    /// The rows of one statement whose parameters have these types.
    pub(crate) fn rows(
        &mut self,
        doing: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        self.runtime
            .block_on(self.client.query_typed(sql, parameters))
            .map_err(|cause| fault(doing, cause))
    }

    /// Runs one statement with parameters; how many rows it touched.
    pub(crate) fn execute(
        &mut self,
        doing: &str,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64> {
        self.runtime
            .block_on(self.client.execute_typed(sql, parameters))
            .map_err(|cause| fault(doing, cause))
    }

    /// Begins `COPY … TO STDOUT`; [`Session::next_chunk`] yields what comes.
    pub(crate) fn copy_out(&mut self, doing: &str, sql: &str) -> Result<CopyOut> {
        let stream = self
            .runtime
            .block_on(self.client.copy_out(sql))
            .map_err(|cause| fault(doing, cause))?;
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
        self.runtime.block_on(async {
            while chunk.len() < bytes {
                match copy.stream.next().await {
                    Some(Ok(message)) => chunk.extend_from_slice(&message),
                    Some(Err(cause)) => return Err(fault(doing, cause)),
                    None => return Ok(false),
                }
            }
            Ok(true)
        })
    }

    /// `COPY … FROM STDIN` of all of `data`; how many rows arrived.
    pub(crate) fn copy_in(&mut self, doing: &str, sql: &str, data: Bytes) -> Result<u64> {
        self.runtime
            .block_on(async {
                let sink = self.client.copy_in::<_, Bytes>(sql).await?;
                let mut sink = pin!(sink);
                // A refusal in mid-copy closes the sink; why is only told at its end.
                let sent = sink.send(data).await;
                let finished = sink.finish().await;
                finished.and_then(|rows| sent.map(|()| rows))
            })
            .map_err(|cause| fault(doing, cause))
    }

    /// Whether the connection is known to be gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// What a `COPY … TO STDOUT` sends.
pub(crate) struct CopyOut {
    stream: std::pin::Pin<Box<CopyOutStream>>,
}
