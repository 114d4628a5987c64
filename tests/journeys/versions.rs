//! Stores on servers go up to another version and come back: every record is what it was, and the
//! store and its records say which version they are of.

use dkhost_servers::{Bucket, Database, Indices};
use expect_test::expect;
use serde_json::{Value, json};

use crate::applying::{Applying, NEW, OLD, lines};
use crate::stores::{index, prefix};
use crate::support::{columns, table};
use crate::world::root;

/// Records that say their version.
fn said(text: &str, version: &str) -> Vec<Value> {
    let mut records = lines(text);
    for record in &mut records {
        record["_schema_version"] = json!(version);
    }
    records
}

/// Up and back twice; `--from` is said once, and known ever after.
fn round_trip(target: &str, wanted: &dyn Fn(&str, &str) -> Vec<Value>) -> Applying {
    let applying = Applying::filled(target, OLD);
    let mut from = "--from 1.0.0";
    for _ in 0..2 {
        let report = applying
            .apply(0, &format!("{from} --to 2.0.0 --json"))
            .last();
        assert_eq!(report["counts"]["written"], 5, "{target}");
        assert_eq!(applying.records(), wanted(NEW, "2.0.0"), "{target}");
        let report = applying.apply(0, "--to 1.0.0 --json").last();
        assert_eq!(report["counts"]["written"], 5, "{target}");
        assert_eq!(applying.records(), wanted(OLD, "1.0.0"), "{target}");
        from = "";
    }
    applying
}

/// Without the names that the database and its server have by chance.
fn told_of(text: &str) -> String {
    let by_chance = regex::Regex::new(r"in test_\w+ on [0-9.]+:[0-9]+").unwrap();
    by_chance.replace_all(text, "in DATABASE").into_owned()
}

fn answer(database: &Database, sql: &str) -> String {
    database.sql(sql).trim().to_owned()
}

const STAMP: &str = "SELECT schema, version FROM dkhost.schema_version";

const CHECKS: &str = "SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint \
    WHERE conrelid = 't'::regclass AND contype = 'c' ORDER BY conname";

const INDEXES: &str = "SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY indexname";

#[test]
fn a_table_is_altered_and_altered_back() {
    let database = dkhost_servers::postgres();
    let target = table(&database, "t");
    database.sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text COLLATE \"C\", years text, legacy text, price numeric(10, 2), born date);
         CREATE INDEX t_name ON t (lower(name)) WHERE name <> ''; CREATE INDEX t_years ON t (years);
         COMMENT ON TABLE t IS 'users'; GRANT SELECT ON t TO PUBLIC;",
    );
    let applying = Applying::filled(&target, OLD);
    let told = applying.apply(0, "--from 1.0.0 --to 2.0.0").err;
    expect![[r#"
        table t in DATABASE: user 1.0.0 to user 2.0.0
          up from 1.0.0 to 2.0.0 by 1.0.0--2.0.0.toml
          collects the rows in a table of schema dkhost and, in one transaction at the end, empties table t, alters it and puts them there; nobody can use it meanwhile, nor write to it while the run reads it
          ALTER TABLE t DROP COLUMN legacy
          ALTER TABLE t RENAME COLUMN years TO age
          ALTER TABLE t ALTER COLUMN age TYPE bigint
          ALTER TABLE t ADD COLUMN email text NOT NULL
          ALTER TABLE t ADD COLUMN _removed json
          ALTER TABLE t ADD CONSTRAINT user_age_range CHECK (age >= 0 AND age <= 150) NOT VALID
          writes into dkhost.schema_version that the records of table t are user@2.0.0
          ALTER TABLE t VALIDATE CONSTRAINT user_age_range, in a transaction of its own at the very end
          keeps checkpoints in schema dkhost until the run is done
    "#]].assert_eq(&told_of(&told));
    assert_eq!(applying.records(), lines(NEW));
    expect![[r#"
        id bigint
        name text
        age bigint
        price numeric(10,2)
        born date
        email text
        _removed json"#]]
    .assert_eq(&columns(&database, "t").join("\n"));
    expect!["user_age_range|t|CHECK (((age >= 0) AND (age <= 150)))"]
        .assert_eq(&answer(&database, CHECKS));
    expect![[r#"
        CREATE INDEX t_name ON public.t USING btree (lower(name)) WHERE (name <> ''::text)
        CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)
        CREATE INDEX t_years ON public.t USING btree (age)"#]]
    .assert_eq(&answer(&database, INDEXES));
    assert_eq!(answer(&database, STAMP), "user|2.0.0");
    let refused = database.try_sql("INSERT INTO t (id, age, email) VALUES (6, 151, 'e')");
    assert!(refused.unwrap_err().contains("user_age_range"));

    let told = applying.apply(0, "--to 1.0.0").err;
    expect![[r#"
        table t in DATABASE: user 2.0.0 to user 1.0.0
          down from 2.0.0 to 1.0.0 by 1.0.0--2.0.0.toml
          collects the rows in a table of schema dkhost and, in one transaction at the end, empties table t, alters it and puts them there; nobody can use it meanwhile, nor write to it while the run reads it
          ALTER TABLE t DROP CONSTRAINT user_age_range
          ALTER TABLE t DROP COLUMN email
          ALTER TABLE t RENAME COLUMN age TO years
          ALTER TABLE t ALTER COLUMN years TYPE text
          ALTER TABLE t ADD COLUMN legacy text
          writes into dkhost.schema_version that the records of table t are user@1.0.0
          keeps checkpoints in schema dkhost until the run is done
    "#]].assert_eq(&told_of(&told));
    assert_eq!(applying.records(), lines(OLD));
    expect![[r#"
        id bigint
        name text
        years text
        price numeric(10,2)
        born date
        _removed json
        legacy text"#]]
    .assert_eq(&columns(&database, "t").join("\n"));
    assert_eq!(answer(&database, CHECKS), "");
    expect![[r#"
        CREATE INDEX t_name ON public.t USING btree (lower(name)) WHERE (name <> ''::text)
        CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)
        CREATE INDEX t_years ON public.t USING btree (years)"#]]
    .assert_eq(&answer(&database, INDEXES));
    assert_eq!(answer(&database, STAMP), "user|1.0.0");
    let kept =
        "SELECT obj_description('t'::regclass), has_table_privilege('public', 't', 'SELECT')";
    assert_eq!(answer(&database, kept), "users|t");
}

#[test]
fn a_table_goes_up_and_comes_back() {
    let database = dkhost_servers::postgres();
    round_trip(&table(&database, "t"), &|text, _| lines(text));
}

fn an_index(indices: &Indices) {
    let applying = round_trip(&index(indices, "users"), &said);
    applying.apply(0, "--to 2.0.0 --quiet");
    let mappings = mappings(indices, "users");
    let says = &mappings["_meta"]["dkhost"];
    assert_eq!(
        (&says["schema"], &says["version"]),
        (&json!("user"), &json!("2.0.0"))
    );
    assert_eq!(mappings["properties"]["age"], json!({ "type": "long" }));
    assert_eq!(mappings["properties"]["years"], Value::Null);
}

/// The mapping of the one index behind a name.
fn mappings(indices: &Indices, name: &str) -> Value {
    let path = format!("/{}/_mapping", indices.name(name));
    let answer: Value = serde_json::from_str(&indices.ask("GET", &path, "")).unwrap();
    let behind: Vec<&Value> = answer.as_object().unwrap().values().collect();
    assert_eq!(behind.len(), 1, "{answer}");
    behind[0]["mappings"].clone()
}

/// An index that somebody made with settings and a mapping of their own.
#[test]
fn an_index_keeps_what_somebody_defined_for_it() {
    let indices = dkhost_servers::elasticsearch();
    let path = format!("/{}", indices.name("users"));
    let made = json!({
        "settings": {
            "number_of_shards": 2,
            "analysis": { "analyzer": { "folded": { "type": "standard", "max_token_length": 5 } } },
        },
        "mappings": { "properties": {
            "id": { "type": "long" },
            "name": { "type": "text", "analyzer": "folded" },
            "years": { "type": "keyword" },
            "legacy": { "type": "keyword" },
            "price": { "type": "double", "index": false },
            "born": { "type": "date" },
        } },
        "aliases": { format!("{}-reading", indices.name("users")): {} },
    });
    indices.ask("PUT", &path, &made.to_string());
    let applying = Applying::filled(&index(&indices, "users"), OLD);
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    assert_eq!(applying.records(), said(NEW, "2.0.0"));
    let fields = mappings(&indices, "users")["properties"].clone();
    let had = &made["mappings"]["properties"];
    for name in ["id", "name", "price", "born"] {
        assert_eq!(fields[name], had[name], "{name}");
    }
    assert_eq!(fields["age"], json!({ "type": "long" }));
    assert_eq!(
        fields["_removed"],
        json!({ "type": "object", "enabled": false })
    );
    for gone in ["years", "legacy"] {
        assert_eq!(fields[gone], Value::Null);
    }
    let reading = indices.ask("GET", &format!("{path}-reading/_settings"), "");
    let settings: Value = serde_json::from_str(&reading).unwrap();
    let settings = &settings.as_object().unwrap().values().next().unwrap()["settings"]["index"];
    assert_eq!(settings["number_of_shards"], "2");
    assert_eq!(
        settings["analysis"]["analyzer"]["folded"]["max_token_length"],
        "5"
    );
}

#[test]
fn an_index_of_elasticsearch_goes_up_and_comes_back() {
    an_index(&dkhost_servers::elasticsearch());
}

#[test]
fn an_index_of_opensearch_goes_up_and_comes_back() {
    an_index(&dkhost_servers::opensearch());
}

fn objects(bucket: &Bucket, format: &str) -> String {
    format!("{}format = \"{format}\"\n", prefix(bucket, "users/"))
}

#[test]
fn a_prefix_goes_up_and_comes_back() {
    let bucket = dkhost_servers::minio();
    round_trip(&objects(&bucket, "jsonl"), &said);
    let bucket = dkhost_servers::minio();
    round_trip(&objects(&bucket, "parquet"), &|text, _| lines(text));
}

#[test]
fn records_that_are_objects_go_up_and_come_back_in_place() {
    let bucket = dkhost_servers::minio();
    let store = format!("{}object = \"record\"\n", prefix(&bucket, "users/"));
    let applying = round_trip(&store, &said);
    let keys = bucket.keys("users/");
    applying.apply(0, "--to 2.0.0 --quiet");
    assert_eq!(bucket.keys("users/"), keys);
    for key in keys.iter().filter(|key| !key.contains("/.")) {
        let object: Value = serde_json::from_slice(&bucket.get(key)).unwrap();
        assert_eq!(object["_schema_version"], "2.0.0", "{key}");
    }
    expect![[r#"
        users/1.json
        users/2.json
        users/3.json
        users/4.json
        users/9007199254740993.json"#]]
    .assert_eq(&keys.join("\n"));
}

/// The documented example: users get an age, in a store of dataknobs.
const DATAKNOBS: [(&str, &str); 3] = [
    (
        "1.0.0",
        "[fields.name]\ntype = \"utf8\"\nrequired = true\n[fields.email]\ntype = \"utf8\"\n[fields.note]\ntype = \"utf8\"\n",
    ),
    (
        "2.0.0",
        "[fields.full_name]\ntype = \"utf8\"\nrequired = true\nwas = \"name\"\n[fields.email]\ntype = \"utf8\"\n\
         [fields.age]\ntype = \"int64\"\ndefault = 0\nrange = { min = 0, max = 150 }\n",
    ),
    (
        "1.0.0--2.0.0",
        "[[up]]\nrename = { name = \"full_name\" }\n[[up]]\nadd = { age = \"0\" }\n[[up]]\nremove = [\"note\"]\nkeep_values = true\n\
         [[down]]\nrestore = [\"note\"]\n[[down]]\nremove = [\"age\"]\n[[down]]\nrename = { full_name = \"name\" }\n",
    ),
];

const LAYOUT: &str = "layout = \"dataknobs\"\n";

/// A store as dataknobs writes it to a file.
fn store() -> Value {
    let field = |name: &str, kind: &str, value: Value| json!({ "name": name, "value": value, "type": kind, "metadata": {} });
    let mut records = serde_json::Map::new();
    for n in 0..12 {
        let id = format!("ïd/{n:02} x");
        let mut fields = json!({
            "name": field("name", "string", json!(format!("Ünï {n}"))),
            "email": field("email", "string", json!(format!("u{n}@example.com"))),
        });
        if n % 3 == 0 {
            fields["note"] = field("note", "string", json!(format!("of {n}")));
        }
        let mut metadata = json!({ "source": "fixture", "n": n });
        if n % 2 == 0 {
            metadata["version"] = json!("1.0.0");
        }
        records.insert(
            id.clone(),
            json!({ "fields": fields, "id": id, "metadata": metadata }),
        );
    }
    Value::Object(records)
}

/// What dataknobs is to read there: values of fields, and metadata.
fn read(version: &str) -> Value {
    let mut records = store();
    for record in records.as_object_mut().unwrap().values_mut() {
        let fields = record["fields"].as_object().unwrap().iter();
        let mut fields: serde_json::Map<String, Value> = fields
            .map(|(name, field)| (name.clone(), field["value"].clone()))
            .collect();
        if version == "2.0.0" {
            let name = fields.remove("name").unwrap();
            fields.insert("full_name".into(), name);
            fields.insert("age".into(), json!(0));
            if let Some(note) = fields.remove("note") {
                fields.insert("_removed".into(), json!({ "note": note }));
            }
        }
        let mut metadata = record["metadata"].clone();
        metadata["version"] = json!(version);
        *record = json!({ "fields": fields, "metadata": metadata });
    }
    records
}

/// A store of dataknobs goes up and comes back, and dataknobs reads it both times.
fn dataknobs(target: &str, kind: &str, place: &[&str]) {
    let applying = Applying::to(&format!("{target}{LAYOUT}"));
    let world = &applying.world;
    for (name, text) in DATAKNOBS {
        world.write(&format!("schemas/user/{name}.toml"), text);
    }
    world.write("store.json", store().to_string());
    world.write(
        "job.toml",
        format!(
            "name = \"users\"\n[source]\nbackend = \"file\"\npath = \"store.json\"\n{LAYOUT}\
             [target]\n{target}{LAYOUT}\n[run]\nbatch = {{ rows = 5 }}\n"
        ),
    );
    world.expect(0, &["run", "job.toml", "--quiet"]);
    let ids: Vec<String> = store().as_object().unwrap().keys().cloned().collect();
    let ids = json!(ids).to_string();
    let script = root().join("tests/journeys/dataknobs.py");
    let arguments: Vec<&str> = [kind, &ids]
        .into_iter()
        .chain(place.iter().copied())
        .collect();
    for (words, version) in [
        ("--from 1.0.0 --to 2.0.0", "2.0.0"),
        ("--to 1.0.0", "1.0.0"),
    ] {
        applying.apply(0, &format!("{words} --quiet"));
        let found: Value =
            serde_json::from_str(&dkhost_servers::dataknobs(&script, &arguments)).unwrap();
        assert_eq!(found["count"], 12, "{version}");
        assert_eq!(found["read"], read(version), "{version}");
    }
}

#[test]
fn a_dataknobs_store_in_an_index_goes_up_and_dataknobs_reads_it() {
    let indices = dkhost_servers::elasticsearch();
    let url = indices.access.url.strip_prefix("http://").unwrap();
    let (host, port) = url.rsplit_once(':').unwrap();
    let name = indices.name("users");
    dataknobs(
        &index(&indices, "users"),
        "elasticsearch",
        &[host, port, &name],
    );
}

#[test]
fn a_dataknobs_store_in_a_bucket_goes_up_and_dataknobs_reads_it() {
    let bucket = dkhost_servers::minio();
    let s3 = &bucket.s3;
    let place = [
        &s3.endpoint,
        &s3.region,
        &bucket.name,
        "users/",
        &s3.access_key,
        &s3.secret_key,
    ];
    let target = format!("{}object = \"record\"\n", prefix(&bucket, "users/"));
    dataknobs(&target, "s3", &place);
}
