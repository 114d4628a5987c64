//! Names in SQL: quoted here and nowhere else, and never longer than the server keeps them.

use dkhost_core::{Error, Result};

/// Longer names are cut by the server without a word, and two tables become one.
///
/// *Source* – NAMEDATALEN of a server as it is built by default, less the byte that ends it.
pub(crate) const NAME_BYTES: usize = 63;

/// A name as an identifier.
///
/// *Errors* – `postgres::bad_name` if the server would cut it or cannot hold it.
pub(crate) fn quote(name: &str) -> Result<String> {
    let reason = match name {
        "" => "is empty".to_owned(),
        name if name.contains('\0') => "contains a NUL".to_owned(),
        name if name.len() > NAME_BYTES => format!(
            "has {} bytes, and the server keeps {NAME_BYTES}",
            name.len()
        ),
        name => return Ok(format!("\"{}\"", name.replace('"', "\"\""))),
    };
    Err(
        Error::config("postgres::bad_name", format!("the name `{name}` {reason}"))
            .help("rename the column in a step, or the table in the job"),
    )
}

/// Names as a list of identifiers.
pub(crate) fn quote_all<'a>(names: impl Iterator<Item = &'a str>) -> Result<String> {
    Ok(names.map(quote).collect::<Result<Vec<_>>>()?.join(", "))
}

/// A text as a literal.
pub(crate) fn literal(text: &str) -> String {
    match text.contains('\\') {
        true => format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_never_cut() {
        assert_eq!(quote("a\"b").unwrap(), "\"a\"\"b\"");
        assert_eq!(
            quote(&"ä".repeat(32)).unwrap_err().code(),
            "postgres::bad_name"
        );
        assert!(quote(&"a".repeat(63)).is_ok());
    }

    #[test]
    fn a_literal_holds_any_text() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'"), r" E'a\\'''");
    }
}
