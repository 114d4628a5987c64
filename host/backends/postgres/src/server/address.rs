//! The `url` of a job: hosts, user, database, and the parameters that say how to get there.
//!
//! Both of libpq's forms are read, `postgres://…` and `host=… dbname=…`. What the driver does not
//! know of them (`sslmode` beyond its own, certificates) is taken out here. No message repeats a
//! part of the text, for any part may be a piece of a password with a character in it that should
//! have been percent-encoded.

use std::net::IpAddr;
use std::time::Duration;

use dkhost_core::error::nearest;
use dkhost_core::{Error, Result};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslNegotiation};

/// Parameters that the driver reads.
const DRIVEN: [&str; 16] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "target_session_attrs",
    "channel_binding",
];

/// Parameters that are read here.
const OURS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Parameters that people copy along, and that mean nothing here: text is always UTF-8, and there
/// is no GSS.
const MEANINGLESS: [&str; 4] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "krbsrvname",
];

/// What a `url` says.
pub(super) struct Address {
    /// One configuration for each host, in the order written.
    pub hosts: Vec<Config>,
    /// Parameters of [`OURS`], decoded.
    pub ours: Vec<(String, String)>,
}

impl Address {
    /// Reads a `url`.
    ///
    /// *Errors* – `postgres::bad_url`, which repeats nothing of it but the name of a parameter.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        let (text, ours) = match is_url {
            true => without_ours_in_url(url)?,
            false => without_ours_in_words(url)?,
        };
        let config: Config = text.parse().map_err(|_| bad("cannot be read"))?;
        let hosts = one_by_one(&config)?;
        Ok(Address { hosts, ours })
    }

    /// The value of one of [`OURS`].
    pub(super) fn ours(&self, name: &str) -> Option<&str> {
        let mut all = self.ours.iter();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The place for people: `db.example.com:5432`.
pub(super) fn place(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) if host.contains(':') => format!("[{host}]:{port}"),
        (Some(Host::Tcp(host)), _) => format!("{host}:{port}"),
        (Some(Host::Unix(folder)), _) => format!("{}:{port}", folder.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => format!("port {port}"),
    }
}

/// Whether what is sent to it stays on this machine.
pub(super) fn is_local(config: &Config) -> bool {
    if let Some(address) = config.get_hostaddrs().first() {
        return address.is_loopback();
    }
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => {
            host == "localhost"
                || host
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
        Some(Host::Unix(_)) => true,
        None => false,
    }
}

/// A URL without the parameters the driver does not know, and those of ours.
fn without_ours_in_url(url: &str) -> Result<(String, Vec<(String, String)>)> {
    // As the driver: everything up to an `@` is user and password, whatever is in it.
    let start = url.find('@').map_or(0, |at| at + 1);
    let Some(at) = url[start..].find('?').map(|at| start + at) else {
        return Ok((url.to_owned(), Vec::new()));
    };
    let (mut kept, mut ours) = (Vec::new(), Vec::new());
    for part in url[at + 1..].split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| bad("cannot be read"))?;
        let (key, value) = (decoded(key)?, value);
        match key.as_str() {
            "keepalives_count" => kept.push(format!("keepalives_retries={value}")),
            key if DRIVEN.contains(&key) || key == "keepalives_retries" => {
                kept.push(part.to_owned());
            }
            key if MEANINGLESS.contains(&key) => {}
            key if OURS.contains(&key) => ours.push((key.to_owned(), decoded(value)?)),
            key => return Err(unknown(key)),
        }
    }
    Ok((format!("{}?{}", &url[..at], kept.join("&")), ours))
}

/// `key=value` words, some quoted, without the same.
fn without_ours_in_words(text: &str) -> Result<(String, Vec<(String, String)>)> {
    let (mut kept, mut ours) = (String::new(), Vec::new());
    for (key, value) in words(text)? {
        match key.as_str() {
            key if MEANINGLESS.contains(&key) => {}
            key if OURS.contains(&key) => ours.push((key.to_owned(), value)),
            key if DRIVEN.contains(&key) || key.starts_with("keepalives_") => {
                let key = if key == "keepalives_count" {
                    "keepalives_retries"
                } else {
                    key
                };
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                kept.push_str(&format!("{key}='{value}' "));
            }
            key => return Err(unknown(key)),
        }
    }
    Ok((kept, ours))
}

/// `host=a password='b c'` taken apart; a backslash stands before what is meant literally.
fn words(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        if letters.peek().is_none() {
            return Ok(words);
        }
        let mut key = String::new();
        loop {
            match letters.next() {
                Some('=') => break,
                Some(c) => key.push(c),
                None => return Err(bad("is neither postgres://… nor words like host=…")),
            }
        }
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = letters.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match letters.next() {
                Some('\\') => value.extend(letters.next()),
                Some('\'') if quoted => break,
                Some(c) if !quoted && c.is_whitespace() => break,
                Some(c) => value.push(c),
                None if quoted => return Err(bad("has a quote that does not end")),
                None => break,
            }
        }
        words.push((key.trim().to_owned(), value));
    }
}

/// A configuration for each host: each is tried with its own time and its own encryption.
fn one_by_one(all: &Config) -> Result<Vec<Config>> {
    let (hosts, addresses, ports) = (all.get_hosts(), all.get_hostaddrs(), all.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(bad("names no host"));
    }
    if ports.len() > 1 && ports.len() != count
        || !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len()
    {
        return Err(bad("has more or fewer ports or addresses than hosts"));
    }
    let each = (0..count).map(|i| {
        let mut one = common(all);
        match hosts.get(i) {
            Some(Host::Tcp(host)) => one.host(host),
            Some(Host::Unix(folder)) => one.host_path(folder),
            // The name that a certificate has to be for.
            None => one.host(addresses[i].to_string()),
        };
        if let Some(address) = addresses.get(i) {
            one.hostaddr(*address);
        }
        one.port(*ports.get(i).or(ports.first()).unwrap_or(&5432));
        one
    });
    Ok(each.collect())
}

/// What holds for every host.
fn common(all: &Config) -> Config {
    let mut one = Config::new();
    all.get_user().map(|user| one.user(user));
    all.get_password().map(|password| one.password(password));
    all.get_dbname().map(|name| one.dbname(name));
    all.get_options().map(|options| one.options(options));
    one.application_name(all.get_application_name().unwrap_or("dkhost"));
    one.ssl_negotiation(match all.get_ssl_negotiation() {
        SslNegotiation::Direct => SslNegotiation::Direct,
        _ => SslNegotiation::Postgres,
    });
    all.get_connect_timeout()
        .map(|time| one.connect_timeout(*time));
    one.tcp_user_timeout(*all.get_tcp_user_timeout().unwrap_or(&UNACKNOWLEDGED));
    one.keepalives(all.get_keepalives());
    // The driver's own is what it says when nobody said anything: two hours.
    let idle = all.get_keepalives_idle();
    let said = idle != Config::new().get_keepalives_idle();
    one.keepalives_idle(if said { idle } else { KEEPALIVE_IDLE });
    one.keepalives_interval(all.get_keepalives_interval().unwrap_or(KEEPALIVE_INTERVAL));
    one.keepalives_retries(all.get_keepalives_retries().unwrap_or(KEEPALIVE_RETRIES));
    one.target_session_attrs(all.get_target_session_attrs());
    one.channel_binding(all.get_channel_binding());
    one
}

/// A peer that has vanished is noticed within about a minute, and a firewall that forgets silent
/// connections after five keeps this one.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

fn decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let value = hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low);
                bytes.push(value.ok_or_else(|| bad("has a `%` that stands for nothing"))? as u8);
                rest = tail;
            }
            (b'%', _) => return Err(bad("has a `%` that stands for nothing")),
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| bad("is not UTF-8"))
}

fn bad(how: &str) -> Error {
    Error::config("postgres::bad_url", format!("the `url` {how}")).help(
        "postgres://user@host:5432/database; in a password write %40 for @, %2F for / and %25 for %, \
         or give it as `password`",
    )
}

fn unknown(key: &str) -> Error {
    // What does not look like a name may be the rest of a password.
    let is_name = key.len() <= 30 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if !is_name {
        return bad("has a parameter that is not known");
    }
    let known = DRIVEN.iter().chain(&OURS).copied();
    let message = format!("the `url` has a parameter `{key}`, which is not known");
    let error = Error::config("postgres::bad_url", message);
    match nearest(key, known) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!(
            "known are {} and {}",
            DRIVEN.join(", "),
            OURS.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<String> {
        Address::parse(url)
            .unwrap()
            .hosts
            .iter()
            .map(place)
            .collect()
    }

    #[test]
    fn every_form_of_address_is_read() {
        assert_eq!(
            places("postgres://u:p@db.example.com/crm"),
            ["db.example.com:5432"]
        );
        assert_eq!(places("postgresql://a:1,b,c:3/x"), ["a:1", "b:5432", "c:3"]);
        assert_eq!(places("postgres://u@%2Frun%2Fpg/x"), ["/run/pg:5432"]);
        assert_eq!(places("postgres://[::1]:6000/x"), ["[::1]:6000"]);
        assert_eq!(places("host=/run/pg port=6 user=u"), ["/run/pg:6"]);
        assert_eq!(places("host=a,b port=7 dbname='my db'"), ["a:7", "b:7"]);
    }

    #[test]
    fn what_is_percent_encoded_or_quoted_arrives_as_it_is_meant() {
        for url in [
            "postgres://ad%40a:p%40%2F%3Fss@h/my%20db?sslmode=verify-ca&sslrootcert=%2Fa%20b.pem",
            r"user=ad@a password='p@/?ss' host=h dbname='my db' sslmode = verify-ca sslrootcert='/a b.pem'",
        ] {
            let address = Address::parse(url).unwrap();
            let config = &address.hosts[0];
            assert_eq!(config.get_user(), Some("ad@a"));
            assert_eq!(config.get_password(), Some(&b"p@/?ss"[..]));
            assert_eq!(config.get_dbname(), Some("my db"));
            assert_eq!(address.ours("sslmode"), Some("verify-ca"));
            assert_eq!(address.ours("sslrootcert"), Some("/a b.pem"));
        }
        let quoted = Address::parse(r"host=h password='it\'s \\'").unwrap();
        assert_eq!(quoted.hosts[0].get_password(), Some(&br"it's \"[..]));
    }

    #[test]
    fn an_error_repeats_nothing_that_may_be_secret() {
        for url in [
            "postgres://u:hun?ter2=1@h:port/x",
            "postgres://h/x?hunter2",
            "postgres://h/x?Hunter2=1",
            "host=h password='hunter2",
            "u:hunter2@h",
            "host=h port=hunter2",
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url} was read");
            };
            let all = format!("{} {:?}", error.chain(), error);
            assert!(!all.to_lowercase().contains("hunter2"), "{all}");
            assert!(!all.contains("ter2"), "{all}");
        }
    }

    #[test]
    fn an_unknown_parameter_names_the_nearest() {
        let error = Address::parse("postgres://h/x?sslmod=disable")
            .err()
            .unwrap();
        assert_eq!(error.help_text(), Some("did you mean `sslmode`?"));
    }

    #[test]
    fn a_silent_connection_is_looked_after_unless_told_otherwise() {
        let config = &Address::parse("postgres://h/x").unwrap().hosts[0];
        assert_eq!(config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED));
        let told = "postgres://h/x?keepalives_idle=7&keepalives_count=2&tcp_user_timeout=9";
        let config = &Address::parse(told).unwrap().hosts[0];
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
        assert_eq!(config.get_keepalives_retries(), Some(2));
    }
}
