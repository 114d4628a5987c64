//! The one way a name gets into SQL.

use dkhost_core::{Error, Result};

/// `name` as an SQL identifier: `"` around it and every `"` in it doubled.
///
/// *Errors* – SQL text ends at U+0000, so a name with one cannot be said.
pub(crate) fn quote(name: &str) -> Result<String> {
    if name.contains('\0') {
        return Err(Error::config(
            "sqlite::bad_name",
            format!("the name {name:?} has a NUL character, which SQLite cannot take"),
        )
        .help("rename the column in a step, or choose another table name"));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Several names, quoted, joined by `, `.
pub(crate) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let quoted: Vec<String> = names.into_iter().map(quote).collect::<Result<_>>()?;
    Ok(quoted.join(", "))
}

/// Whether SQLite takes two names for the same one: ASCII letters match in either case.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_nul_is_refused() {
        assert_eq!(quote(r#"a"b"#).unwrap(), r#""a""b""#);
        assert_eq!(
            quote_all(["order", "sélect"]).unwrap(),
            r#""order", "sélect""#
        );
        assert_eq!(quote("a\0b").unwrap_err().code(), "sqlite::bad_name");
    }
}
