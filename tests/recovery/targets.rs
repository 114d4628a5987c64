//! Every kind of target the suite disturbs.

/// A target of a job.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    /// The `[target]` section without its backend.
    pub toml: &'static str,
    /// The file, folder or table that is compared.
    pub path: &'static str,
    /// What is there before the run.
    pub before: Before,
}

/// What a target holds before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing at all.
    Nothing,
    /// The SQL of a database.
    Sql(&'static str),
    /// A file that is to be replaced.
    File,
    /// The result of another job, which is to be replaced.
    Folder,
}

const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL CHECK (price <> 91.25), \
    even BOOLEAN, mail TEXT, share INTEGER); CREATE INDEX t_name ON t (name); \
    INSERT INTO t VALUES (3, 'old', 1.0, 0, 'old', 1), (15, 'old', 2.0, 1, 'old', 2), (-1, 'stays', 3.0, 0, 'old', 3);";

const PG_ROWS: &str = "CREATE TABLE t (id bigint PRIMARY KEY, name text, price double precision CHECK (price <> 91.25), \
    even boolean, mail text, share bigint); CREATE INDEX t_name ON t (name); \
    INSERT INTO t VALUES (3, 'old', 1.0, false, 'old', 1), (15, 'old', 2.0, true, 'old', 2), (-1, 'stays', 3.0, false, 'old', 3);";

pub const TARGETS: &[Target] = &[
    sqlite("sqlite", "table = \"t\"", Before::Nothing),
    sqlite(
        "sqlite-rows",
        "table = \"t\"",
        Before::Sql(
            "CREATE TABLE t (id INTEGER, name TEXT, \
        price REAL CHECK (price <> 91.25), even BOOLEAN, mail TEXT, share INTEGER); INSERT INTO t VALUES (3, 'old', 1.0, 0, 'old', 1);",
        ),
    ),
    sqlite(
        "sqlite-upsert",
        "table = \"t\"\non_conflict = \"upsert\"\nkey = [\"id\"]",
        Before::Sql(ROWS),
    ),
    sqlite(
        "sqlite-replace",
        "table = \"t\"\non_conflict = \"replace-all\"",
        Before::Sql(ROWS),
    ),
    postgres("postgres", "table = \"t\"", Before::Nothing),
    postgres(
        "postgres-rows",
        "table = \"t\"",
        Before::Sql(
            "CREATE TABLE t (id bigint, name text, price double precision CHECK (price <> 91.25), even boolean, \
        mail text, share bigint); INSERT INTO t VALUES (3, 'old', 1.0, false, 'old', 1);",
        ),
    ),
    postgres(
        "postgres-upsert",
        "table = \"t\"\non_conflict = \"upsert\"\nkey = [\"id\"]",
        Before::Sql(PG_ROWS),
    ),
    postgres(
        "postgres-replace-new",
        "table = \"t\"\non_conflict = \"replace-all\"",
        Before::Nothing,
    ),
    postgres(
        "postgres-replace",
        "table = \"t\"\non_conflict = \"replace-all\"",
        Before::Sql(PG_ROWS),
    ),
    file("jsonl", "out/t.jsonl", "path = \"out/t.jsonl\""),
    file("jsonl-gz", "out/t.jsonl.gz", "path = \"out/t.jsonl.gz\""),
    file("jsonl-zst", "out/t.jsonl.zst", "path = \"out/t.jsonl.zst\""),
    file("json", "out/t.json", "path = \"out/t.json\""),
    file("json-gz", "out/t.json.gz", "path = \"out/t.json.gz\""),
    file("csv", "out/t.csv", "path = \"out/t.csv\""),
    file("csv-zst", "out/t.csv.zst", "path = \"out/t.csv.zst\""),
    file("tsv", "out/t.tsv", "path = \"out/t.tsv\""),
    file("tsv-gz", "out/t.tsv.gz", "path = \"out/t.tsv.gz\""),
    file("parquet", "out/t.parquet", "path = \"out/t.parquet\""),
    file("arrow", "out/t.arrow", "path = \"out/t.arrow\""),
    Target {
        name: "jsonl-replace",
        toml: "backend = \"file\"\npath = \"out/t.jsonl\"\non_conflict = \"replace-all\"",
        path: "out/t.jsonl",
        before: Before::File,
    },
    file("folder", "out/t", "path = \"out/t/\"\nformat = \"jsonl\""),
    file(
        "folder-parquet",
        "out/t",
        "path = \"out/t/\"\nformat = \"parquet\"",
    ),
    file(
        "folder-csv-gz",
        "out/t",
        "path = \"out/t/\"\nformat = \"csv\"\ncompression = \"gzip\"",
    ),
    Target {
        name: "folder-replace",
        toml: "backend = \"file\"\npath = \"out/t/\"\nformat = \"jsonl\"\non_conflict = \"replace-all\"",
        path: "out/t",
        before: Before::Folder,
    },
];

const fn sqlite(name: &'static str, toml: &'static str, before: Before) -> Target {
    Target {
        name,
        toml,
        path: "out/t.db",
        before,
    }
}

const fn postgres(name: &'static str, toml: &'static str, before: Before) -> Target {
    Target {
        name,
        toml,
        path: "t",
        before,
    }
}

const fn file(name: &'static str, path: &'static str, toml: &'static str) -> Target {
    Target {
        name,
        toml,
        path,
        before: Before::Nothing,
    }
}

impl Target {
    pub fn is_sqlite(&self) -> bool {
        self.path.ends_with(".db")
    }

    /// Whether it is a table of a server.
    pub fn is_postgres(&self) -> bool {
        self.path == "t"
    }

    /// Whether its rows are written in place, batch after batch.
    pub fn is_table(&self) -> bool {
        self.is_sqlite() || self.is_postgres()
    }

    pub fn is_folder(&self) -> bool {
        self.path == "out/t"
    }

    /// Whether the target keeps its old content until the result is published.
    pub fn is_replaced(&self) -> bool {
        self.toml.contains("replace-all")
    }

    /// What the next run of a finished job answers: a file is not written over.
    pub fn code_of_another_run(&self) -> i32 {
        if self.is_table() || self.is_replaced() {
            3
        } else {
            2
        }
    }
}

/// The target of this name.
pub fn target(name: &str) -> &'static Target {
    TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("no target `{name}`"))
}
