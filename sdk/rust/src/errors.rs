//! What goes wrong: with one row ([`Reject`]), or with a whole call ([`Failure`]).

use crate::plan::Read;
use crate::wit::types as raw;

/// What went wrong with one input row. The host keeps the original and does what the job says:
/// stop, skip, or write it to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub(crate) column: Option<Read>,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Reject {
    /// A reject with its stable `code` (`invalid-email`) and a message for people.
    ///
    /// ```
    /// # use dkhost_sdk::Reject;
    /// let reject = Reject::new("invalid-email", "`ada@` has no domain");
    /// ```
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Reject {
            column: None,
            code: code.into(),
            message: message.into(),
        }
    }

    /// Blames one column.
    #[must_use]
    pub fn column(mut self, column: impl Into<Read>) -> Self {
        self.column = Some(column.into());
        self
    }

    pub(crate) fn into_raw(self, row: u32, reads: &[u32]) -> raw::Reject {
        let column = self.column.and_then(|read| reads.get(read.0).copied());
        raw::Reject {
            row,
            column,
            code: self.code,
            message: self.message,
        }
    }
}

/// What went wrong with a whole call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: &'static str,
    message: String,
    at: Option<String>,
}

impl Failure {
    /// The configuration asks for something that cannot be.
    pub fn config(message: impl Into<String>) -> Self {
        Failure {
            kind: "config",
            message: message.into(),
            at: None,
        }
    }

    /// The input does not have the columns or types this plugin needs.
    pub fn schema(message: impl Into<String>) -> Self {
        Failure {
            kind: "schema",
            message: message.into(),
            at: None,
        }
    }

    /// It may work in a moment: the host tries again on a fresh instance.
    pub fn retry(message: impl Into<String>) -> Self {
        Failure {
            kind: "retry",
            message: message.into(),
            at: None,
        }
    }

    /// Something this plugin did not expect.
    pub fn internal(message: impl Into<String>) -> Self {
        Failure {
            kind: "internal",
            message: message.into(),
            at: None,
        }
    }

    /// Says where: a JSON pointer into the configuration, or a column's name.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The contract's record.
    #[doc(hidden)]
    pub fn into_raw(self) -> raw::Failure {
        raw::Failure {
            kind: self.kind.into(),
            message: self.message,
            at: self.at,
        }
    }
}
