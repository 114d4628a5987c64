//! A table at one version of a schema, what the next makes of it, and how it looks.

use dkhost_core::{Conflict, Constraint, ConstraintRule, Reshape, Result, Schema, Sink};
use dkhost_servers::Database;

use crate::support::{Cells, Run, fates, rows, schema, sink_with, whys};

/// Version 2.0.0 of `user`, with nothing but that.
pub fn reshape() -> Reshape {
    Reshape {
        schema: "user".to_owned(),
        version: "2.0.0".to_owned(),
        ..Reshape::default()
    }
}

pub fn rule(name: &str, column: &str, logical: &str, rule: ConstraintRule) -> Constraint {
    Constraint {
        name: name.to_owned(),
        column: column.to_owned(),
        logical: logical.parse().unwrap(),
        rule,
    }
}

pub fn range(min: &str, max: &str) -> ConstraintRule {
    ConstraintRule::Range {
        min: Some(min.to_owned()),
        max: Some(max.to_owned()),
    }
}

pub fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

pub fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(old, new): &(&str, &str)| ((*old).to_owned(), (*new).to_owned());
    all.iter().map(pair).collect()
}

/// Opens table `t` for a migration.
pub fn open(database: &Database, schema: &Schema, reshape: &Reshape) -> Result<Box<dyn Sink>> {
    sink_with(database, "t", schema, Conflict::ReplaceAll, |open| {
        open.reshape = Some(reshape.clone());
    })
}

/// What the plan says it does to the table.
pub fn told(sink: &dyn Sink) -> Vec<String> {
    let effects = sink.plan().effects.iter();
    effects
        .filter(|effect| !effect.starts_with("collects") && !effect.starts_with("keeps"))
        .cloned()
        .collect()
}

/// Columns with type and NOT NULL, then constraints, then indexes, a line each.
pub fn definition(database: &Database) -> String {
    database.sql(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' !' ELSE '' END \
         FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname; \
         SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE conrelid = 't'::regclass AND contype <> 'n' ORDER BY 1; \
         SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1",
    )
}

pub const OLD: &str = "CREATE TABLE t (id int PRIMARY KEY, years int, price text NOT NULL, legacy text, note text, code varchar(9) NOT NULL); \
    CREATE INDEX t_years ON t (years); CREATE INDEX t_legacy ON t (legacy, id); \
    ALTER TABLE t ADD CONSTRAINT user_years_range CHECK (years < 100); \
    COMMENT ON CONSTRAINT user_years_range ON t IS 'dkhost: CHECK (\"years\" < 100)'; \
    ALTER TABLE t ADD CONSTRAINT user_made CHECK (id > 0); \
    INSERT INTO t VALUES (1, 30, '9.50', 'x', 'kept column', 'a'), (2, 40, '8', 'y', NULL, 'b')";

pub fn new_version() -> (Schema, Reshape) {
    let schema = schema(&[
        "!id int64",
        "age int32",
        "price decimal(10,2)",
        "code utf8",
        "status utf8",
    ]);
    let reshape = Reshape {
        renamed: pairs(&[("years", "age")]),
        removed: texts(&["legacy", "never was"]),
        required: texts(&["id", "age", "status"]),
        constraints: vec![
            rule("user_age_range", "age", "int32", range("0", "150")),
            rule("user_code_unique", "code", "utf8", ConstraintRule::Unique),
            rule(
                "user_status_one_of",
                "status",
                "utf8",
                ConstraintRule::OneOf(texts(&["new", "old"])),
            ),
        ],
        ..reshape()
    };
    (schema, reshape)
}

pub const NEW_ROWS: Cells<'_> = &[
    &[Some("1"), Some("30"), Some("9.50"), Some("a"), Some("new")],
    &[Some("2"), Some("40"), None, Some("b"), Some("old")],
];

/// Writes rows to the end of the run; what became of each.
pub fn load(sink: Box<dyn Sink>, schema: &Schema, cells: Cells<'_>) -> (String, Vec<String>) {
    let mut run = Run::start(sink, 1);
    let report = run.write(&rows(schema, cells));
    run.commit();
    run.finish();
    (fates(&report, cells.len()), whys(&report))
}
