//! Text from outside never reaches the terminal as anything but text.

use crate::common::{Answer, SMALL, World};

/// Moves the cursor, sets the title, turns the direction of reading around.
const HOSTILE: &str = "\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}\u{2066}\r";

fn harmless(answer: &Answer) {
    for text in [&answer.out, &answer.err] {
        let obeyed = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(obeyed), "{:?}", text);
    }
}

fn world() -> World {
    let step = "[[steps]]\napply = { age = { type_cast = { to = \"int64\" } } }\n[run]\non_error = \"dead-letter\"\n";
    let world = World::with_job(&format!("{SMALL}\n{step}"));
    let record = |id: u32, age: &str| {
        serde_json::json!({ "id": id, "age": age, "na\u{202e}me\x1b": HOSTILE }).to_string()
    };
    world.write(
        "in.jsonl",
        [
            record(1, "1"),
            record(2, HOSTILE),
            format!("{{\"id\": {HOSTILE}"),
        ]
        .join("\n"),
    );
    world
}

#[test]
fn hostile_data_is_shown_as_text_everywhere() {
    let world = world();
    for (code, command) in [
        (0, &["plan", "job.toml"][..]),
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
        (0, &["errors", "export", "-"]),
    ] {
        harmless(&world.expect(code, command));
    }
}

#[test]
fn hostile_job_files_and_arguments_are_shown_as_text() {
    let world = World::with_job(&format!(
        "{SMALL}\n[run]\nonerror = \"{}\"\n",
        "\u{202e}\u{9b}"
    ));
    harmless(&world.expect(2, &["plan", "job.toml"]));
    world.write("job.toml", SMALL.replace("small", "a\\u001b[2Jb\\u202e"));
    harmless(&world.expect(2, &["plan", "job.toml"]));
    harmless(&world.expect(2, &["plan", &format!("{HOSTILE}.toml")]));
    harmless(&world.expect(2, &["backends", HOSTILE]));
    harmless(&world.expect(
        2,
        &["plan", "job.toml", "--set", &format!("run.{HOSTILE}=1")],
    ));
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
