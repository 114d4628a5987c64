//! Which server, and how it is reached: the options `url`, `sslmode` and the timeouts.

use std::time::Duration;

use dkhost_core::{Error, Options, Result, Span};
use tokio_postgres::{Client, Config, NoTls};

use crate::fault::fault;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A server and database.
#[derive(Clone)]
pub(crate) struct Server {
    /// For people, without a password: `crm on db.example.com:5432`.
    pub name: String,
    /// Where the job file says it.
    pub span: Span,
    config: Config,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

impl Server {
    /// Takes the options that say where the server is.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let span = options.span_of("url");
        let url: String = options.require("url")?;
        let mut config: Config = url.parse().map_err(|_| {
            Error::config("postgres::bad_url", "the `url` cannot be read")
                .at(span.clone(), "here")
                .help("postgres://user:password@host:5432/database")
        })?;
        config
            .application_name("dkhost")
            .connect_timeout(CONNECT_TIMEOUT);
        let name = config.get_dbname().unwrap_or("postgres").to_owned();
        Ok(Server { name, span, config })
    }

    /// Connects; the connection is driven by the runtime this is called in.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let (client, connection) = self
            .config
            .connect(NoTls)
            .await
            .map_err(|cause| fault("connect", cause).at_least(self.span.clone()))?;
        // Its end shows in whatever waits for an answer.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(client)
    }
}
