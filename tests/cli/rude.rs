//! What a hostile plugin says, in every place a plugin may say something, is shown as text.

use std::path::Path;

use crate::escapes::{HOSTILE, harmless, told};
use crate::world::{SMALL, World, answer, root};

const PLUGIN: &str = r##"//! Says hostile things wherever a plugin may say something.
use dkhost_sdk::log::{Level, log};
use dkhost_sdk::{Batch, Descriptor, Edit, Failure, Output, Plan, Reject, Transformer};

const HOSTILE: &str = include_str!("hostile.txt");

#[derive(serde::Deserialize)]
struct Config {
    #[serde(default)]
    fails: String,
}

struct Rude {
    field: Edit,
    fails: String,
}

impl Transformer for Rude {
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new("rude", env!("CARGO_PKG_VERSION")).summary(HOSTILE)
    }

    fn open(config: Config, plan: &mut Plan) -> Result<Self, Failure> {
        log(Level::Info, HOSTILE, &[(HOSTILE, HOSTILE)]);
        if config.fails == "open" {
            return Err(Failure::config(HOSTILE).at(HOSTILE));
        }
        Ok(Rude { field: plan.edit("email")?, fails: config.fails })
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        log(Level::Error, HOSTILE, &[(HOSTILE, HOSTILE)]);
        match self.fails.as_str() {
            "apply" => return Err(Failure::internal(HOSTILE)),
            "panic" => panic!("{HOSTILE}"),
            _ => {}
        }
        let values = batch.text(self.field)?;
        let mut same = dkhost_sdk::TextBuilder::with_capacity(batch.rows(), 64);
        for row in 0..batch.rows() {
            same.push_option(values.get(row));
        }
        let mut output = Output::new().set(self.field, same);
        output.reject(0, Reject::new(if self.fails == "code" { HOSTILE } else { "rude" }, HOSTILE).column(self.field));
        Ok(output)
    }
}

dkhost_sdk::export! { transformers: [Rude] }
"##;

#[test]
fn what_a_hostile_plugin_says_is_shown_as_text() {
    let world = World::with_job(&format!(
        "{SMALL}\n[[steps]]\nplugin = \"rude\"\nconfig = {{}}\n[plugins.rude]\npath = \"rude/rude.wasm\"\n[run]\non_error = \"dead-letter\"\n"
    ));
    world.write(
        "in.jsonl",
        "{\"id\":1,\"email\":\"a\"}\n{\"id\":2,\"email\":\"b\"}\n",
    );
    let sdk = root().join("sdk/rust");
    world.expect(
        0,
        &["plugin", "new", "rude", "--sdk", sdk.to_str().unwrap()],
    );
    world.write("rude/src/lib.rs", PLUGIN);
    world.write("rude/src/hostile.txt", HOSTILE);
    // What it is compiled from is compiled once for all runs of this test.
    let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rude");
    let built = world
        .command(&["plugin", "build", "rude"])
        .env("CARGO_TARGET_DIR", compiled)
        .output();
    assert_eq!(answer(built.unwrap()).code, 0);
    told(&world, 0, &["plugin", "inspect", "rude/rude.wasm"]);
    told(
        &world,
        0,
        &["plugin", "inspect", "rude/rude.wasm", "--json"],
    );
    harmless(&world.run(&["plugin", "test", "rude", "--component", "rude/rude.wasm"]));
    for fails in ["open", "apply", "panic", "code", ""] {
        let set = format!("steps=[{{ plugin = \"rude\", config = {{ fails = \"{fails}\" }} }}]");
        for command in ["plan", "preview", "validate", "run"] {
            let mut arguments = vec![command, "job.toml", "--set", &set];
            if command == "run" {
                arguments.push("--no-resume");
            }
            let answer = world.run(&arguments);
            assert_ne!(answer.code, 101, "{fails} {command} {}", answer.err);
            harmless(&answer);
        }
        harmless(&world.run(&["errors", "list"]));
        harmless(&world.run(&["history", "small"]));
    }
    let shown = told(&world, 0, &["errors", "show", "1"]);
    assert!(shown.out.contains("\\u{1b}[2J"), "{}", shown.out);
}
