//! A server that only counts: it answers bulks as Elasticsearch does, an item for each action and in
//! their order, keeps nothing, and passes everything else on to a real one. What a client costs shows
//! on it, because nobody waits for an index.
//!
//! It runs in this process and keeps little: what this process has once held in memory, the kernel
//! counts for the programs it starts.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::shell::Outcome;

/// Such a server. It ends with the process.
pub struct Counting {
    port: u16,
    documents: Arc<AtomicU64>,
}

impl Counting {
    /// Starts one before a server at `host:port`.
    pub fn start(real: &str) -> Outcome<Counting> {
        let failed = |cause: std::io::Error| format!("cannot listen: {cause}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let documents = Arc::new(AtomicU64::new(0));
        let (real, counted) = (real.to_owned(), Arc::clone(&documents));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (real, documents) = (real.clone(), Arc::clone(&counted));
                // A client that has gone is no concern of ours.
                std::thread::spawn(move || serve(&client, &real, &documents));
            }
        });
        Ok(Counting { port, documents })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many documents came since it was asked last.
    pub fn take(&self) -> u64 {
        self.documents.swap(0, Ordering::Relaxed)
    }
}

struct Head {
    /// `POST /rows/_bulk?… HTTP/1.1`, with its end.
    line: String,
    /// But for those of the connection itself.
    headers: String,
    length: u64,
}

impl Head {
    /// The next request's; `None` at the end of the connection.
    fn read(from: &mut impl BufRead) -> std::io::Result<Option<Head>> {
        let (mut line, mut headers, mut length) = (String::new(), String::new(), 0);
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        loop {
            let mut header = String::new();
            if from.read_line(&mut header)? <= 2 {
                return Ok(Some(Head {
                    line,
                    headers,
                    length,
                }));
            }
            let (name, value) = header.split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => return Err(std::io::ErrorKind::Unsupported.into()),
                "connection" | "accept-encoding" => continue,
                _ => {}
            }
            headers.push_str(&header);
        }
    }

    /// Without what follows the question mark.
    fn path(&self) -> &str {
        let path = self.line.split(' ').nth(1).unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }
}

fn serve(client: &TcpStream, real: &str, documents: &AtomicU64) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut from = BufReader::with_capacity(64 << 10, client);
    while let Some(head) = Head::read(&mut from)? {
        let mut body = (&mut from).take(head.length);
        let answer = if head.path().ends_with("/_bulk") {
            let is_brief = head.line.contains("filter_path=");
            let (count, answer) = bulk(&mut body, is_brief)?;
            documents.fetch_add(count, Ordering::Relaxed);
            answer
        } else if head.path().ends_with("/_count") {
            std::io::copy(&mut body, &mut std::io::sink())?;
            let count = documents.load(Ordering::Relaxed);
            let shards = r#""_shards":{"total":1,"successful":1,"skipped":0,"failed":0}"#;
            format!("{{\"count\":{count},{shards}}}")
        } else {
            return pass_on(&head, &mut body, client, real);
        };
        let mut client = client;
        let length = answer.len();
        write!(
            client,
            "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )?;
        client.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// How many documents a bulk brings, and what a server answers that has taken them all.
fn bulk(body: &mut impl BufRead, is_brief: bool) -> std::io::Result<(u64, String)> {
    let mut answer = r#"{"errors":false,"took":1,"items":["#.to_owned();
    let (mut count, mut action, mut document) = (0, Vec::new(), Vec::new());
    loop {
        action.clear();
        if body.read_until(b'\n', &mut action)? == 0 {
            break;
        }
        let action = String::from_utf8_lossy(&action);
        let verb = action.split('"').nth(1).unwrap_or_default();
        if verb != "delete" {
            document.clear();
            body.read_until(b'\n', &mut document)?;
        }
        let comma = if count > 0 { "," } else { "" };
        let id = id(&action).unwrap_or("\"\"");
        // What a client did not ask to be spared, it gets from a real one too.
        let rest = match is_brief {
            true => "",
            false => {
                r#""_index":"target-rows","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1,"#
            }
        };
        let _ = write!(
            answer,
            "{comma}{{\"{verb}\":{{{rest}\"_id\":{id},\"status\":201}}}}"
        );
        count += 1;
    }
    answer.push_str("]}");
    Ok((count, answer))
}

/// The id in the first line of an action, as it stands there, in its quotes.
fn id(action: &str) -> Option<&str> {
    let text = action.split_once("\"_id\":")?.1;
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, letter)| {
        let is_end = *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        is_end
    })?;
    Some(&text[..=end.0])
}

/// Asks the real server, over a connection of its own, and ends the client's with its answer.
fn pass_on(
    head: &Head,
    body: &mut impl Read,
    mut client: &TcpStream,
    real: &str,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(real)?;
    let (line, headers) = (&head.line, &head.headers);
    write!(server, "{line}{headers}connection: close\r\n\r\n")?;
    std::io::copy(body, &mut server)?;
    let mut answer = BufReader::new(server);
    let mut status = String::new();
    answer.read_line(&mut status)?;
    write!(client, "{status}connection: close\r\n")?;
    std::io::copy(&mut answer, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}

#[cfg(test)]
mod tests {
    use super::{bulk, id};

    #[test]
    fn every_action_of_a_bulk_is_answered_in_its_place() {
        let body = "{\"index\":{\"_id\":\"a\\\"b\"}}\n{}\n{\"delete\":{\"_id\":\"c\"}}\n\
                    {\"create\":{\"_index\":\"i\",\"_id\":\"d\"}}\n{\"_id\":\"no\"}\n";
        let (count, answer) = bulk(&mut body.as_bytes(), true).unwrap();
        assert_eq!(count, 3);
        assert_eq!(
            answer,
            r#"{"errors":false,"took":1,"items":[{"index":{"_id":"a\"b","status":201}},{"delete":{"_id":"c","status":201}},{"create":{"_id":"d","status":201}}]}"#
        );
        assert_eq!(id(r#"{"index":{}}"#), None);
    }
}
