//! There and back: every value is what it was.

use dkhost_servers::{Bucket, Database, Indices};

use crate::stores::{index, prefix};
use crate::support::{database, differences, job, run, table};
use crate::world::World;

/// The ends of what both kinds of stores hold.
const TABLE: &str = "CREATE TABLE ends (id bigint PRIMARY KEY, small int, large bigint, exact numeric(30, 10),
    real8 double precision, yes boolean, words text, raw bytea, doc json, day date, moment timestamptz,
    local timestamp, clock time, name uuid);";
const ROWS: &str = r#"INSERT INTO ends VALUES
    (1, 0, 0, 0, 0, false, '', '', '{}', '1970-01-01', '1970-01-01 00:00:00Z', '1970-01-01', '00:00', '00000000-0000-0000-0000-000000000000'),
    (2, 2147483647, 9223372036854775807, 12345678901234567890.0123456789, 1.7976931348623157e308, true,
      E'two\nlines, "quoted", \\ and ünïcödé 🚢', '\x00ff10', '{"a": [1, {"b": null}], "big": 12345678901234567890}',
      '9999-12-31', '9999-12-31 23:59:59.999999Z', '2026-02-28 12:34:56.789012', '23:59:59.999999', 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
    (3, -2147483648, -9223372036854775808, -0.0000000001, 5e-324, NULL, '{"index":{}}', '\x0a', '[]',
      '0001-01-01', '0001-01-01 00:00:00Z', '1899-12-31 23:59:59.5', '12:00', '0191f2a0-0000-7000-8000-000000000000'),
    (4, 1, 9007199254740993, 0.1, 0.1, true, 'null', '\x', '"null"', '2024-02-29', '2024-02-29 00:00:00Z', '2024-02-29', '00:00:01', NULL),
    (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
  INSERT INTO ends SELECT i, i, i * 1000003, i / 7.0, i / 7.0, i % 2 = 0, md5(i::text), decode(md5(i::text), 'hex'),
    json_build_object('n', i), date '2000-01-01' + i, timestamptz '2000-01-01Z' + i * interval '1 second 1 microsecond',
    timestamp '2000-01-01' + i * interval '1 minute', time '00:00' + i * interval '1 second', gen_random_uuid()
  FROM generate_series(6, 2000) i;"#;

/// The types of the columns that a document says less of.
const FIELDS: &str = "fields = { small = \"int32\", large = \"int64\", exact = \"decimal(30, 10)\", words = \"utf8\", \
    raw = \"binary\", doc = \"json\", day = \"date32\", moment = \"timestamp(us, UTC)\", local = \"timestamp(us)\", \
    clock = \"time64\", name = \"uuid\", yes = \"boolean\", real8 = \"float64\", id = \"int64\" }\n";

/// The store's own id goes again.
const NO_ID: &str = "[[steps]]\ndrop = [\"_id\"]\n";

/// Out of a table into a store and back into a table of the same definition.
fn there_and_back(store: &str, reading: &str, steps: &str) {
    let (from, to, world) = (
        database(&format!("{TABLE}{ROWS}")),
        database(TABLE),
        World::new(),
    );
    let out = job(
        &world,
        "out",
        &table(&from, "ends"),
        store,
        "verify = \"checksum\"",
    );
    assert_eq!(run(&world, &out), 0);
    let source = format!("{store}{reading}");
    let back = job(
        &world,
        "back",
        &source,
        &table(&to, "ends"),
        &format!("verify = \"full\"\n{steps}"),
    );
    assert_eq!(run(&world, &back), 0);
    assert_eq!(differences((&from, "ends"), (&to, "ends")), [""; 0]);
}

fn over_an_index(indices: &Indices) {
    there_and_back(
        &index(indices, "ends"),
        &format!("{FIELDS}key = [\"id\"]\n"),
        NO_ID,
    );
}

#[test]
fn a_table_goes_to_elasticsearch_and_back() {
    over_an_index(&dkhost_servers::elasticsearch());
}

#[test]
fn a_table_goes_to_opensearch_and_back() {
    over_an_index(&dkhost_servers::opensearch());
}

#[test]
fn a_table_goes_to_a_bucket_as_parquet_and_back() {
    let bucket = dkhost_servers::minio();
    let store = format!("{}format = \"parquet\"\n", prefix(&bucket, "ends"));
    there_and_back(&store, "key = [\"id\"]\n", "");
}

/// Lines as other programs write them.
fn lines(rows: usize) -> String {
    (0..rows)
        .map(|n| {
            format!(
                "{{\"id\":{n},\"text\":\"row {n} \\u0000 \\\"é\\\"\",\"big\":{},\"none\":null,\"list\":[1,{{\"x\":{n}}}],\"real\":{}.5}}\n",
                9_007_199_254_740_993_u64 + n as u64, n
            )
        })
        .collect()
}

fn file(path: &str) -> String {
    format!("backend = \"file\"\npath = \"{path}\"\n")
}

/// Lines that have nothing a table has no place for.
fn flat_lines(rows: usize) -> String {
    let row = |n: usize| {
        format!(
            "{{\"id\":{n},\"text\":\"row, \\\"{n}\\\" é\",\"big\":{},\"real\":{n}.25,\"yes\":{}}}\n",
            i64::MAX - n as i64,
            n.is_multiple_of(2)
        )
    };
    (0..rows).map(row).collect()
}

/// Lines into a bucket and back into lines: the same values.
fn over_a_bucket(bucket: &Bucket, text: &str, how: &str, steps: &str) {
    let world = World::new();
    world.write("in.jsonl", text);
    let store = prefix(bucket, "rows") + how;
    let out = job(
        &world,
        "out",
        &file("in.jsonl"),
        &store,
        "verify = \"full\"",
    );
    assert_eq!(run(&world, &out), 0);
    let back = job(
        &world,
        "back",
        &store,
        &file("out.jsonl"),
        &format!("verify = \"full\"\n{steps}"),
    );
    assert_eq!(run(&world, &back), 0);
    let parsed = |text: &str| {
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut rows: Vec<serde_json::Value> = rows.collect();
        rows.sort_by_key(|row| row["id"].as_u64());
        rows
    };
    let (had, has) = (parsed(text), parsed(&world.read("out.jsonl")));
    assert_eq!(had.len(), has.len());
    for (had, has) in had.iter().zip(&has) {
        assert_eq!(had, has);
    }
}

#[test]
fn lines_go_to_a_bucket_and_back_as_packed_lines() {
    let how = "format = \"jsonl\"\ncompression = \"zstd\"\n";
    over_a_bucket(&dkhost_servers::minio(), &lines(3000), how, "");
}

#[test]
fn lines_go_to_a_bucket_and_back_as_tables() {
    for how in [
        "format = \"parquet\"\n",
        "format = \"arrow\"\n",
        "format = \"csv\"\ncompression = \"gzip\"\n",
    ] {
        over_a_bucket(&dkhost_servers::minio(), &flat_lines(3000), how, "");
    }
}

#[test]
fn lines_go_to_a_bucket_and_back_as_an_object_each() {
    let how = "object = \"record\"\n";
    over_a_bucket(&dkhost_servers::versitygw(), &lines(3000), how, NO_ID);
}

/// 100,000 documents in and out, more than any window of results.
#[test]
fn a_hundred_thousand_documents_arrive_and_come_back() {
    let (from, to, world) = (many(100_000), database(""), World::new());
    let indices = dkhost_servers::elasticsearch();
    let store = index(&indices, "many");
    let out = job(
        &world,
        "out",
        &table(&from, "many"),
        &store,
        "verify = \"count\"",
    );
    assert_eq!(run(&world, &out), 0);
    let back = job(
        &world,
        "back",
        &format!("{store}key = [\"id\"]\n"),
        &(table(&to, "many") + "create = true\n"),
        "",
    );
    assert_eq!(run(&world, &back), 0);
    let sum = "SELECT count(*), count(DISTINCT id), sum(id), md5(string_agg(word, ',' ORDER BY id)) FROM many";
    assert_eq!(from.sql(sum), to.sql(sum));
}

fn many(rows: u32) -> Database {
    database(&format!(
        "CREATE TABLE many AS SELECT i::bigint AS id, md5(i::text) AS word FROM generate_series(1, {rows}) i;
         ALTER TABLE many ADD PRIMARY KEY (id)"
    ))
}
