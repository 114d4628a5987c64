//! Text from outside never reaches the terminal as anything but text.
//!
//! One hostile text in every place a text can come from; whatever the program then says, on either
//! stream, holds no character a terminal obeys or hides, and no line of its own making.

use serde_json::{Value, json};

use crate::world::{Answer, SMALL, World};

/// Moves the cursor, sets the title, the clipboard and a link, turns the direction of reading
/// around, hides letters, and ends the line to begin one of ours.
pub const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;eA==\x07\x1b]8;;http:x\x1b\\\u{9b}31m\u{202e}\u{2066}\u{200b}\u{ad}\u{e0041}\r\nFORGED";

/// The same for the name of a file.
fn file_name() -> String {
    HOSTILE.replace('/', "")
}

/// Whether a terminal obeys or hides the character: not the product's own list, but Unicode's.
fn is_obeyed(c: char) -> bool {
    let ignorable = regex::Regex::new(
        r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}--[\n\u{200c}\u{200d}\u{fe0f}]]",
    );
    static IGNORABLE: std::sync::OnceLock<regex::Regex> = std::sync::OnceLock::new();
    IGNORABLE
        .get_or_init(|| ignorable.unwrap())
        .is_match(c.encode_utf8(&mut [0; 4]))
}

/// Nothing a terminal obeys or hides, and no line that was forged.
pub fn harmless(answer: &Answer) {
    for text in [&answer.out, &answer.err] {
        assert!(!text.contains(is_obeyed), "{text:?}");
        let forged = text
            .lines()
            .find(|line| line.trim_start().starts_with("FORGED"));
        assert_eq!(forged, None, "{text}");
    }
}

/// A command that must end with `code` and say nothing a terminal obeys.
pub fn told(world: &World, code: i32, arguments: &[&str]) -> Answer {
    let answer = world.expect(code, arguments);
    harmless(&answer);
    answer
}

fn quoted(text: &str) -> String {
    // A TOML basic string escapes what JSON does, and DEL; the C1 range may stand as it is.
    json!(text).to_string().replace('\x7f', "\\u007f")
}

fn world() -> World {
    let step = "[[steps]]\napply = { age = { type_cast = { to = \"int64\" } } }\n[run]\non_error = \"dead-letter\"\n";
    let world = World::with_job(&format!("{SMALL}\n{step}"));
    let record = |id: u32, age: &str| json!({ "id": id, "age": age, HOSTILE: HOSTILE }).to_string();
    let lines = [
        record(1, "1"),
        record(2, HOSTILE),
        format!("{{\"id\": {}", HOSTILE.replace('\n', "")),
    ];
    world.write("in.jsonl", lines.join("\n"));
    world
}

#[test]
fn hostile_data_is_shown_as_text_everywhere() {
    let world = world();
    for (code, command) in [
        (0, &["plan", "job.toml"][..]),
        (0, &["plan", "job.toml", "--json"]),
        (0, &["preview", "job.toml"]),
        (0, &["preview", "job.toml", "--json"]),
        (4, &["validate", "job.toml"]),
        (4, &["validate", "job.toml", "--json"]),
        (4, &["run", "job.toml", "--set", "run.on_error=stop"]),
        (3, &["run", "job.toml", "--accept-plan-change"]),
        (0, &["history", "job.toml"]),
        (0, &["history", "small"]),
        (0, &["history", "small", "--json"]),
        (0, &["errors", "list"]),
        (0, &["errors", "list", "--json"]),
        (0, &["errors", "show", "1"]),
        (0, &["errors", "show", "2"]),
        (0, &["errors", "show", "2", "--json"]),
        (0, &["errors", "export", "-"]),
    ] {
        let answer = told(&world, code, command);
        if command.contains(&"--json") {
            answer.objects();
        }
    }
}

#[test]
fn hostile_data_in_separated_values_is_shown_as_text() {
    let world = World::with_job(&format!(
        "{}\n[run]\non_error = \"dead-letter\"\n",
        SMALL.replace("in.jsonl", "in.csv")
    ));
    let cell = HOSTILE.replace('\r', "");
    world.write(
        "in.csv",
        format!("id,\"{cell}\"\n1,\"{cell}\"\n2,x,{cell}\n3,\"{cell}\n"),
    );
    for (code, command) in [
        (0, &["plan", "job.toml"][..]),
        (0, &["preview", "job.toml"]),
        (4, &["validate", "job.toml"]),
        (3, &["run", "job.toml"]),
        (0, &["errors", "list"]),
        (0, &["errors", "show", "1"]),
    ] {
        told(&world, code, command);
    }
}

#[test]
fn hostile_names_of_files_are_shown_as_text() {
    let name = file_name();
    let job = |source: &str, target: &str| {
        format!(
            "name = \"files\"\n[source]\nbackend = \"file\"\npath = {}\n[target]\nbackend = \"file\"\npath = {}\n[run]\non_error = \"dead-letter\"\nprogress_interval = \"1ms\"\n",
            quoted(source),
            quoted(target)
        )
    };
    let world = World::new();
    world.write(&format!("{name}/{name}1.jsonl"), "{\"id\":1}\n{bad\n");
    world.write(&format!("{name}/{name}2.jsonl"), "{\"id\":2}\n");
    world.write(&format!("{name}.toml"), job(&name, &format!("{name}.csv")));
    world.write("job.toml", job(&name, "out.jsonl"));
    world.write("gone.toml", job(&format!("{name}.jsonl"), "out2.jsonl"));
    world.write(
        "odd.toml",
        job(&format!("{name}/{name}1.jsonl"), &format!("{name}.{name}")),
    );
    world.write(
        "nowhere.toml",
        job(&name, &format!("{name}/no/{name}.jsonl")),
    );
    world.write("glob.toml", job("*/*3.jsonl", &name));
    for (code, command) in [
        (0, &["plan", &format!("{name}.toml")][..]),
        (0, &["plan", &format!("{name}.toml"), "--json"]),
        (3, &["run", &format!("{name}.toml")]),
        (2, &["run", &format!("{name}.toml")]),
        (0, &["errors", "list", &format!("{name}.toml")]),
        (0, &["errors", "show", "1"]),
        (0, &["history", &format!("{name}.toml")]),
        (0, &["history", "files"]),
        (
            0,
            &[
                "preview",
                &format!("{name}.toml"),
                "--set",
                "target.path=new.csv",
            ],
        ),
        (2, &["plan", "gone.toml"]),
        (2, &["plan", "odd.toml"]),
        (2, &["plan", "glob.toml"]),
        (3, &["run", "job.toml", "--json"]),
        (0, &["doctor", &format!("{name}.toml")]),
    ] {
        told(&world, code, command);
    }
    harmless(&world.run(&["run", "nowhere.toml"]));
    harmless(&world.run(&["errors", "retry", &format!("{name}.toml")]));
    harmless(&world.run(&["errors", "export", &format!("{name}/no/{name}"), "files"]));
}

#[test]
fn hostile_names_in_databases_are_shown_as_text() {
    let world = World::new();
    let db = rusqlite::Connection::open(world.path("in.db")).unwrap();
    let name = format!("\"{HOSTILE}\"");
    db.execute_batch(&format!(
        "create table {name} (id integer primary key, {name} text, {name}); insert into {name} values (1, 'x', 2)",
    ))
    .unwrap_err();
    db.execute_batch(&format!(
        "create table {name} (id integer primary key, {name} text); insert into {name} values (1, 'x'), (2, x'ff')",
    ))
    .unwrap();
    drop(db);
    let job = |source: &str, target: &str| {
        format!(
            "name = \"tables\"\n[source]\nbackend = \"sqlite\"\npath = \"in.db\"\n{source}\n[target]\nbackend = \"sqlite\"\npath = \"out.db\"\n{target}\n[run]\non_error = \"dead-letter\"\n",
        )
    };
    let name = quoted(HOSTILE);
    world.write(
        "job.toml",
        job(&format!("table = {name}"), &format!("table = {name}")),
    );
    world.write(
        "gone.toml",
        job(
            &format!("table = {}", quoted(&format!("{HOSTILE}2"))),
            "table = \"t\"",
        ),
    );
    world.write(
        "query.toml",
        job(
            &format!(
                "query = {}",
                quoted(&format!("select * from \"{HOSTILE}2\""))
            ),
            "table = \"t\"",
        ),
    );
    world.write(
        "syntax.toml",
        job(&format!("query = {name}"), "table = \"t\""),
    );
    for (code, command) in [
        (0, &["plan", "job.toml"][..]),
        (0, &["plan", "job.toml", "--json"]),
        (0, &["preview", "job.toml"]),
        (0, &["run", "job.toml"]),
        (0, &["history", "tables"]),
        (2, &["plan", "gone.toml"]),
        (2, &["plan", "query.toml"]),
        (2, &["plan", "syntax.toml"]),
    ] {
        told(&world, code, command);
    }
}

#[test]
fn hostile_texts_of_a_job_are_shown_as_text() {
    let bad = quoted(HOSTILE);
    let world = World::new();
    world.write("in.jsonl", json!({ "id": 1, HOSTILE: 1 }).to_string());
    for addition in [
        format!("[run]\n{bad} = 1"),
        format!("[{bad}]\nx = 1"),
        format!("[run]\nverify = {bad}"),
        format!("[run]\nmemory = {bad}"),
        format!("[run]\nallow_lossy = [{}]", quoted(&format!("{HOSTILE}2"))),
        format!("[run]\nretry = {{ retry_on = [{bad}] }}"),
        format!("[[steps]]\n{bad} = 1"),
        format!("[[steps]]\nname = {bad}\nfilter = {bad}"),
        format!("[[steps]]\nname = {bad}\nrename = {{ nope = \"x\" }}"),
        format!("[[steps]]\nrename = {{ {bad} = \"id\" }}"),
        format!("[[steps]]\nkeep = [{}]", quoted(&format!("{HOSTILE}2"))),
        "[[steps]]\ndrop = [\"x\"]".to_owned(),
        format!(
            "[[steps]]\nset = {{ x = {} }}",
            quoted(&format!("\"{HOSTILE}2\""))
        ),
        format!(
            "[[steps]]\nset = {{ x = {} }}",
            quoted(&format!("'{HOSTILE}"))
        ),
        format!("[[steps]]\napply = {{ id = {bad} }}"),
        format!(
            "[[steps]]\napply = {{ id = {{ regex_replace = {{ pattern = {}, with = \"\" }} }} }}",
            quoted(&format!("({HOSTILE}"))
        ),
        format!(
            "[[steps]]\napply = {{ {bad} = \"trim\", id = {{ type_cast = {{ to = {bad} }} }} }}"
        ),
        format!("[[steps]]\nplugin = {bad}"),
        format!("[[steps]]\nplugin = {bad}\n[plugins.{bad}]\npath = {bad}"),
        format!("[[steps]]\nplugin = {bad}\n[plugins.{bad}]\npath = \"in.jsonl\""),
        format!("[plugins.{bad}]\n{bad} = 1"),
        format!("[plugins.x]\ngrants = [{bad}]"),
        format!("[state]\nurl = {bad}"),
        format!("x = \"{}\"", HOSTILE.replace(['\r', '\n'], "")),
        format!("# {}", HOSTILE.replace('\n', "")),
    ] {
        world.write("job.toml", format!("{SMALL}\n{addition}\n"));
        let answer = world.run(&["plan", "job.toml"]);
        assert!(
            [2, 6].contains(&answer.code),
            "{addition}: {}\n{}{}",
            answer.code,
            answer.out,
            answer.err
        );
        harmless(&answer);
        harmless(&world.run(&["plan", "job.toml", "--json"]));
    }
    for (key, value) in [
        ("name", "small"),
        ("backend", "file"),
        ("path", "in.jsonl"),
        ("table", "t"),
    ] {
        let before = format!("\"{value}\"");
        world.write("job.toml", SMALL.replacen(&before, &bad, 1));
        let answer = world.run(&["plan", "job.toml"]);
        assert!(answer.code == 2 || key == "table", "{key}: {}", answer.err);
        harmless(&answer);
    }
}

#[test]
fn hostile_arguments_and_variables_are_shown_as_text() {
    let world = World::with_job(&SMALL.replace("in.jsonl", "${HOSTILE}"));
    let answer = world
        .command(&["plan", "job.toml"])
        .env("HOSTILE", HOSTILE)
        .output()
        .unwrap();
    harmless(&crate::world::answer(answer));
    world.write("job.toml", SMALL);
    world.write("in.jsonl", "{\"id\":1}\n");
    world.expect(0, &["run", "job.toml"]);
    let set = format!("run.{HOSTILE}=1");
    let valued = format!("run.verify={HOSTILE}");
    let state = format!("sqlite:{HOSTILE}");
    let plugin = format!("{HOSTILE}=gone.wasm");
    for command in [
        &["plan", HOSTILE][..],
        &["plan", &format!("{HOSTILE}.toml")],
        &["run", "job.toml", HOSTILE],
        &["run", "job.toml", &format!("--{HOSTILE}")],
        &["run", "job.toml", "--color", HOSTILE],
        &["preview", "job.toml", "-n", HOSTILE],
        &["plan", "job.toml", "--set", HOSTILE],
        &["plan", "job.toml", "--set", &set],
        &["plan", "job.toml", "--set", &valued],
        &["plan", "job.toml", "--plugin", HOSTILE],
        &["plan", "job.toml", "--plugin", &plugin],
        &["plan", "job.toml", "--plugin", &format!("{HOSTILE}=")],
        &["backends", HOSTILE],
        &["completions", HOSTILE],
        &["doctor", HOSTILE],
        &["history", HOSTILE],
        &["history", "--state", HOSTILE],
        &["history", "--state", &state],
        &["errors", "list", HOSTILE],
        &["errors", HOSTILE],
        &["errors", "show", HOSTILE],
        &["errors", "show", "1", HOSTILE],
        &["errors", "retry", HOSTILE],
        &["errors", "export", HOSTILE, HOSTILE],
        &["job", "check", HOSTILE],
        &["job", HOSTILE],
        &["plugin", "inspect", HOSTILE],
        &["plugin", "test", HOSTILE],
        &["plugin", "build", HOSTILE],
        &["plugin", "new", HOSTILE],
        &[HOSTILE],
        &["help", HOSTILE],
        &[&format!("-{HOSTILE}")],
    ] {
        let answer = world.run(command);
        assert_ne!(answer.code, 101, "{command:?} {}", answer.err);
        harmless(&answer);
        let mut json = command.to_vec();
        json.push("--json");
        harmless(&world.run(&json));
    }
}

/// Whoever can write the history can write anything into it.
#[test]
fn a_history_somebody_wrote_into_is_shown_as_text() {
    let world = world();
    world.expect(3, &["run", "job.toml"]);
    let state = world.path(".dkhost/state.db");
    let genuine = std::fs::read(&state).unwrap();
    let texts = {
        let db = rusqlite::Connection::open(&state).unwrap();
        let sql = "select t.name, c.name from sqlite_schema t, pragma_table_info(t.name) c
                   where t.type = 'table' and c.type = 'TEXT' and t.name in ('run', 'remark', 'checkpoint', 'plugin', 'dead_letter')";
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect::<Vec<(String, String)>>()
    };
    assert!(texts.len() > 30, "{texts:?}");
    for (table, column) in texts {
        std::fs::write(&state, &genuine).unwrap();
        let db = rusqlite::Connection::open(&state).unwrap();
        db.execute_batch("pragma foreign_keys = off; insert into remark select id, '2026-01-01T00:00:00Z', 'x' from run").unwrap();
        // A JSON text stays JSON, with the hostile text inside.
        let value = format!(
            "case when json_valid(\"{column}\") then replace(\"{column}\", 'in.jsonl', ?2) else ?1 end"
        );
        let inside = json!(HOSTILE).to_string().trim_matches('"').to_owned();
        db.execute(
            &format!("update \"{table}\" set \"{column}\" = {value}"),
            (HOSTILE, inside),
        )
        .unwrap();
        drop(db);
        for command in [
            &["history"][..],
            &["history", "small"],
            &["history", "--json"],
            &["errors", "list"],
            &["errors", "show", "1"],
        ] {
            let answer = world.run(command);
            assert_ne!(
                answer.code, 101,
                "{table}.{column} {command:?} {}",
                answer.err
            );
            harmless(&answer);
        }
    }
}

#[test]
fn json_for_programs_keeps_the_text_it_escapes() {
    let world = world();
    world.expect(3, &["run", "job.toml"]);
    let letters = told(&world, 0, &["errors", "list", "--json"]).objects();
    let texts = Value::Array(letters).to_string();
    assert!(
        texts.contains(json!(HOSTILE).to_string().trim_matches('"')),
        "{texts}"
    );
}

#[test]
fn colours_are_off_where_nobody_wants_them_and_on_where_somebody_does() {
    let world = world();
    let plain = |arguments: &[&str]| harmless(&world.run(arguments));
    plain(&["plan", "job.toml"]);
    plain(&["--color", "never", "plan", "job.toml"]);
    assert!(
        world
            .expect(0, &["--color", "always", "plan", "job.toml"])
            .out
            .contains("\x1b[1m")
    );
    assert!(
        world
            .expect(2, &["plan", "--color=always", "gone.toml"])
            .err
            .contains("\x1b[")
    );
}
