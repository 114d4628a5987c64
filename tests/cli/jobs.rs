//! Job files that cannot be, by the table: each is refused with exit 2, its code, its line in the
//! file and something to type next, and nothing is written.

use crate::world::{SMALL, World};

pub const RECORDS: &str = "{\"id\":1,\"email\":\"a@b.c\",\"price\":1.5}\n";

/// A job that must be refused.
#[track_caller]
pub fn refused(job: impl AsRef<[u8]>, code: &str, line: usize) {
    let world = World::with_job("");
    world.write("job.toml", job.as_ref());
    world.write("in.jsonl", RECORDS);
    let shown = String::from_utf8_lossy(job.as_ref());
    let shown: String = shown.chars().skip(SMALL.len()).take(200).collect();
    let answer = world.run(&["plan", "job.toml"]);
    let said = &answer.err;
    assert_eq!(answer.code, 2, "{shown}: {said}");
    assert!(
        said.starts_with(&format!("error[{code}]: ")),
        "{shown}: not {code}: {said}"
    );
    assert!(said.contains("\n  help: "), "{shown}: no help: {said}");
    assert!(
        said.contains(&format!("[job.toml:{line}:")),
        "{shown}: not in line {line}: {said}"
    );
    assert!(said.len() < 4_000, "{} bytes of error", said.len());
    assert!(!world.path("out.db").exists() && !world.path(".dkhost").exists());
}

/// `SMALL` ends with line 10; what is added begins in line 12.
pub fn with(addition: &str) -> String {
    format!("{SMALL}\n{addition}\n")
}

/// `SMALL` with a key behind the source's path, in line 6.
fn source(addition: &str) -> String {
    SMALL.replace("\"in.jsonl\"", &format!("\"in.jsonl\"\n{addition}"))
}

/// `SMALL` with a key behind its name, in line 2.
fn top(addition: &str) -> String {
    SMALL.replace("\"small\"", &format!("\"small\"\n{addition}"))
}

#[test]
fn counts_that_cannot_be() {
    for value in [
        "0",
        "-1",
        "1.5",
        "1e308",
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999999999",
        "-99999999999999999999",
        "inf",
        "nan",
        "true",
        "\"four\"",
        "[]",
    ] {
        refused(
            with(&format!("[run]\nparallel = {value}")),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!("[run]\nbatch = {{ rows = {value} }}")),
            "job::wrong_value",
            13,
        );
        refused(
            source(&format!("partitions = {value}")),
            "job::wrong_value",
            6,
        );
        refused(source(&format!("infer = {value}")), "job::wrong_value", 6);
    }
    for value in ["-1", "1.5", "\"ten\"", "true"] {
        refused(source(&format!("limit = {value}")), "job::wrong_value", 6);
        refused(
            with(&format!(
                "[run]\non_error = {{ dead_letter = {{ max = {value} }} }}"
            )),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!("[run]\nretry = {{ max_retries = {value} }}")),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!(
                "[plugins.x]\nlimits = {{ call_timeout_ms = {value} }}"
            )),
            "job::wrong_value",
            13,
        );
    }
    for limit in [
        "[run]\nparallel = 257",
        "[run]\nbatch = { rows = 1000001 }",
        "[run]\nretry = { max_retries = 1001 }",
    ] {
        refused(with(limit), "job::wrong_value", 13);
    }
}

#[test]
fn sizes_durations_and_shares_that_cannot_be() {
    for value in [
        "-1",
        "0",
        "1e308",
        "1000000000000000000",
        "\"1000000000GiB\"",
        "\"-1MiB\"",
        "\"8 furlongs\"",
        "\"\"",
        "\"MiB\"",
        "\"1e3MiB\"",
        "true",
        "inf",
        "\"0.0001B\"",
        "\"1.2.3MiB\"",
    ] {
        refused(
            with(&format!("[run]\nmemory = {value}")),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!("[run]\nbatch = {{ bytes = {value} }}")),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!("[plugins.x]\nlimits = {{ memory = {value} }}")),
            "job::wrong_value",
            13,
        );
    }
    for value in [
        "-1",
        "\"-1s\"",
        "\"ten seconds\"",
        "\"10 parsecs\"",
        "9223372036854775807",
        "1e308",
        "\"99999999999999999999d\"",
        "\"\"",
        "true",
        "\"NaNs\"",
    ] {
        refused(
            with(&format!("[run]\nprogress_interval = {value}")),
            "job::wrong_value",
            13,
        );
        refused(
            with(&format!("[run]\nretry = {{ initial = {value} }}")),
            "job::wrong_value",
            13,
        );
    }
    for value in ["1.01", "-0.01", "100", "\"1 %\"", "nan", "inf", "-1", "2"] {
        refused(
            with(&format!(
                "[run]\non_error = {{ dead_letter = {{ max_ratio = {value} }} }}"
            )),
            "job::wrong_value",
            13,
        );
    }
    for value in ["0.5", "101", "nan", "-1", "\"2\""] {
        refused(
            with(&format!("[run]\nretry = {{ backoff_factor = {value} }}")),
            "job::wrong_value",
            13,
        );
    }
}

#[test]
fn keys_that_cannot_be() {
    let unknown = "job::unknown_key";
    for (job, code, line) in [
        (with("[run]\nmemroy = \"1MiB\""), unknown, 13),
        (with("[rnu]\nmemory = \"1MiB\""), unknown, 12),
        (with("[run]\nbatch = { row = 1 }"), unknown, 13),
        (with("[run]\nretry = { retries = 1 }"), unknown, 13),
        (with("[run]\non_error = { dead_leter = {} }"), unknown, 13),
        (
            with("[run]\non_error = { dead_letter = { maximum = 1 } }"),
            unknown,
            13,
        ),
        (with("[run]\nbatch.row = 1"), unknown, 13),
        (
            with("[plugins.x]\nlimits = { memroy = \"1MiB\" }"),
            unknown,
            13,
        ),
        (with("[plugins.x]\npaht = \"x\""), unknown, 13),
        (with("[state]\nurll = \"sqlite:x\""), unknown, 13),
        (
            with("[[steps]]\nfilter = \"id > 1\"\nconfig = {}"),
            unknown,
            12,
        ),
        (with("[[steps]]\nfliter = \"id > 1\""), unknown, 13),
        (with("run = 5"), unknown, 12),
        (
            source("incremental = { column = \"id\" }"),
            "plan::not_incremental",
            6,
        ),
        (
            source("partitions = { by = \"id\", values = [1] }"),
            "plan::no_slices_by_values",
            6,
        ),
        (source("incremental = { colum = \"id\" }"), unknown, 6),
        (top("\"name\" = \"x\""), "job::duplicate_key", 2),
        (with("[source]\nlimit = 1"), "job::duplicate_key", 12),
        (
            with("[run]\nretry = { initial = 1, initial = 2 }"),
            "job::duplicate_key",
            13,
        ),
        (
            with("[run]\nbatch = { rows = 1 }\nbatch.rows = 2"),
            "job::syntax",
            14,
        ),
        (
            with("[plugins.x]\n[plugins.\"x\"]"),
            "job::duplicate_key",
            13,
        ),
        (
            SMALL.replace("backend = \"file\"", ""),
            "job::missing_key",
            3,
        ),
        (
            SMALL.replace("path    = \"in.jsonl\"", ""),
            "job::missing_key",
            3,
        ),
        (SMALL.replace("table   = \"t\"", ""), "job::missing_key", 7),
        (with("[[steps]]"), "job::no_verb", 12),
        (with("[[steps]]\nname = \"x\""), "job::no_verb", 12),
    ] {
        refused(job, code, line);
    }
}

#[test]
fn values_that_cannot_be() {
    let (value, ty) = ("job::wrong_value", "job::wrong_type");
    for (job, code, line) in [
        (with("[run]\non_error = {}"), value, 13),
        (with("[run]\non_error = 5"), ty, 13),
        (with("[run]\non_error = \"ignore\""), value, 13),
        (with("[run]\nallow_lossy = \"id\""), value, 13),
        (with("[run]\nallow_lossy = [1]"), value, 13),
        (with("[run]\nretry = 3"), ty, 13),
        (with("[run]\nretry = { retry_on = \"timeout\" }"), value, 13),
        (
            with("[run]\nretry = { retry_on = [\"weather\"] }"),
            value,
            13,
        ),
        (with("[run]\nverify = true"), value, 13),
        (with("[run]\nnulls = \"drop\""), value, 13),
        (with("[run]\nbatch = 5"), ty, 13),
        (top("run = 5"), ty, 2),
        (top("steps = 5"), ty, 2),
        (top("steps = [5]"), ty, 2),
        (top("plugins = []"), ty, 2),
        (top("state = \"sqlite:x\""), ty, 2),
        (SMALL.replace("\"small\"", "5"), value, 1),
        (SMALL.replace("\"small\"", "\"\""), "job::name", 1),
        (SMALL.replace("\"small\"", "\"a/b\""), "job::name", 1),
        (SMALL.replace("\"small\"", "\"..\""), "job::name", 1),
        (
            SMALL.replace("\"small\"", &format!("\"{}\"", "n".repeat(101))),
            "job::name",
            1,
        ),
        (SMALL.replace("\"file\"", "5"), value, 4),
        (
            SMALL.replace("\"file\"", "\"flie\""),
            "job::unknown_backend",
            4,
        ),
        (SMALL.replace("\"in.jsonl\"", "5"), value, 5),
        (SMALL.replace("\"in.jsonl\"", "\"\""), "file::no_path", 5),
        (SMALL.replace("\"t\"", "\"\""), "sqlite::reserved_name", 10),
        (source("key = \"id\""), value, 6),
        (source("key = [\"nope\"]"), "file::unknown_field", 5),
        (source("filter = 5"), value, 6),
        (source("filter = \"nope = 1\""), "plan::unknown_field", 6),
        (source("format = \"xml\""), value, 6),
        (source("fields = { id = \"integer\" }"), value, 6),
        (source("records = 5"), value, 6),
        (SMALL.replace("\"t\"", "\"t\"\ncreate = \"yes\""), value, 11),
        (
            SMALL.replace("\"t\"", "\"t\"\non_conflict = \"overwrite\""),
            value,
            11,
        ),
        (
            SMALL.replace("\"t\"", "\"t\"\nkey = [\"nope\"]"),
            "plan::unknown_field",
            11,
        ),
        (with("[[steps]]\nfilter = 5"), "expr::type", 13),
        (with("[[steps]]\nplugin = 5"), value, 13),
        (with("[[steps]]\nname = 5\nfilter = \"id > 1\""), value, 13),
        (with("[plugins]\nclean = \"clean.wasm\""), ty, 13),
        (
            with("[plugins.x]\ngrants = [\"network\"]"),
            "job::later",
            13,
        ),
        (with("[state]\nurl = \"mysql://x\""), value, 13),
        (with("[state]\nurl = \"sqlite:\""), value, 13),
        (with("[state]\nurl = \"postgres://x\""), value, 13),
    ] {
        refused(job, code, line);
    }
}
