//! The few requests that tests and starts of servers need, over a connection each: no client of the
//! product's may be the judge of what the product did.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a server may think about an answer; paused ones do not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// `200`, `404`, …
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whole, out of its chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the status says success.
    pub fn is_fine(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub method: &'a str,
    /// Encoded, with its query.
    pub path: &'a str,
    /// Beside `host`, `content-length` and `connection`.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// Where a server is, out of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `host:port`.
    pub address: String,
    pub tls: bool,
    /// `user:password`, as they stand in the URL.
    pub user: Option<String>,
    /// Without the slash at its end.
    pub path: String,
}

impl Place {
    /// Of `http://user:password@host:port/path`.
    ///
    /// *Errors* – a sentence.
    pub(crate) fn of(url: &str) -> Result<Self, String> {
        let (tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            // Not the URL itself: it may hold a password.
            _ => return Err("a server's URL begins with http:// or https://".to_owned()),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if tls { ":443" } else { ":80" };
        let port = if has_port { "" } else { port };
        Ok(Place {
            address: format!("{host}{port}"),
            tls,
            user,
            path: path.trim_end_matches('/').to_owned(),
        })
    }
}

/// Asks the server at `host:port`.
///
/// *Errors* – a sentence, if there is no answer.
pub(crate) fn ask(address: &str, request: &Request<'_>) -> Result<Answer, String> {
    let mut stream = connect(address)?;
    exchange(&mut stream, address, request)
}

/// A connection on which nothing waits for ever.
///
/// *Errors* – a sentence.
pub(crate) fn connect(address: &str) -> Result<TcpStream, String> {
    let failed = |cause: std::io::Error| format!("cannot connect to {address}: {cause}");
    let mut addresses = address.to_socket_addrs().map_err(failed)?;
    let first = addresses
        .next()
        .ok_or_else(|| format!("nothing is at {address}"))?;
    let stream = TcpStream::connect_timeout(&first, Duration::from_secs(5)).map_err(failed)?;
    let timeout = Some(ANSWER_WITHIN);
    stream
        .set_read_timeout(timeout)
        .and_then(|()| stream.set_write_timeout(timeout))
        .and_then(|()| stream.set_nodelay(true))
        .map_err(failed)?;
    Ok(stream)
}

/// Writes a request and reads the answer to its end.
pub(crate) fn exchange(
    stream: &mut (impl Read + Write),
    host: &str,
    request: &Request<'_>,
) -> Result<Answer, String> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n",
        request.method,
        request.path,
        request.body.len()
    );
    for (name, value) in request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut said = Vec::new();
    let done = stream
        .write_all(&[head.as_bytes(), request.body].concat())
        .and_then(|()| stream.flush())
        .and_then(|()| stream.read_to_end(&mut said));
    let answer = parse(&said, request.method == "HEAD");
    // A connection that ends badly after a whole answer has done what it was for.
    match (answer, done) {
        (Some(answer), _) => Ok(answer),
        (None, Err(cause)) => Err(format!("{host} did not answer: {cause}")),
        (None, Ok(_)) => Err(format!("{host} did not answer as HTTP says")),
    }
}

/// `None` if the answer is not whole.
fn parse(said: &[u8], without_body: bool) -> Option<Answer> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&said[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut answer = Answer {
        status,
        headers: headers.collect(),
        body: Vec::new(),
    };
    let rest = &said[end + 4..];
    if (100..200).contains(&status) && status != 101 {
        // `100 Continue`: the answer comes after it.
        return parse(rest, without_body);
    }
    if without_body || status == 204 || status == 304 {
        return Some(answer);
    }
    answer.body = match (
        answer.header("transfer-encoding"),
        answer.header("content-length"),
    ) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => unchunked(rest)?,
        (_, Some(length)) => rest.get(..length.parse().ok()?)?.to_vec(),
        _ => rest.to_vec(),
    };
    Some(answer)
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, parse};

    #[test]
    fn an_answer_is_read_with_a_length_in_chunks_or_to_the_end() {
        for (said, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
                Some("ab"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", None),
            ("HTTP/1.1 200 OK\r\n\r\nabc", Some("abc")),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
                Some("abc"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
                None,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Le", None),
        ] {
            let answer = parse(said.as_bytes(), false);
            assert_eq!(answer.map(|a| a.text()).as_deref(), body, "{said}");
        }
        let head = parse(b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", true).unwrap();
        assert_eq!(
            (head.status, head.header("content-length")),
            (404, Some("9"))
        );
    }

    #[test]
    fn a_url_says_where_a_server_is_and_who_asks() {
        let place = Place::of("https://a:b@h/x/").unwrap();
        assert_eq!(place.address, "h:443");
        assert_eq!((place.tls, place.path.as_str()), (true, "/x"));
        assert_eq!(place.user.as_deref(), Some("a:b"));
        let plain = Place::of("http://127.0.0.1:9200").unwrap();
        assert_eq!(
            (plain.address.as_str(), plain.path.as_str()),
            ("127.0.0.1:9200", "")
        );
        assert!(Place::of("ftp://h").is_err());
    }
}
