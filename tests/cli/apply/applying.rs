//! A store that a job filled with users of version 1.0.0, and the command that brings it to another.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::world::{Answer, World};

/// The versions of `user` and the migration between them: a rename, a cast, a field with a default,
/// one that goes and keeps its values, and a range.
pub const SCHEMAS: [(&str, &str); 3] = [
    (
        "1.0.0",
        "key = [\"id\"]\n[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.name]\ntype = \"utf8\"\n\
         [fields.years]\ntype = \"utf8\"\n[fields.legacy]\ntype = \"utf8\"\n[fields.price]\ntype = \"decimal(10, 2)\"\n\
         [fields.born]\ntype = \"date32\"\n",
    ),
    (
        "2.0.0",
        "key = [\"id\"]\n[fields.id]\ntype = \"int64\"\nrequired = true\n[fields.name]\ntype = \"utf8\"\n\
         [fields.age]\ntype = \"int64\"\nwas = \"years\"\nrange = { min = 0, max = 150 }\n\
         [fields.price]\ntype = \"decimal(10, 2)\"\n[fields.born]\ntype = \"date32\"\n\
         [fields.email]\ntype = \"utf8\"\nrequired = true\ndefault = \"none@example.com\"\n",
    ),
    (
        "1.0.0--2.0.0",
        "[[up]]\nrename = { years = \"age\" }\n[[up]]\ncast = { age = \"int64\" }\n\
         [[up]]\nadd = { email = \"'none@example.com'\" }\n[[up]]\nremove = [\"legacy\"]\nkeep_values = true\n\
         [[up]]\nconstrain = [\"age\"]\n\
         [[down]]\nremove = [\"email\"]\n[[down]]\ncast = { age = \"utf8\" }\n[[down]]\nrename = { age = \"years\" }\n\
         [[down]]\nrestore = [\"legacy\"]\n",
    ),
];

pub const OLD: &str = r#"{"id":1,"name":"Ada","years":"36","legacy":"x","price":1.50,"born":"1815-12-10"}
{"id":2,"name":"Grace, \"the\" ünï\n🚢","years":"85","legacy":"","price":99999999.99,"born":"1906-12-09"}
{"id":3,"name":"","years":"0","price":-0.01}
{"id":4,"years":"150","legacy":"y"}
{"id":9007199254740993,"name":"Big","legacy":"null","price":0.00}
"#;

pub const NEW: &str = r#"{"id":1,"name":"Ada","age":36,"price":1.50,"born":"1815-12-10","email":"none@example.com","_removed":{"legacy":"x"}}
{"id":2,"name":"Grace, \"the\" ünï\n🚢","age":85,"price":99999999.99,"born":"1906-12-09","email":"none@example.com","_removed":{"legacy":""}}
{"id":3,"name":"","age":0,"price":-0.01,"email":"none@example.com"}
{"id":4,"age":150,"email":"none@example.com","_removed":{"legacy":"y"}}
{"id":9007199254740993,"name":"Big","price":0.00,"email":"none@example.com","_removed":{"legacy":"null"}}
"#;

pub const JSONL: &str = "backend = \"file\"\npath = \"store/t.jsonl\"\n";

pub const TABLE: &str = "backend = \"sqlite\"\npath = \"store/t.db\"\ntable = \"t\"\n";

/// A store that a job writes to, and the versions of `user`.
pub struct Applying {
    pub world: World,
    target: String,
}

impl Applying {
    /// An empty one; `target` is how a job names it.
    pub fn to(target: &str) -> Applying {
        let world = World::new();
        for (name, text) in SCHEMAS {
            world.write(&format!("schemas/user/{name}.toml"), text);
        }
        fs::create_dir_all(world.path("store")).unwrap();
        let target = target.to_owned();
        let upserts = ["sqlite", "postgres", "elasticsearch", "\"record\""];
        let replaces = match upserts.iter().any(|word| target.contains(word)) {
            true => "on_conflict = \"upsert\"\n",
            false => "on_conflict = \"replace-all\"\n",
        };
        let fields =
            "{ id = \"int64\", years = \"utf8\", price = \"decimal(10,2)\", born = \"date32\" }";
        world.write(
            "job.toml",
            format!(
                "name = \"users\"\n[source]\nbackend = \"file\"\npath = \"in.jsonl\"\nkey = [\"id\"]\n\
                 fields = {fields}\n[target]\n{target}{replaces}[run]\nbatch = {{ rows = 2 }}\n"
            ),
        );
        Applying { world, target }
    }

    /// One that the job has filled with records of 1.0.0.
    pub fn filled(target: &str, records: &str) -> Applying {
        let applying = Applying::to(target);
        applying.world.write("in.jsonl", records);
        applying.world.expect(0, &["run", "job.toml", "--quiet"]);
        applying
    }

    /// The command; `words` come after the name.
    pub fn apply(&self, code: i32, words: &str) -> Answer {
        let line = format!("schema apply user --job job.toml {words}");
        let words: Vec<&str> = line.split_whitespace().collect();
        self.world.expect(code, &words)
    }

    /// What the store holds now, in its order; nulls are left out.
    pub fn records(&self) -> Vec<Value> {
        let copy = format!(
            "name = \"copy\"\n[source]\n{}[target]\nbackend = \"file\"\npath = \"copy.jsonl\"\non_conflict = \"replace-all\"\n",
            self.target
        );
        self.world.write("copy.toml", copy);
        self.world.expect(0, &["run", "copy.toml", "--quiet"]);
        lines(&self.world.read("copy.jsonl"))
    }

    /// The code of the error that a command ends with.
    pub fn refused(&self, code: i32, words: &str) -> (String, Answer) {
        let answer = self.apply(code, &format!("{words} --json"));
        let last = answer.last();
        let error = last["error"]["code"].as_str().or(last["code"].as_str());
        let error = error.unwrap_or_default().to_owned();
        (error, answer)
    }
}

/// Records, a line each, by their ids: without nulls, and without the id that a store gives them.
pub fn lines(text: &str) -> Vec<Value> {
    let records = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.retain(|name, value| name != "_id" && !value.is_null());
        // CSV has no objects.
        if let Some(text) = fields.get("_removed").and_then(Value::as_str) {
            let kept = serde_json::from_str(text).unwrap();
            fields["_removed"] = kept;
        }
        record
    });
    let mut records: Vec<Value> = records.collect();
    records.sort_by_key(|record| record["id"].as_i64());
    records
}

/// Every file below a folder and what it holds.
pub fn files(world: &World, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![world.path(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path
                        .strip_prefix(world.path(""))
                        .unwrap()
                        .display()
                        .to_string();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}
