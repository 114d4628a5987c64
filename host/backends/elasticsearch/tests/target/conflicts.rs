//! Records that meet others, in the batch and in the index, before and after a kill.

use dkhost_core::{Conflict, Sink};
use dkhost_drive::{Run, fates, rows, schema, whys};
use serde_json::json;

use crate::support::{Index, on_both};

const OLD: &str = "old";

fn cells(ids: &[&'static str], name: &'static str) -> Vec<Vec<Option<&'static str>>> {
    ids.iter().map(|id| vec![Some(*id), Some(name)]).collect()
}

fn batch(ids: &[&'static str], name: &'static str) -> arrow::array::RecordBatch {
    let cells = cells(ids, name);
    let cells: Vec<&[Option<&str>]> = cells.iter().map(Vec::as_slice).collect();
    rows(&schema(&["!id int64", "name utf8"]), &cells)
}

fn open(index: &Index, mode: Conflict) -> Box<dyn Sink> {
    index.open(&schema(&["!id int64", "name utf8"]), mode)
}

#[test]
fn a_batch_of_a_killed_process_meets_what_was_there_before_it_and_not_itself() {
    on_both(|index| {
        index.create(json!({"properties": {"id": {"type": "long"}, "name": {"type": "keyword"}}}));
        // Equal to what is written: there before all the same.
        index.put("1", &json!({"id": 1, "name": "new"}));
        index.put("2", &json!({"id": 2, "name": OLD}));
        for (number, mode, expected) in [
            (1, Conflict::Insert, "xxww"),
            (2, Conflict::Skip, "uuww"),
            (3, Conflict::Upsert, "uwww"),
        ] {
            let mut run = Run::start(open(&index, mode), number);
            let first = run.write(&batch(&["1", "2", "3", "4"], "new"));
            assert_eq!(fates(&first, 4), expected, "{mode:?}");
            let epoch = run.checkpoint.epoch;
            drop(run);
            let mut run = Run::over(open(&index, mode), number, epoch);
            let again = run.write(&batch(&["1", "2", "3", "4"], "new"));
            assert_eq!(
                fates(&again, 4),
                expected,
                "{mode:?}, after the kill: {:?}",
                whys(&again)
            );
            assert_eq!(
                (again.replaced, again.replaced_rows),
                (first.replaced, first.replaced_rows)
            );
            run.writer.roll_back().unwrap();
            run.commit();
            run.finish();
            let names: Vec<_> = index
                .found()
                .into_iter()
                .map(|(id, document)| (id, document["name"].clone()))
                .collect();
            assert_eq!(
                names,
                [("1".to_owned(), json!("new")), ("2".to_owned(), json!(OLD))],
                "{mode:?}"
            );
        }
    });
}

#[test]
fn a_newer_version_of_a_document_stays() {
    on_both(|index| {
        let schema = schema(&["!id int64", "v int64", "name utf8"]);
        let versioned = || {
            index
                .try_open(&schema, Conflict::Upsert, json!({"version": "v"}))
                .unwrap()
        };
        let mut run = Run::start(versioned(), 1);
        let row = |id, v, name| -> [Option<&'static str>; 3] { [Some(id), Some(v), Some(name)] };
        let report = run.write(&rows(
            &schema,
            &[
                &row("1", "5", "a"),
                &row("2", "7", "b"),
                &row("1", "4", "older"),
            ],
        ));
        assert_eq!(fates(&report, 3), "wwd");
        run.commit();
        let report = run.write(&rows(
            &schema,
            &[
                &row("1", "4", "late"),
                &row("2", "8", "newer"),
                &[Some("3"), None, None],
            ],
        ));
        assert_eq!(fates(&report, 3), "uwx", "{:?}", whys(&report));
        run.commit();
        run.finish();
        let names: Vec<_> = index
            .found()
            .into_iter()
            .map(|(_, document)| document["name"].clone())
            .collect();
        assert_eq!(names, [json!("a"), json!("newer")]);
    });
}

#[test]
fn a_paused_process_can_neither_write_nor_commit_nor_undo() {
    on_both(|index| {
        let mut paused = Run::start(open(&index, Conflict::Upsert), 1);
        paused.write(&batch(&["1"], "paused"));
        let mut taker = Run::over(open(&index, Conflict::Upsert), 1, paused.checkpoint.epoch);
        taker.write(&batch(&["1"], "taker"));
        taker.commit();
        assert_eq!(paused.try_commit().unwrap_err().code(), "run::fenced");
        let late = paused
            .try_write(&batch(&["2"], "late"))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(late.code(), "run::fenced", "{}", late.chain());
        paused.writer.roll_back().unwrap();
        assert!(paused.sink.publish().is_err());
        taker.finish();
        let names: Vec<_> = index
            .found()
            .into_iter()
            .map(|(_, document)| document["name"].clone())
            .collect();
        assert_eq!(names, [json!("taker")]);
    });
}

#[test]
fn a_document_without_a_value_that_the_records_must_have_is_replaced() {
    on_both(|index| {
        index.create(json!({"dynamic": false}));
        index.put("1", &json!({"id": 1}));
        index.put("2", &json!({"id": 2, "seen": "yes"}));
        let mut schema = schema(&["!id int64", "seen utf8"]);
        schema.fields[1].nullable = false;
        let mut run = Run::start(index.open(&schema, Conflict::Upsert), 1);
        let some = rows(
            &schema,
            &[&[Some("1"), Some("yes")], &[Some("2"), Some("yes")]],
        );
        assert_eq!(fates(&run.write(&some), 2), "wu");
        run.commit();
        run.finish();
        let now = |id: i64| (id.to_string(), json!({"id": id, "seen": "yes"}));
        assert_eq!(index.found(), [now(1), now(2)]);
    });
}
