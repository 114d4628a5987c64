//! The one error type of dkhost: what we were doing, whose turn it is, and what to type next.
//!
//! The [`Class`] decides what the engine does (retry, stop, refuse) and the exit code; nobody ever
//! parses the text. Messages start in lower case and end without a full stop, because they are
//! often joined to another.

use std::fmt;
use std::path::{Path, PathBuf};

/// A `Result` with dkhost's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A byte range in the job file.
pub type Span = std::ops::Range<usize>;

/// What kind of trouble an error is: decides retries and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The job file or the command line asks for something that cannot be: exit 2.
    Config,
    /// Data or a limit stopped the run (threshold, validation, drift, verification): exit 4.
    Data,
    /// The environment failed for good (disk full, file gone, permission): exit 5, resumable.
    Infrastructure,
    /// The environment failed and may work again in a moment: retried, then exit 5.
    Transient,
    /// The target asked us to slow down: retried on its own, longer budget, then exit 5.
    Throttled,
    /// A plugin was refused or misbehaved: exit 6.
    Plugin,
    /// Another run holds the job, or took it over (fencing): exit 7.
    Locked,
    /// The state (history, checkpoint) cannot be trusted: exit 8.
    State,
    /// A signal asked us to stop: exit 130 or 143, resumable.
    Stopped,
    /// We were wrong: exit 101.
    Bug,
}

impl Class {
    /// The process exit code for an error of this class.
    pub fn exit_code(self) -> i32 {
        match self {
            Class::Config => 2,
            Class::Data => 4,
            Class::Infrastructure | Class::Transient | Class::Throttled => 5,
            Class::Plugin => 6,
            Class::Locked => 7,
            Class::State => 8,
            Class::Stopped => 130,
            Class::Bug => 101,
        }
    }

    /// Whether trying again may help.
    pub fn is_retryable(self) -> bool {
        matches!(self, Class::Transient | Class::Throttled)
    }
}

/// An error for the person holding the job file.
///
/// *Shape* – `code` is stable and namespaced (`file::not_found`); `message` says what we were
/// doing and with which names; `help` names the next thing to type; `at` points into the job
/// file; the cause stays in `source()` and is not repeated in the message.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    class: Class,
    code: &'static str,
    message: String,
    help: Option<String>,
    at: Option<(Span, String)>,
    file: Option<PathBuf>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `class` with its stable `code`.
    pub fn new(class: Class, code: &'static str, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            class,
            code,
            message: message.into(),
            help: None,
            at: None,
            file: None,
            source: None,
        }))
    }

    /// The job or the command line is wrong (exit 2).
    pub fn config(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Config, code, message)
    }

    /// The data stopped the run (exit 4).
    pub fn data(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Data, code, message)
    }

    /// The environment failed for good (exit 5).
    pub fn infrastructure(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Infrastructure, code, message)
    }

    /// The state cannot be trusted (exit 8).
    pub fn state(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::State, code, message)
    }

    /// A plugin was refused or misbehaved (exit 6).
    pub fn plugin(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Class::Plugin, code, message)
    }

    /// We were wrong (exit 101).
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Class::Bug, "dkhost::bug", message)
            .help("this is a bug in dkhost, not in your job; the run can be resumed")
    }

    /// An operating system error while `doing` something with `path`; disk-full, permission and
    /// absence get their own help.
    pub fn io(doing: &str, path: impl AsRef<Path>, cause: std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        let (code, help) = match cause.kind() {
            NotFound => (
                "io::not_found",
                Some("check the path; paths are relative to the job file"),
            ),
            PermissionDenied => ("io::denied", Some("check who may read and write this path")),
            StorageFull | QuotaExceeded => (
                "io::disk_full",
                Some("free some space and run the same command again: it goes on where it stopped"),
            ),
            _ => ("io::failed", None),
        };
        let class = match cause.kind() {
            Interrupted | WouldBlock | TimedOut => Class::Transient,
            _ => Class::Infrastructure,
        };
        let error = Self::new(
            class,
            code,
            format!("cannot {doing} `{}`", path.as_ref().display()),
        )
        .caused_by(cause);
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Points at a place in the job file, labelled.
    #[must_use]
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.0.at = Some((span, label.into()));
        self
    }

    /// Says that the mistake is in another file than the job's, and so is the place.
    #[must_use]
    pub fn within(mut self, file: &Path) -> Self {
        self.0.file = Some(file.to_owned());
        self
    }

    /// Points at a place in the job file unless the error already points at one, or at another file.
    #[must_use]
    pub fn at_least(self, span: Span) -> Self {
        if self.0.at.is_some() || self.0.file.is_some() {
            self
        } else {
            self.at(span, "")
        }
    }

    /// Adds what to do next unless the error already says it.
    #[must_use]
    pub fn help_at_least(self, help: &str) -> Self {
        if self.0.help.is_some() {
            self
        } else {
            self.help(help)
        }
    }

    /// Keeps the cause in `source()`.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// The same error in another class: for a caller that knows more.
    #[must_use]
    pub fn with_class(mut self, class: Class) -> Self {
        self.0.class = class;
        self
    }

    /// What kind of trouble this is.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The stable, namespaced code: `file::not_found`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What to do next.
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The file that holds the mistake, where that is not the job's.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// Where in the file, and the label for it.
    pub fn place(&self) -> Option<(&Span, &str)> {
        self.0
            .at
            .as_ref()
            .map(|(span, label)| (span, label.as_str()))
    }

    /// The message and all causes in one line, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            text.push_str(": ");
            text.push_str(&next.to_string());
            cause = next.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    /// Arrow refuses only what we built wrongly; outside data is checked before it gets there.
    fn from(cause: arrow::error::ArrowError) -> Self {
        Error::bug("a batch could not be built").caused_by(cause)
    }
}

/// The known name nearest to `wrong`, when one is near enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs time and memory in the product of both lengths; nobody types so much.
    if wrong.len() > 1_000 {
        return None;
    }
    known
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .map(|(_, name)| name)
}
