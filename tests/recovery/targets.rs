//! Every kind of target the suite disturbs.

/// A target of a job.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    /// The `[target]` section without its backend.
    pub toml: &'static str,
    /// The file, folder or table that is compared.
    pub path: &'static str,
    pub at: At,
    /// What is there before the run.
    pub before: Before,
}

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Files,
    Sqlite,
    Postgres,
    Elasticsearch,
    OpenSearch,
    Minio,
    Versitygw,
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
    /// Documents of an index, by their ids.
    Documents(&'static [(&'static str, &'static str)]),
    /// Objects, by their keys below the target's prefix.
    Objects(&'static [(&'static str, &'static str)]),
}

const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL CHECK (price <> 91.25), \
    even BOOLEAN, mail TEXT, share INTEGER); CREATE INDEX t_name ON t (name); \
    INSERT INTO t VALUES (3, 'old', 1.0, 0, 'old', 1), (15, 'old', 2.0, 1, 'old', 2), (-1, 'stays', 3.0, 0, 'old', 3);";

const PG_ROWS: &str = "CREATE TABLE t (id bigint PRIMARY KEY, name text, price double precision CHECK (price <> 91.25), \
    even boolean, mail text, share bigint); CREATE INDEX t_name ON t (name); \
    INSERT INTO t VALUES (3, 'old', 1.0, false, 'old', 1), (15, 'old', 2.0, true, 'old', 2), (-1, 'stays', 3.0, false, 'old', 3);";

/// Two that the run meets, and one that it does not.
const DOCUMENTS: &[(&str, &str)] = &[
    ("3", "{\"id\":3,\"name\":\"old\",\"price\":1.0,\"share\":1}"),
    (
        "15",
        "{\"id\":15,\"name\":\"old\",\"price\":2.0,\"share\":2}",
    ),
    (
        "-1",
        "{\"id\":-1,\"name\":\"stays\",\"price\":3.0,\"share\":3}",
    ),
];

const RECORDS: &[(&str, &str)] = &[
    ("3.json", "{\"id\":3,\"name\":\"old\"}"),
    ("15.json", "{\"id\":15,\"name\":\"old\"}"),
    ("-1.json", "{\"id\":-1,\"name\":\"stays\"}"),
];

/// What another job left.
const PARTS: &[(&str, &str)] = &[
    (
        "_LATEST",
        "{\"dkhost_latest\":1,\"run\":\"other\",\"manifest\":\"other/_manifest.json\"}",
    ),
    (
        "other/_manifest.json",
        "{\"dkhost_manifest\":1,\"job\":\"other\",\"run\":\"other\",\"format\":\"jsonl\",\
        \"compression\":\"none\",\"rows\":1,\"parts\":[{\"name\":\"other/part-00000-00000.jsonl\",\"rows\":1,\"bytes\":13,\
        \"etag\":\"\"}]}",
    ),
    ("other/part-00000-00000.jsonl", "{\"old\":true}\n"),
];

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
        at: At::Files,
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
        at: At::Files,
        before: Before::Folder,
    },
    remote("elasticsearch", At::Elasticsearch, "", Before::Nothing),
    remote(
        "elasticsearch-insert",
        At::Elasticsearch,
        "key = [\"id\"]",
        Before::Documents(DOCUMENTS),
    ),
    remote(
        "elasticsearch-upsert",
        At::Elasticsearch,
        "on_conflict = \"upsert\"\nkey = [\"id\"]",
        Before::Documents(DOCUMENTS),
    ),
    remote(
        "elasticsearch-replace",
        At::Elasticsearch,
        "on_conflict = \"replace-all\"\nkey = [\"id\"]",
        Before::Documents(DOCUMENTS),
    ),
    remote(
        "opensearch-upsert",
        At::OpenSearch,
        "on_conflict = \"upsert\"\nkey = [\"id\"]",
        Before::Documents(DOCUMENTS),
    ),
    remote(
        "s3",
        At::Minio,
        "format = \"jsonl\"\ncompression = \"none\"",
        Before::Nothing,
    ),
    remote(
        "s3-parquet-replace",
        At::Versitygw,
        "format = \"parquet\"\non_conflict = \"replace-all\"",
        Before::Objects(PARTS),
    ),
    remote(
        "s3-records",
        At::Versitygw,
        "object = \"record\"",
        Before::Objects(RECORDS),
    ),
    remote(
        "s3-records-upsert",
        At::Minio,
        "object = \"record\"\non_conflict = \"upsert\"",
        Before::Objects(RECORDS),
    ),
];

const fn remote(name: &'static str, at: At, toml: &'static str, before: Before) -> Target {
    Target {
        name,
        toml,
        path: "",
        at,
        before,
    }
}

const fn sqlite(name: &'static str, toml: &'static str, before: Before) -> Target {
    Target {
        name,
        toml,
        path: "out/t.db",
        at: At::Sqlite,
        before,
    }
}

const fn postgres(name: &'static str, toml: &'static str, before: Before) -> Target {
    Target {
        name,
        toml,
        path: "",
        at: At::Postgres,
        before,
    }
}

const fn file(name: &'static str, path: &'static str, toml: &'static str) -> Target {
    Target {
        name,
        toml,
        path,
        at: At::Files,
        before: Before::Nothing,
    }
}

impl Target {
    pub fn is_sqlite(&self) -> bool {
        self.at == At::Sqlite
    }

    /// Whether it is a table of a server.
    pub fn is_postgres(&self) -> bool {
        self.at == At::Postgres
    }

    /// Whether it is one or several files.
    pub fn is_file(&self) -> bool {
        self.at == At::Files
    }

    /// Whether it is an index of a cluster.
    pub fn is_index(&self) -> bool {
        matches!(self.at, At::Elasticsearch | At::OpenSearch)
    }

    /// Whether it is in a bucket.
    pub fn is_bucket(&self) -> bool {
        matches!(self.at, At::Minio | At::Versitygw)
    }

    /// Whether each of its objects is a record.
    pub fn is_of_records(&self) -> bool {
        self.toml.contains("object = \"record\"")
    }

    /// Whether the job says what tells records apart.
    pub fn has_key(&self) -> bool {
        self.toml.contains("key = ")
    }

    /// Whether its records can be seen as soon as they are written, before they are committed.
    pub fn is_of_documents(&self) -> bool {
        (self.is_index() || self.is_of_records()) && !self.is_replaced()
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

    /// Whether it takes no record twice.
    pub fn refuses_repeats(&self) -> bool {
        let has_ids = self.has_key() || self.is_of_records();
        self.is_of_documents() && has_ids && !self.toml.contains("upsert")
    }

    /// What the next run of a finished job answers: a file is not written over.
    pub fn code_of_another_run(&self) -> i32 {
        if self.is_table() || self.is_replaced() || self.is_of_documents() {
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
