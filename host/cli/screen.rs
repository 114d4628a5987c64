//! Where the program speaks: stdout for results, stderr for progress and trouble.
//!
//! A reader that goes away (`dkhost history | head`) ends the output, not the work: writing goes
//! on into nothing and the exit code tells the truth. Any other trouble with stdout is an error,
//! because a result that was not written was not given.

use std::io::{IsTerminal, Write};

use dkhost_core::{Error, Result};
use serde::Serialize;

use crate::args::ColorChoice;
use crate::escape::escape_json;

/// Colours, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Never a colour.
    pub const PLAIN: Paint = Paint { on: false };

    fn choose(choice: ColorChoice, is_terminal: bool) -> Paint {
        let unwanted = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint {
            on: match choice {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => is_terminal && !unwanted() && !dumb(),
            },
        }
    }

    /// Whether colours are on.
    pub fn is_on(self) -> bool {
        self.on
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.on && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// For what is wrong or goes away.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what is new or fine.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what changed or needs a look.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For commands to type.
    pub fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }
}

/// Stdout, and how either stream is painted.
#[derive(Debug)]
pub struct Screen {
    /// Colours of stdout.
    pub paint: Paint,
    /// Colours of stderr.
    pub paint_err: Paint,
    /// Whether objects for programs are wanted instead of text for people.
    pub json: bool,
    closed: bool,
}

impl Screen {
    /// The streams of this process.
    pub fn new(color: ColorChoice, json: bool) -> Screen {
        Screen {
            paint: Paint::choose(color, std::io::stdout().is_terminal()),
            paint_err: Paint::choose(color, std::io::stderr().is_terminal()),
            json,
            closed: false,
        }
    }

    /// Whether nobody reads stdout any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints text and a line break. The text is for people and was escaped where it must be.
    ///
    /// *Errors* – `cli::stdout` when it cannot be written for another reason than a closed pipe.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Prints a value as one line of JSON.
    pub fn object(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|cause| {
            Error::bug("an answer could not be written as JSON").caused_by(cause)
        })?;
        self.line(escape_json(&text))
    }

    /// Prints bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(cause) => {
                self.closed = true;
                Err(Error::infrastructure(
                    "cli::stdout",
                    "the answer could not be written to stdout",
                )
                .help("what was done is done; `dkhost history` shows it")
                .caused_by(cause))
            }
        }
    }
}

/// Prints a line on stderr. Nobody can be told when that fails.
pub fn complain(text: impl AsRef<str>) {
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{}\n", text.as_ref()).as_bytes());
}

/// Columns of the terminal at stdout; 100 when it is none.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let columns = size
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    columns
        .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
        .unwrap_or(100)
}
