//! A table of customers into a search index and into a lake: jobs as users write them.

use dkhost_servers::{Ask, Bucket, Database, Indices};
use serde_json::{Value, json};

use crate::world::{Answer, World, answer, data};

/// Regions, and how often each: two are in no slice of their own.
const ROWS: &str = "CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, email text,
    status text NOT NULL, region text, balance numeric(12, 2), seen timestamptz);
  INSERT INTO customers SELECT i, 'Customer ' || i, CASE WHEN i % 7 > 0 THEN 'c' || i || '@example.org' END,
    CASE WHEN i % 3 = 0 THEN 'closed' ELSE 'active' END,
    (ARRAY['us-east', 'us-west', 'eu-west', 'ap-south', 'sa-east', NULL])[1 + i % 6],
    i * 1.25, timestamptz '2026-01-01 00:00:00Z' + i * interval '1 hour 1 microsecond'
  FROM generate_series(1, 3000) i;";

fn run(world: &World, job: &str, variables: &[(&str, &str)]) -> Answer {
    let mut command = world.command(&["run", job, "--json"]);
    command.envs(variables.iter().copied());
    let answer = answer(command.output().unwrap());
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    answer
}

fn url_of(database: &Database) -> String {
    format!("{}?sslmode=disable", database.url)
}

/// The job's own index, which goes before and after.
struct Search(Indices);

impl Search {
    fn new() -> Self {
        let search = Search(dkhost_servers::elasticsearch());
        search.sweep();
        search
    }

    fn sweep(&self) {
        let path = "/customers?ignore_unavailable=true";
        self.0.access.ask("DELETE", path, "").unwrap();
    }

    fn ask(&self, path: &str) -> Value {
        self.0.ask("POST", "/customers/_refresh", "");
        serde_json::from_str(&self.0.ask("GET", path, "")).unwrap()
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.sweep();
    }
}

#[test]
fn a_table_becomes_a_search_index_and_stays_one() {
    let (database, search, world) = (dkhost_servers::postgres(), Search::new(), World::new());
    database.sql(ROWS);
    world.copy(&data("jobs/postgres-to-elasticsearch.toml"), "job.toml");
    let url = url_of(&database);
    let variables = [
        ("CRM_URL", url.as_str()),
        ("SEARCH_URL", &search.0.access.url),
    ];
    let counts = run(&world, "job.toml", &variables).last()["counts"].clone();
    assert_eq!(counts["written"], 2000);
    assert_eq!(search.ask("/customers/_count")["count"], 2000);
    let found = search.ask("/customers/_search?q=id:1000");
    assert_eq!(found["hits"]["total"]["value"], 1);
    assert_eq!(
        found["hits"]["hits"][0]["_source"],
        json!({"id": 1000, "name": "Customer 1000", "email": "c1000@example.org", "status": "active",
            "region": "sa-east", "balance": 1250.0, "seen": "2026-02-11T16:00:00.001000Z"})
    );
    // Again: the same documents, what changed among them.
    database.sql("UPDATE customers SET name = 'Renamed' WHERE id = 1000");
    run(&world, "job.toml", &variables);
    assert_eq!(search.ask("/customers/_count")["count"], 2000);
    assert_eq!(search.ask("/customers/_count?q=name:Renamed")["count"], 1);
}

#[test]
fn a_table_becomes_a_lake_in_slices_and_is_replaced_as_a_whole() {
    let (database, world) = (dkhost_servers::postgres(), World::new());
    database.sql(ROWS);
    let lake = Bucket {
        s3: dkhost_servers::minio().s3.clone(),
        name: "lake".to_owned(),
    };
    lake.ask("PUT", Ask::default()).unwrap();
    world.copy(&data("jobs/postgres-to-s3.toml"), "job.toml");
    let url = url_of(&database);
    let variables = [
        ("CRM_URL", url.as_str()),
        ("S3_ENDPOINT", &lake.s3.endpoint),
        ("AWS_REGION", &lake.s3.region),
        ("AWS_ACCESS_KEY_ID", &lake.s3.access_key),
        ("AWS_SECRET_ACCESS_KEY", &lake.s3.secret_key),
    ];
    let report = run(&world, "job.toml", &variables).last();
    assert_eq!(report["counts"]["written"], 3000);
    let first = counted(&lake);
    assert_eq!(first.rows, 3000);
    assert!(
        first.parts >= 5,
        "a slice for each region and one for the others"
    );

    database.sql("DELETE FROM customers WHERE status = 'closed'");
    run(&world, "job.toml", &variables);
    let second = counted(&lake);
    assert_eq!(second.rows, 2000);
    assert_ne!(first.manifest, second.manifest);
    // What the manifest names is read back, nothing else.
    let read = format!(
        "name = \"back\"\n[source]\n{}format = \"parquet\"\nkey = [\"id\"]\n[target]\n{}create = true\n",
        crate::stores::prefix(&lake, "crm/customers"),
        crate::support::table(&database, "back")
    );
    world.write("back.toml", read);
    run(&world, "back.toml", &[]);
    let differ = crate::support::differences((&database, "customers"), (&database, "back"));
    assert_eq!(differ, [""; 0]);
}

/// What counts below the job's prefix.
struct Lake {
    manifest: String,
    parts: usize,
    rows: u64,
}

fn counted(lake: &Bucket) -> Lake {
    let json = |key: &str| serde_json::from_slice::<Value>(&lake.get(key)).unwrap();
    let latest = json("crm/customers/_LATEST");
    let manifest = latest["manifest"]
        .as_str()
        .unwrap_or_else(|| panic!("{latest}"))
        .to_owned();
    let found = json(&format!("crm/customers/{manifest}"));
    let parts = found["parts"]
        .as_array()
        .unwrap_or_else(|| panic!("{found}"));
    Lake {
        rows: parts
            .iter()
            .map(|part| part["rows"].as_u64().unwrap())
            .sum(),
        parts: parts.len(),
        manifest,
    }
}
