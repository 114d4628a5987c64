//! Job files that cannot be: every error names the place, the word that was meant and the way out.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use dkhost_core::Class;
use dkhost_core::SourceCapabilities;
use expect_test::{Expect, expect};
use support::World;

const GOOD: &str = r#"
name = "films"
[source]
backend = "memory"
records = [{ id = 1, title = "Up", gross = 7 }]
[[steps]]
rename = { title = "name" }
[target]
backend = "memory"
name = "plans"
"#;

/// The error of `GOOD` with one text replaced, as `code at "text": label | message | help`.
fn check(before: &str, after: &str, expected: Expect) {
    assert!(GOOD.contains(before), "the replaced text is there");
    let toml = GOOD.replace(before, after);
    let error = World::new().plan(&toml).map(|_| ()).unwrap_err();
    assert_eq!(error.class(), Class::Config, "{error}");
    let place = error
        .place()
        .map(|(span, label)| format!(" at {:?}: {label}", &toml[span.clone()]))
        .unwrap_or_default();
    expected.assert_eq(&format!(
        "{}{place}\n{error}\n{}",
        error.code(),
        error.help_text().unwrap_or_default()
    ));
}

#[test]
fn the_job_that_the_others_break_is_fine() {
    let plan = World::new().plan(GOOD).unwrap().view();
    let columns: Vec<&str> = plan.stages[0]
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(columns, ["id", "name", "gross", "_rest"]);
    assert_eq!(
        (plan.delivery.as_str(), plan.verify),
        ("effectively-once", "count")
    );
}

#[test]
fn a_misspelt_key_names_the_one_that_is_meant() {
    check(
        "records =",
        "recods =",
        expect![[r#"
        job::unknown_key at "recods": did you mean `records`?
        [source] has no key `recods`
        known keys: records, name, fields, infer, backend, columns, key, filter, incremental, partitions, limit"#]],
    );
}

#[test]
fn a_misspelt_column_names_the_one_that_is_meant() {
    check(
        "{ title = \"name\" }",
        "{ tilte = \"name\" }",
        expect![[r#"
        plan::unknown_field at "tilte": not there; did you mean `title`?
        stage `1:rename` reads field `tilte`, which is not there
        the fields at this step: id, title, gross"#]],
    );
}

#[test]
fn a_misspelt_backend_or_verb_or_section_is_named() {
    check(
        "backend = \"memory\"\nrecords",
        "backend = \"memry\"\nrecords",
        expect![[r#"
        job::unknown_backend at "\"memry\"": did you mean `memory`?
        there is no backend `memry`
        this version has: memory"#]],
    );
    check(
        "rename =",
        "renmae =",
        expect![[r#"
            job::unknown_key at "renmae": did you mean `rename`?
            a step has no key `renmae`
            known keys: rename, set, apply, drop, keep, filter, plugin, validate, migrate"#]],
    );
    check(
        "[[steps]]",
        "[[step]]",
        expect![[r#"
            job::unknown_key at "step": did you mean `steps`?
            the job file has no key `step`
            known keys: name, source, steps, target, run, plugins, schemas, state"#]],
    );
}

#[test]
fn what_belongs_to_later_versions_is_refused_with_a_sentence() {
    for (before, after) in [
        (
            "name = \"plans\"",
            "name = \"plans\"\n[run]\ntwo_phase = true",
        ),
        (
            "name = \"plans\"",
            "name = \"plans\"\n[run]\ntransactional = true",
        ),
        (
            "name = \"plans\"",
            "name = \"plans\"\n[run]\nrate_limit = \"10 records/s\"",
        ),
        (
            "name = \"plans\"",
            "name = \"plans\"\n[lookups.c]\nbackend = \"file\"",
        ),
        (
            "name = \"plans\"",
            "name = \"plans\"\n[plugins.clean]\noci = \"registry/x\"",
        ),
        (
            "name = \"plans\"",
            "name = \"plans\"\n[plugins.clean]\ngrants = [\"clock\"]",
        ),
    ] {
        let error = World::new()
            .plan(&GOOD.replace(before, after))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("job::later", Class::Config),
            "{after}: {error}"
        );
        assert!(
            error.place().is_some() && error.help_text().is_some(),
            "{after}"
        );
    }
    let asked_for_nothing = GOOD.replace(
        "name = \"plans\"",
        "name = \"plans\"\n[run]\ntwo_phase = false",
    );
    assert!(World::new().plan(&asked_for_nothing).is_ok());
}

#[test]
fn wrong_types_and_absurd_numbers_are_refused_at_their_place() {
    for (line, code) in [
        ("parallel = -1", "job::wrong_value"),
        ("parallel = \"many\"", "job::wrong_value"),
        ("parallel = 99999999999999999999", "job::wrong_value"),
        ("memory = \"eight\"", "job::wrong_value"),
        ("batch = { rows = 0 }", "job::wrong_value"),
        ("batch = { row = 1 }", "job::unknown_key"),
        ("on_error = \"halt\"", "job::wrong_value"),
        (
            "on_error = { dead_letter = { max_ratio = 2.0 } }",
            "job::wrong_value",
        ),
        ("retry = { retry_on = [\"conection\"] }", "job::wrong_value"),
        ("verify = \"counts\"", "job::wrong_value"),
        ("allow_lossy = 3", "job::wrong_value"),
    ] {
        let toml = GOOD.replace(
            "name = \"plans\"",
            &format!("name = \"plans\"\n[run]\n{line}"),
        );
        let error = World::new().plan(&toml).map(|_| ()).unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            (code, Class::Config),
            "{line}: {error}"
        );
        assert!(error.place().is_some(), "{line}");
    }
}

#[test]
fn a_step_has_exactly_one_verb() {
    check(
        "rename = { title = \"name\" }",
        "rename = { title = \"name\" }\ndrop = [\"id\"]",
        expect![[r#"
        job::two_verbs at "drop": `drop` is the second one
        a step has exactly one verb
        write it under a [[steps]] line of its own"#]],
    );
    check(
        "rename = { title = \"name\" }",
        "name = \"nothing\"",
        expect![[r#"
            job::no_verb at "[[steps]]": a step needs one verb
            this step does nothing
            one of: rename, set, apply, drop, keep, filter, plugin, validate, migrate"#]],
    );
}

#[test]
fn a_plugin_that_was_not_given_names_the_flag() {
    check(
        "rename = { title = \"name\" }",
        "plugin = \"clean\"",
        expect![[r#"
        plan::unknown_plugin at "\"clean\"": no component has this name
        a step names the plugin `clean`, which was not given
        add `--plugin clean=PATH.wasm`, or write [plugins.clean] path = "PATH.wasm""#]],
    );
}

#[test]
fn a_jobs_name_is_a_plain_word() {
    for name in ["", "../x", "a b", ".hidden", "a/b"] {
        let toml = GOOD.replace("\"films\"", &format!("{name:?}"));
        assert_eq!(
            World::new().plan(&toml).map(|_| ()).unwrap_err().code(),
            "job::name",
            "{name:?}"
        );
    }
}

#[test]
fn set_overrides_any_key() {
    let world = World::new();
    let job = dkhost_engine::Job::parse(
        &world.folder.path().join("job.toml"),
        GOOD.to_owned(),
        &|_| None,
        &[
            "run.parallel=7".into(),
            "target.on_conflict=replace-all".into(),
        ],
    )
    .unwrap();
    assert_eq!(job.run.parallel, 7);
    assert_eq!(job.target.conflict.0.word(), "replace-all");
}

#[test]
fn an_incremental_read_that_cannot_come_out_right_is_refused() {
    let incremental = "incremental = { column = \"id\" }\nrecords =";
    check(
        "records =",
        incremental,
        expect![[r#"
        plan::incremental_conflict at "{ column = \"id\" }": reads only what changed
        `incremental` does not go with this target: records at the cursor are read again, and on_conflict = "insert" takes none twice
        use on_conflict = "upsert", or "skip" where records never change, with a key"#]],
    );
    let replaced = GOOD.replace(
        "name = \"plans\"",
        "name = \"plans\"\non_conflict = \"replace-all\"",
    );
    let error = World::new()
        .plan(&replaced.replace("records =", incremental))
        .map(|_| ())
        .unwrap_err();
    expect![[r#"`incremental` does not go with this target: on_conflict = "replace-all" would leave only what changed in the target"#]].assert_eq(&error.to_string());
    let upsert = "name = \"plans\"\non_conflict = \"upsert\"\nkey = [\"id\"]";
    let upsert = GOOD.replace("name = \"plans\"", upsert);
    let with = |more: &str| {
        World::new()
            .plan(&upsert.replace("records =", &format!("{more}\nrecords =")))
            .map(|_| ())
    };
    with("incremental = { column = \"id\", lookback = 10 }").unwrap();
    let unknown = with("incremental = { column = \"ids\" }").unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.place().unwrap().1),
        ("plan::unknown_field", "did you mean `id`?")
    );
    for lookback in ["\"10 furlongs\"", "\"-1d\"", "-1", "true", "\"\""] {
        let error = with(&format!(
            "incremental = {{ column = \"id\", lookback = {lookback} }}"
        ))
        .unwrap_err();
        assert_eq!(error.code(), "job::wrong_value", "{lookback}");
    }
    let time = with("incremental = { column = \"id\", lookback = \"10m\" }").unwrap_err();
    expect![[r#"
        a lookback of `10m` says nothing about `id`, which is int64
        write it as a number: lookback = 1000"#]]
    .assert_eq(&format!("{time}\n{}", time.help_text().unwrap()));
    let flag = "incremental = { column = \"flag\" }\nfields = { flag = \"boolean\" }";
    expect!["`flag` is boolean, and of such values none is the last"]
        .assert_eq(&with(flag).unwrap_err().to_string());
    let world = World::new();
    *world.faults.can.lock().unwrap() = Some(SourceCapabilities::default());
    let error = world
        .plan(&upsert.replace("records =", incremental))
        .map(|_| ())
        .unwrap_err();
    expect![[r#"
        a memory source cannot tell what changed since the last run
        leave it out: every run then reads all, and on_conflict = "upsert" or "skip" takes the records a second time"#]].assert_eq(&format!("{error}\n{}", error.help_text().unwrap()));
}

#[test]
fn slices_by_values_that_cannot_be_are_refused() {
    check(
        "records =",
        "partitions = { by = \"ids\", values = [1] }\nrecords =",
        expect![[r#"
            plan::unknown_field at "\"ids\"": did you mean `id`?
            `partitions` names the column `ids`, which is not there
            the columns are: id, title, gross, _rest"#]],
    );
    check(
        "records =",
        "partitions = { by = \"id\", values = [1, 2, 1] }\nrecords =",
        expect![[r#"
            job::wrong_value at "1": named before
            `values` has 1 twice
            `dkhost backends` and `dkhost job schema` say what every key takes"#]],
    );
    check(
        "records =",
        "partitions = { by = \"id\", values = [] }\nrecords =",
        expect![[r#"
            job::wrong_value at "[]": this is a list
            `values` must be a list of 1 to 10000 values
            `dkhost backends` and `dkhost job schema` say what every key takes"#]],
    );
    check(
        "records =",
        "partitions = { by = \"id\", values = [{}] }\nrecords =",
        expect![[r#"
            job::wrong_value at "{}": this is a table
            `values` must be a list of texts, numbers, true or false
            `dkhost backends` and `dkhost job schema` say what every key takes"#]],
    );
    check(
        "records =",
        "partitions = { by = \"id\", value = [1] }\nrecords =",
        expect![[r#"
            job::unknown_key at "value": did you mean `values`?
            `partitions` has no key `value`
            known keys: by, values"#]],
    );
    let world = World::new();
    *world.faults.can.lock().unwrap() = Some(SourceCapabilities::default());
    let toml = GOOD.replace(
        "records =",
        "partitions = { by = \"id\", values = [1] }\nrecords =",
    );
    let error = world.plan(&toml).map(|_| ()).unwrap_err();
    expect![[r#"
        a memory source cannot be sliced by the values of a column
        a number or "auto" works with every source"#]]
    .assert_eq(&format!("{error}\n{}", error.help_text().unwrap()));
}
