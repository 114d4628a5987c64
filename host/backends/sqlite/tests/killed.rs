//! A process killed at any moment leaves exactly its committed batches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dkhost_core::Conflict;
use serde_json::json;
use support::{Folder, Run, rows, schema};

/// Set in the process that is to be killed: the folder to write to.
const CHILD: &str = "DKHOST_SQLITE_TEST_FOLDER";
const ROWS: usize = 5;

/// Commits batches of five numbered rows until somebody ends it, or until `limit`.
fn write_until(folder: &Folder, limit: u64) -> u64 {
    let schema = schema(&["!id int64", "v utf8"]);
    let mut run = Run::start(
        folder
            .sink(json!({"table": "t"}), &schema, Conflict::Insert)
            .unwrap(),
        1,
    );
    let resumed_at = run.checkpoint.seq;
    while run.checkpoint.seq < limit {
        let first = run.checkpoint.seq as usize * ROWS;
        let ids: Vec<String> = (first..first + ROWS).map(|id| id.to_string()).collect();
        let cells: Vec<[Option<&str>; 2]> = ids
            .iter()
            .map(|id| [Some(id.as_str()), Some("some text")])
            .collect();
        let cells: Vec<&[Option<&str>]> = cells.iter().map(|cells| &cells[..]).collect();
        let report = run.write(&rows(&schema, &cells));
        assert!(report.rejects.is_empty(), "{:?}", report.rejects);
        run.commit();
    }
    if limit < u64::MAX {
        run.finish();
    }
    resumed_at
}

#[test]
fn a_commit_outlives_kill_9_and_the_run_goes_on_after_it() {
    if let Ok(folder) = std::env::var(CHILD) {
        // In a folder of its own, which is the only one the parent finds there.
        let folder = Folder(tempfile::tempdir_in(folder).unwrap());
        write_until(&folder, u64::MAX);
        return;
    }
    for wait in [0, 3, 40] {
        let outer = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_commit_outlives_kill_9_and_the_run_goes_on_after_it",
            ])
            .env(CHILD, outer.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let database = wait_for_rows(outer.path());
        std::thread::sleep(Duration::from_millis(wait));
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();

        let folder = Folder::empty();
        for name in std::fs::read_dir(database.parent().unwrap()).unwrap() {
            let name = name.unwrap();
            std::fs::copy(name.path(), folder.path().join(name.file_name())).unwrap();
        }
        // Looked at before anybody who may write has tidied up: the plan of the next run does so.
        let sink = folder.sink(
            json!({"table": "t"}),
            &schema(&["!id int64", "v utf8"]),
            Conflict::Insert,
        );
        let state = sink.unwrap().inspect("job").unwrap().unwrap();
        assert!(state.run == "run 1" && !state.published && state.checkpoints.len() == 1);
        let held: usize = folder.dump("SELECT count(*) FROM t")[0].parse().unwrap();
        let resumed_at = write_until(&folder, held as u64 / ROWS as u64 + 3);
        assert_eq!(
            held,
            resumed_at as usize * ROWS,
            "rows and checkpoint belong together"
        );
        assert!(resumed_at > 0);
        let after = folder.dump("SELECT count(*), count(DISTINCT id), max(id) FROM t");
        let rows = held + 3 * ROWS;
        assert_eq!(after, [format!("{rows} | {rows} | {}", rows - 1)]);
    }
}

/// Waits until another process has committed rows to the database in the folder in `outer`.
fn wait_for_rows(outer: &Path) -> std::path::PathBuf {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        let inner = std::fs::read_dir(outer).unwrap().flatten().next();
        if let Some(database) = inner
            .map(|inner| inner.path().join("a.db"))
            .filter(|path| path.exists())
        {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let rows = rusqlite::Connection::open_with_flags(&database, flags).and_then(|db| {
                db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
            });
            if rows.is_ok_and(|rows| rows > 0) {
                return database;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("the other process wrote nothing");
}
