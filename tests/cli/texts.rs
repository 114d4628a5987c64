//! Texts that are no job, or one with variables and overrides that cannot be: refused with exit 2, a
//! place in the file and something to type next, whatever their size and depth.

use expect_test::expect;

use crate::jobs::{RECORDS, refused, with};
use crate::world::{SMALL, World, answer, check};

#[test]
fn texts_that_are_no_job() {
    let many = "a.".repeat(100_000);
    let y = "y".repeat(3 << 20);
    for (job, code, line) in [
        (b"\xff\xfe".to_vec(), "job::not_utf8", 1),
        (
            [SMALL.as_bytes(), b"# caf\xe9\n"].concat(),
            "job::not_utf8",
            11,
        ),
        (with("x = \"\0\"").into(), "job::syntax", 12),
        (
            with(&format!(
                "x = {}{}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            ))
            .into(),
            "job::too_deep",
            12,
        ),
        (
            with(&format!("x = {}", "[".repeat(100_000))).into(),
            "job::too_deep",
            12,
        ),
        (
            with(&format!(
                "x = {}1{}",
                "{a=".repeat(50_000),
                "}".repeat(50_000)
            ))
            .into(),
            "job::too_deep",
            12,
        ),
        (
            with(&format!("[x]\n{many}a = 1")).into(),
            "job::too_deep",
            13,
        ),
        (with(&format!("[{many}a]")).into(), "job::too_deep", 12),
        (
            with(&format!("[[{many}a]]\nx = 1")).into(),
            "job::too_deep",
            12,
        ),
        (with("[run]\nparallel = 1 2").into(), "job::syntax", 13),
        (with("[run").into(), "job::syntax", 12),
        (with("x = \"never closed").into(), "job::syntax", 12),
        (with("x = '''never closed").into(), "job::syntax", 13),
        (with(&format!("x = \"{y}\"")).into(), "job::unknown_key", 12),
        (
            with(&format!("[run]\nverify = \"{y}\"")).into(),
            "job::wrong_value",
            13,
        ),
        (
            with(&format!("[run]\n{y} = 1")).into(),
            "job::unknown_key",
            13,
        ),
        (
            SMALL.replace("\"small\"", &format!("\"{y}\"")).into(),
            "job::name",
            1,
        ),
        (
            SMALL.replace("\"in.jsonl\"", &format!("\"{y}\"")).into(),
            "file::not_found",
            5,
        ),
    ] {
        refused(job, code, line);
    }
}

#[test]
fn expressions_without_end() {
    for expression in [
        format!("{}id{} > 0", "(".repeat(100_000), ")".repeat(100_000)),
        format!("id{} > 0", " + 1".repeat(100_000)),
        format!("{}true", "not ".repeat(100_000)),
        format!("{}id > 0", "- ".repeat(100_000)),
        format!("id in ({})", "(select ".repeat(10_000)),
        format!("{}id > 0", "case when id > 0 then ".repeat(10_000)),
        format!("{}id{} > 0", "abs(".repeat(10_000), ")".repeat(10_000)),
    ] {
        let world = World::with_job(&with(&format!("[[steps]]\nfilter = \"{expression}\"")));
        world.write("in.jsonl", RECORDS);
        let answer = world.run(&["plan", "job.toml"]);
        assert_eq!(
            answer.code,
            2,
            "{}",
            answer.err.chars().take(500).collect::<String>()
        );
        assert!(answer.err.starts_with("error[expr::"), "{}", answer.err);
        assert!(
            answer.err.contains("[job.toml:13:") && answer.err.contains("\n  help: "),
            "{}",
            answer.err
        );
        assert!(
            answer.err.len() < 4_000,
            "{} bytes of error",
            answer.err.len()
        );
    }
}

#[test]
fn a_job_of_ten_megabytes_is_refused_unread() {
    let world = World::with_job(&with(&"# a comment\n".repeat(1_000_000)));
    check(
        &world.expect(2, &["plan", "job.toml"]).err,
        expect![[r#"
        error[job::too_large]: the job file has 12000127 bytes
          help: a job file may have 4 MiB; is this the data rather than the job?
    "#]],
    );
}

#[test]
fn a_byte_order_mark_and_windows_lines_are_fine() {
    let world = World::with_job(&format!("\u{feff}{}", SMALL.replace('\n', "\r\n")));
    world.write("in.jsonl", RECORDS);
    world.expect(0, &["plan", "job.toml"]);
    let broken = with("[run]\nparallel = \"two\"").replace('\n', "\r\n");
    world.write("job.toml", format!("\u{feff}{broken}"));
    check(
        &world.expect(2, &["plan", "job.toml"]).err,
        expect![[r#"
        error[job::wrong_value]: `parallel` must be a whole number from 1 to 256
            ╭─[job.toml:13:12]
         13 │ parallel = "two"
            ·            ──┬──
            ·              ╰── this is text
          help: `dkhost backends` and `dkhost job schema` say what every key takes
    "#]],
    );
}

#[test]
fn bytes_that_are_not_utf8() {
    let world = World::with_job("");
    world.write(
        "job.toml",
        [SMALL.as_bytes(), b"# caf\xe9 au lait\n"].concat(),
    );
    check(
        &world.expect(2, &["plan", "job.toml"]).err,
        expect![[r#"
        error[job::not_utf8]: the job file `job.toml` is not UTF-8 (byte 130)
            ╭─[job.toml:11:6]
         11 │ # caf� au lait
            ·      ┬
            ·      ╰── not UTF-8 from here on
          help: save it as UTF-8; or is this the data rather than the job?
    "#]],
    );
}

#[test]
fn variables_that_cannot_be() {
    let world = World::with_job(&SMALL.replace("in.jsonl", "${DKHOST_TEST_SELF}.jsonl"));
    world.write("${DKHOST_TEST_SELF}.jsonl", RECORDS);
    let planned = world
        .command(&["plan", "job.toml"])
        .env("DKHOST_TEST_SELF", "${DKHOST_TEST_SELF}")
        .output();
    assert_eq!(
        answer(planned.unwrap()).code,
        0,
        "a variable that names itself is filled in once"
    );
    for (text, code) in [
        ("${}", "job::variable"),
        ("${A=B}", "job::variable"),
        ("${${DKHOST_TEST_UNSET}}", "job::variable"),
        ("${DKHOST_TEST_UNSET", "job::variable"),
        ("${DKHOST_TEST_UNSET}", "job::unset_variable"),
        ("${ DKHOST_TEST_UNSET }", "job::unset_variable"),
        ("${\\u0000}", "job::variable"),
    ] {
        refused(SMALL.replace("in.jsonl", text), code, 5);
    }
}

#[test]
fn overrides_that_cannot_be() {
    let world = World::with_job(&with("[run]\nparallel = 2"));
    world.write("in.jsonl", RECORDS);
    let deep = format!("{}x=1", "a.".repeat(50_000));
    for (set, code) in [
        ("", "job::set"),
        ("=", "job::set"),
        ("=1", "job::set"),
        ("run", "job::set"),
        ("run.=1", "job::set"),
        (".parallel=1", "job::set"),
        ("run..parallel=1", "job::set"),
        ("name.first=x", "job::set"),
        ("run=5", "job::wrong_type"),
        ("run.parallel=", "job::wrong_value"),
        ("run.parallel=0", "job::wrong_value"),
        ("run.parallel=two", "job::wrong_value"),
        ("run.parallel=1e400", "job::wrong_value"),
        ("run.parallel=99999999999999999999", "job::wrong_value"),
        (
            "target={ backend = \"sqlite\", paht = \"x\" }",
            "job::unknown_key",
        ),
        ("steps=[{ filter = 5 }]", "expr::type"),
        ("name=../x", "job::name"),
        (&deep, "job::set"),
    ] {
        let answer = world.expect(2, &["plan", "job.toml", "--set", set]);
        assert!(
            answer.err.starts_with(&format!("error[{code}]: ")),
            "{set}: {}",
            answer.err
        );
        assert!(answer.err.contains("\n  help: "), "{set}: {}", answer.err);
        assert!(
            !answer.err.contains("[job.toml:"),
            "points at what --set replaced: {}",
            answer.err
        );
        assert!(
            answer.err.len() < 4_000,
            "{} bytes of error",
            answer.err.len()
        );
    }
    check(
        &world
            .expect(2, &["plan", "job.toml", "--set", "run.parallel=two"])
            .err,
        expect![[r#"
            error[job::wrong_value]: `parallel` must be a whole number from 1 to 256; this is text
              help: `dkhost backends` and `dkhost job schema` say what every key takes
        "#]],
    );
}
