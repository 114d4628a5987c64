//! The tables we create: from the plan's schema, and anew beside one that is to be replaced.

use dkhost_core::{LogicalType, Result, Schema};
use rusqlite::Connection;

use crate::affinity::declare;
use crate::name::{quote, quote_all, same};

/// The name of the table that will replace `table`.
pub(crate) fn staging_name(table: &str) -> String {
    format!("dkhost_staging_{table}")
}

/// CREATE TABLE for the columns of `schema`.
pub(crate) fn create(table: &str, schema: &Schema) -> Result<String> {
    let key: Vec<&str> = schema
        .key()
        .into_iter()
        .map(|i| schema.fields[i].name.as_str())
        .collect();
    let mut lines = Vec::new();
    for field in &schema.fields {
        let alone = key.len() == 1 && field.key.is_some();
        let mut line = format!("{} {}", quote(&field.name)?, declare(&field.logical, alone));
        if field.key.is_some() || !field.nullable {
            line.push_str(" NOT NULL");
        }
        if alone {
            line.push_str(" PRIMARY KEY");
        }
        lines.push(line);
    }
    if key.len() > 1 {
        lines.push(format!("PRIMARY KEY ({})", quote_all(key)?));
    }
    if lines.is_empty() {
        // A table has a column, even if nothing is ever in it.
        lines.push(format!("\"empty\" {}", declare(&LogicalType::Null, false)));
    }
    Ok(format!(
        "CREATE TABLE {} (\n  {}\n)",
        quote(table)?,
        lines.join(",\n  ")
    ))
}

/// `sql`, a table's definition as the catalog keeps it, for a table called `name`.
///
/// The catalog's text begins with `CREATE TABLE` and the name, whatever was typed.
pub(crate) fn renamed(sql: &str, name: &str) -> Result<Option<String>> {
    let Some(rest) = sql
        .get(..12)
        .filter(|start| start.eq_ignore_ascii_case("CREATE TABLE"))
        .map(|_| sql[12..].trim_start())
    else {
        return Ok(None);
    };
    Ok(after_name(rest)
        .map(|rest| format!("CREATE TABLE {}{rest}", quote(name).unwrap_or_default())))
}

/// What follows the identifier at the start of `text`.
fn after_name(text: &str) -> Option<&str> {
    let close = match text.chars().next()? {
        '[' => ']',
        quote @ ('"' | '`' | '\'') => quote,
        _ => {
            return text
                .find(|c: char| c == '(' || c.is_whitespace())
                .map(|end| &text[end..]);
        }
    };
    let mut rest = &text[1..];
    loop {
        rest = &rest[rest.find(close)? + close.len_utf8()..];
        // A doubled quote stands for itself.
        match rest.strip_prefix(close).filter(|_| close != ']') {
            Some(after) => rest = after,
            None => return Some(rest),
        }
    }
}

/// An index or trigger of a table.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    /// Its CREATE statement.
    pub sql: String,
    /// Whether it is a unique index, which must be there while rows arrive.
    pub unique_on: Option<String>,
}

/// The explicit indexes and triggers of a table, in the order they were created.
pub(crate) fn attached(db: &Connection, table: &str) -> rusqlite::Result<Vec<Attached>> {
    let mut statement = db.prepare(
        "SELECT s.sql, s.name, s.type, coalesce(l.\"unique\", 0) FROM sqlite_schema s \
         LEFT JOIN pragma_index_list(?1) l ON l.name = s.name AND s.type = 'index' \
         WHERE s.tbl_name = ?1 COLLATE NOCASE AND s.type IN ('index', 'trigger') AND s.sql IS NOT NULL ORDER BY s.rowid",
    )?;
    let found = statement.query_map([table], |row| {
        let unique: bool = row.get(3)?;
        Ok(Attached {
            sql: row.get(0)?,
            unique_on: unique.then(|| row.get(1)).transpose()?,
        })
    })?;
    found.collect()
}

/// The greatest id an AUTOINCREMENT table ever gave; `None` for other tables.
pub(crate) fn last_id(db: &Connection, table: &str) -> rusqlite::Result<Option<i64>> {
    let there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence')";
    if !db.query_row(there, [], |row| row.get(0))? {
        return Ok(None);
    }
    let sql =
        "SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE";
    db.query_row(sql, [table], |row| row.get(0))
}

/// Sees that an AUTOINCREMENT table gives no id twice, though the rows that had them are gone.
pub(crate) fn go_on_after(db: &Connection, table: &str, id: i64) -> rusqlite::Result<()> {
    let id = last_id(db, table)?.map_or(id, |last| last.max(id));
    db.execute(
        "DELETE FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE",
        [table],
    )?;
    let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
    db.execute(sql, (table, id)).map(drop)
}

/// The statement that creates a unique index on the staging table instead, under a name of ours.
///
/// `CREATE UNIQUE INDEX name ON table(…)`: the catalog keeps what was typed from the name on.
pub(crate) fn staged_index(attached: &Attached, staging: &str) -> Result<Option<String>> {
    let Some(name) = &attached.unique_on else {
        return Ok(None);
    };
    let Some(rest) = attached
        .sql
        .get("CREATE UNIQUE INDEX".len()..)
        .map(str::trim_start)
        .and_then(after_name)
    else {
        return Ok(None);
    };
    let rest = rest.trim_start();
    let Some(rest) = rest
        .get(2..)
        .filter(|_| same(&rest[..2], "ON"))
        .map(str::trim_start)
        .and_then(after_name)
    else {
        return Ok(None);
    };
    Ok(Some(format!(
        "CREATE UNIQUE INDEX {} ON {}{rest}",
        quote(&staging_name(name))?,
        quote(staging)?
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_core::Field;
    use expect_test::expect;

    #[test]
    fn a_table_says_what_its_columns_are() {
        let key = |place, name: &str, logical: &str| Field {
            key: Some(place),
            ..Field::new(name, logical.parse().unwrap())
        };
        let schema = Schema::new(vec![
            key(0, "id", "int32"),
            Field::new("a \"b\"", "decimal(10,2)".parse().unwrap()),
            Field {
                nullable: false,
                ..Field::new("seen", "timestamp(UTC)".parse().unwrap())
            },
        ]);
        expect![[r#"
            CREATE TABLE "t" (
              "id" INTEGER NOT NULL PRIMARY KEY,
              "a ""b""" DECIMAL TEXT(10, 2),
              "seen" TIMESTAMPTZ TEXT NOT NULL
            )"#]]
        .assert_eq(&create("t", &schema).unwrap());
        let schema = Schema::new(vec![key(1, "b", "utf8"), key(0, "a", "int32")]);
        expect![[r#"
            CREATE TABLE "t" (
              "b" TEXT NOT NULL,
              "a" INT4 NOT NULL,
              PRIMARY KEY ("a", "b")
            )"#]]
        .assert_eq(&create("t", &schema).unwrap());
    }

    #[test]
    fn a_definition_is_renamed_however_its_name_is_quoted() {
        for (sql, rest) in [
            ("CREATE TABLE t(a)", "(a)"),
            ("CREATE TABLE t (a)", " (a)"),
            ("CREATE TABLE \"a \"\"(b\"(c)", "(c)"),
            ("CREATE TABLE [a \"b](c) STRICT", "(c) STRICT"),
            ("CREATE TABLE `a``b` (c)", " (c)"),
            ("CREATE TABLE 'it''s'(c)", "(c)"),
        ] {
            assert_eq!(
                renamed(sql, "new").unwrap().unwrap(),
                format!("CREATE TABLE \"new\"{rest}"),
                "{sql}"
            );
        }
        assert_eq!(
            renamed("CREATE VIRTUAL TABLE t USING fts5(a)", "new").unwrap(),
            None
        );
    }

    #[test]
    fn a_unique_index_moves_to_the_staging_table() {
        let index = |sql: &str| {
            let attached = Attached {
                sql: sql.into(),
                unique_on: Some("i x".into()),
            };
            staged_index(&attached, "dkhost_staging_t").unwrap()
        };
        assert_eq!(
            index("CREATE UNIQUE INDEX \"i x\" ON \"t\" (lower(a)) WHERE a IS NOT NULL").as_deref(),
            Some(
                "CREATE UNIQUE INDEX \"dkhost_staging_i x\" ON \"dkhost_staging_t\" (lower(a)) WHERE a IS NOT NULL"
            )
        );
        assert_eq!(
            index("CREATE UNIQUE INDEX i on t(a)").as_deref(),
            Some("CREATE UNIQUE INDEX \"dkhost_staging_i x\" ON \"dkhost_staging_t\"(a)")
        );
    }
}
