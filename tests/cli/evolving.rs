//! Examples of dataknobs-data's documentation on schema evolution, on one of its stores: records say
//! their version in their metadata. (`birthdate` to `age` by code of one's own is in `migrations`.)

use serde_json::{Value, json};

use crate::world::World;

const JOB: &str = "name = \"users\"\n[source]\nbackend = \"memory\"\nrecords = []\n\
    [target]\nbackend = \"file\"\npath = \"users.json\"\nlayout = \"dataknobs\"\n";

/// A store of users with three versions of their schema beside it.
fn users() -> World {
    let world = World::new();
    world.write("job.toml", JOB);
    let name = "[fields.name]\ntype = \"utf8\"\nrequired = true\n";
    let age = "[fields.age]\ntype = \"int64\"\ndefault = 0\n";
    let years = age.replace("fields.age]", "fields.years]\nwas = \"age\"");
    world.write("schemas/user/1.0.0.toml", name);
    world.write("schemas/user/2.0.0.toml", format!("{name}{age}"));
    world.write("schemas/user/3.0.0.toml", format!("{name}{years}"));
    let user = |name: &str, metadata: Value| json!({ "fields": { "name": { "value": name } }, "metadata": metadata });
    let mut grown = user("Grace", json!({ "version": "2.0.0" }));
    grown["fields"]["age"] = json!({ "value": 85 });
    let store = json!({
        "u1": user("Ada", json!({ "version": "1.0.0", "by": "hand" })),
        "u2": grown,
        "u3": user("Alan", json!({})),
    });
    world.write("users.json", store.to_string());
    world
}

/// Of each record: its values, and its metadata.
fn held(world: &World) -> Vec<(Value, Value)> {
    let text = std::fs::read_to_string(world.path("users.json")).unwrap();
    let store: Value = serde_json::from_str(&text).unwrap();
    let record = |record: &Value| {
        let fields = record["fields"].as_object().unwrap().iter();
        let values = fields.map(|(name, field)| (name.clone(), field["value"].clone()));
        (values.collect(), record["metadata"].clone())
    };
    store.as_object().unwrap().values().map(record).collect()
}

#[test]
fn users_get_an_age_and_records_that_have_one_keep_it() {
    let world = users();
    world.expect(0, &["schema", "generate", "user", "1.0.0", "2.0.0"]);
    let apply = [
        "schema", "apply", "user", "--from", "1.0.0", "--to", "2.0.0", "--job", "job.toml",
    ];
    world.expect(0, &apply);
    assert_eq!(
        held(&world),
        [
            (
                json!({ "name": "Ada", "age": 0 }),
                json!({ "by": "hand", "version": "2.0.0" })
            ),
            (
                json!({ "name": "Grace", "age": 85 }),
                json!({ "version": "2.0.0" })
            ),
            (
                json!({ "name": "Alan", "age": 0 }),
                json!({ "version": "2.0.0" })
            ),
        ]
    );
    let told = world.expect(0, &["schema", "history", "--json"]).out;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["counts"],
        json!({ "changed": 2, "unchanged": 1, "rejected": 0 })
    );
}

/// The version of dataknobs-data that had migrations went the second of two hops backwards.
#[test]
fn both_of_two_hops_go_the_way_that_was_asked() {
    let world = users();
    world.expect(0, &["schema", "generate", "user", "1.0.0", "2.0.0"]);
    world.expect(0, &["schema", "generate", "user", "2.0.0", "3.0.0"]);
    let apply = |from: &str, to: &str| {
        world.expect(
            0,
            &[
                "schema", "apply", "user", "--from", from, "--to", to, "--job", "job.toml",
            ],
        );
    };
    apply("1.0.0", "3.0.0");
    let names = |world: &World| -> Vec<Value> {
        held(world).into_iter().map(|(values, _)| values).collect()
    };
    assert_eq!(
        names(&world),
        [
            json!({ "name": "Ada", "years": 0 }),
            json!({ "name": "Grace", "years": 85 }),
            json!({ "name": "Alan", "years": 0 }),
        ]
    );
    apply("3.0.0", "1.0.0");
    let expected = ["Ada", "Grace", "Alan"].map(|name| json!({ "name": name }));
    assert_eq!(names(&world), expected);
}
