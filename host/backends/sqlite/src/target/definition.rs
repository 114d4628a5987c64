//! Changes the type and NOT NULL of a column in a table's definition, and leaves every other character.
//!
//! SQLite has no ALTER for either. A new column in the place of the old one would lose what else
//! stands there: a default, a collation, somebody's CHECK, a reference.

use std::ops::Range;

/// What ends the type of a column.
const CONSTRAINTS: [&str; 11] = [
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "GENERATED",
    "AS",
];

/// A word, a quoted text, a sign, or all that parentheses enclose.
#[derive(Clone)]
struct Token<'a> {
    text: &'a str,
    at: Range<usize>,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    /// The name it is, without quotes.
    fn name(&self) -> String {
        let Some(quote) = self.text.chars().next() else {
            return String::new();
        };
        let close = if quote == '[' { ']' } else { quote };
        match quote {
            '"' | '`' | '\'' | '[' => self.text[1..self.text.len() - 1]
                .replace(&format!("{close}{close}"), &close.to_string()),
            _ => self.text.to_owned(),
        }
    }
}

/// `sql` with another type for `column`; `None` if it cannot be found there.
pub(super) fn with_type(sql: &str, column: &str, declared: &str) -> Option<String> {
    let parts = parts(sql, column)?;
    let typed = type_of(&parts);
    let at = match (parts.get(1), typed) {
        (Some(first), 1..) => first.at.start..parts[typed].at.end,
        _ => parts[0].at.end..parts[0].at.end,
    };
    let gap = if at.is_empty() { " " } else { "" };
    Some(format!(
        "{}{gap}{declared}{}",
        &sql[..at.start],
        &sql[at.end..]
    ))
}

/// `sql` with or without NOT NULL for `column`; `None` if it cannot be found there.
pub(super) fn with_not_null(sql: &str, column: &str, wanted: bool) -> Option<String> {
    let parts = parts(sql, column)?;
    let found = (1..parts.len().saturating_sub(1))
        .find(|&at| parts[at].is("NOT") && parts[at + 1].is("NULL"));
    match (found, wanted) {
        (Some(_), true) | (None, false) => Some(sql.to_owned()),
        (None, true) => {
            let behind = parts[type_of(&parts)].at.end;
            Some(format!("{} NOT NULL{}", &sql[..behind], &sql[behind..]))
        }
        (Some(at), false) => {
            let is_named = at >= 3 && parts[at - 2].is("CONSTRAINT");
            let first = if is_named { at - 2 } else { at };
            let says_how = parts.get(at + 2).is_some_and(|part| part.is("ON"));
            let last = if says_how { at + 4 } else { at + 1 };
            let start = parts[first - 1].at.end;
            Some(format!(
                "{}{}",
                &sql[..start],
                &sql[parts.get(last)?.at.end..]
            ))
        }
    }
}

/// Where the last part of the type stands; 0, the name's place, when there is none.
fn type_of(parts: &[Token<'_>]) -> usize {
    let ends = |part: &Token<'_>| CONSTRAINTS.iter().any(|word| part.is(word));
    let more = parts.iter().skip(1).position(ends);
    more.unwrap_or(parts.len() - 1)
}

/// What a column's definition is made of, its name first.
fn parts<'a>(sql: &'a str, column: &str) -> Option<Vec<Token<'a>>> {
    let statement = tokens(sql, 0..sql.len())?;
    let body = statement
        .iter()
        .find(|token| token.text.starts_with('('))?
        .at
        .clone();
    let inside = tokens(sql, body.start + 1..body.end - 1)?;
    let mut columns = inside.split(|token| token.text == ",");
    // Constraints of the table come after its columns.
    let found = columns.find(|parts| {
        parts
            .first()
            .is_some_and(|first| first.name().eq_ignore_ascii_case(column))
    })?;
    Some(found.to_vec())
}

/// The tokens in a part of `sql`; comments are none.
fn tokens(sql: &str, part: Range<usize>) -> Option<Vec<Token<'_>>> {
    let mut all = Vec::new();
    let mut at = part.start;
    while let Some(c) = sql[at..part.end].chars().next() {
        let end = at + length(&sql[at..part.end], c)?;
        let text = &sql[at..end];
        let is_comment = text.starts_with("--") || text.starts_with("/*");
        if !c.is_whitespace() && !is_comment {
            all.push(Token { text, at: at..end });
        }
        at = end;
    }
    Some(all)
}

/// How long the token is that `rest` begins with, `c` being its first character.
fn length(rest: &str, c: char) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    Some(match c {
        '"' | '\'' | '`' => quoted(rest, c)?,
        '[' => rest.find(']')? + 1,
        '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
        '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
        '(' => enclosed(rest)?,
        c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
        c => c.len_utf8(),
    })
}

/// The length of a quoted text; a doubled quote stands for itself.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut end = 1;
    loop {
        end += rest[end..].find(quote)? + 1;
        match rest[end..].starts_with(quote) {
            true => end += 1,
            false => return Some(end),
        }
    }
}

/// The length of what begins with a parenthesis, up to the one that closes it.
fn enclosed(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let c = rest[at..].chars().next()?;
        match c {
            '(' => (depth, at) = (depth + 1, at + 1),
            ')' if depth == 1 => return Some(at + 1),
            ')' => (depth, at) = (depth - 1, at + 1),
            c => at += length(&rest[at..], c)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE \"a (b\" (id INTEGER PRIMARY KEY, -- age TEXT, (\n  \
        [age] VARCHAR (20, 3) /* , */ COLLATE NOCASE DEFAULT ('a,)') CHECK (\"age\" <> ',') REFERENCES p (k),\n  \
        \"no\"\"te\" text CONSTRAINT n NOT NULL ON CONFLICT ABORT UNIQUE, plain, last DOUBLE PRECISION -- the end\n) STRICT";

    fn is_like(changed: Option<String>, from: &str, to: &str) {
        assert!(TABLE.contains(from));
        assert_eq!(changed.unwrap(), TABLE.replace(from, to));
    }

    #[test]
    fn a_type_is_replaced_and_nothing_else() {
        is_like(
            with_type(TABLE, "AGE", "INTEGER"),
            "VARCHAR (20, 3)",
            "INTEGER",
        );
        is_like(with_type(TABLE, "no\"te", "INT"), "text CONS", "INT CONS");
        is_like(with_type(TABLE, "plain", "REAL"), "plain,", "plain REAL,");
        is_like(with_type(TABLE, "last", "TEXT"), "DOUBLE PRECISION", "TEXT");
        assert_eq!(with_type(TABLE, "other", "TEXT"), None);
    }

    #[test]
    fn not_null_comes_behind_the_type_and_goes_with_its_name() {
        let not_null = |column, wanted| with_not_null(TABLE, column, wanted);
        is_like(
            not_null("age", true),
            "VARCHAR (20, 3)",
            "VARCHAR (20, 3) NOT NULL",
        );
        is_like(not_null("plain", true), "plain,", "plain NOT NULL,");
        is_like(
            not_null("no\"te", false),
            " CONSTRAINT n NOT NULL ON CONFLICT ABORT",
            "",
        );
        assert_eq!(not_null("no\"te", true).unwrap(), TABLE);
        assert_eq!(not_null("age", false).unwrap(), TABLE);
        is_like(
            not_null("last", true),
            "DOUBLE PRECISION",
            "DOUBLE PRECISION NOT NULL",
        );
    }

    #[test]
    fn a_text_that_ends_too_soon_is_no_definition() {
        for sql in [
            "",
            "CREATE TABLE t",
            "CREATE TABLE t (a",
            "CREATE TABLE t (a 'b)",
            "CREATE TABLE t ([a)",
        ] {
            assert_eq!(with_type(sql, "a", "TEXT"), None, "{sql}");
        }
    }
}
