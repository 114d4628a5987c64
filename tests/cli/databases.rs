//! Jobs between databases of a server, run as they stand.

use dkhost_servers::Database;

use crate::world::{Answer, World, answer, clean, data};

const CUSTOMERS: &str = "
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, phone text, country text, age text,
  status text NOT NULL, updated_at timestamptz NOT NULL);
INSERT INTO customers SELECT i, ' name ' || i, 'USER' || i || '@Example.ORG ', '(555) 010-' || lpad((i % 10000)::text, 4, '0'),
  'United States', CASE WHEN i % 7 = 0 THEN 'unknown' ELSE (i % 90)::text END,
  CASE WHEN i % 5 = 0 THEN 'deleted' ELSE 'active' END, timestamptz '2026-01-01' + i * interval '1 minute'
  FROM generate_series(1, 1000) i;
CREATE INDEX ON customers (updated_at);";

struct Customers {
    world: World,
    from: Database,
    to: Database,
}

impl Customers {
    fn new() -> Self {
        let customers = Customers {
            world: World::new(),
            from: dkhost_servers::postgres(),
            to: dkhost_servers::postgres(),
        };
        customers.from.sql(CUSTOMERS);
        let job = data("jobs/customers-postgres.toml");
        customers.world.copy(&job, "customers-postgres.toml");
        customers
    }

    fn run(&self, words: &[&str]) -> Answer {
        let all = [words, &["--plugin", clean().to_str().unwrap()]].concat();
        let mut command = self.world.command(&all);
        command
            .env("CRM_URL", &self.from.url)
            .env("WAREHOUSE_URL", &self.to.url);
        answer(command.output().unwrap())
    }

    fn counts(&self) -> serde_json::Value {
        let answer = self.run(&["run", "customers-postgres.toml", "--json"]);
        assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
        answer.last()["counts"].clone()
    }
}

#[test]
fn a_job_from_database_to_database_runs_as_it_stands() {
    let customers = Customers::new();
    let plan = customers.run(&["plan", "customers-postgres.toml"]);
    assert_eq!(plan.code, 0, "{}", plan.err);
    for said in [
        "status <> 'deleted'",
        "creates schema crm",
        "incremental by `updated_at`",
    ] {
        assert!(plan.out.contains(said), "{said}: {}", plan.out);
    }
    let first = customers.counts();
    assert_eq!(
        (first["read"].as_u64(), first["written"].as_u64()),
        (Some(800), Some(800))
    );
    let rows = customers.to.sql("SELECT count(*), min(name), min(email), min(phone), min(country), sum(age) FROM crm.customers");
    let age = customers.from.sql(
        "SELECT sum(CASE WHEN age = 'unknown' THEN 0 ELSE age::int END) FROM customers WHERE status <> 'deleted'",
    );
    assert_eq!(
        rows,
        format!("800|Name 1|user101@example.org|+15550100001|US|{age}")
    );
    assert_eq!(
        customers
            .to
            .sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'dkhost'"),
        "0"
    );
}

/// Only what changed is read, and everything that did: rows that share the last moment too.
#[test]
fn the_next_run_reads_what_changed() {
    let customers = Customers::new();
    customers.counts();
    customers.from.sql(
        "UPDATE customers SET name = 'changed', updated_at = '2027-01-01' WHERE id IN (1, 2);
         INSERT INTO customers SELECT 2000, name, email, phone, country, age, 'active', '2027-01-01' FROM customers WHERE id = 3;",
    );
    let next = customers.counts();
    // Ten minutes back from the last moment lie rows that are there already.
    let read = next["read"].as_u64().unwrap();
    assert!((3..=15).contains(&read), "{next}");
    assert_eq!(next["written"].as_u64(), Some(3), "{next}");
    let names = customers.to.sql("SELECT string_agg(id || name, ',' ORDER BY id) FROM crm.customers WHERE updated_at >= '2027-01-01'");
    assert_eq!(names, "1Changed,2Changed,2000Name 3");
    let again = customers.counts();
    assert_eq!(again["written"].as_u64(), Some(0), "{again}");
}

/// The times of a store are not in its records, and runs go along them all the same.
#[test]
fn a_store_is_read_along_its_own_times() {
    let database = dkhost_servers::postgres();
    database.sql(
        "CREATE TABLE records (id text PRIMARY KEY, data jsonb NOT NULL, metadata jsonb, \
           created_at timestamp DEFAULT '2026-01-01', updated_at timestamp DEFAULT '2026-01-01'); \
         INSERT INTO records SELECT 'id ' || n, jsonb_build_object('n', n) FROM generate_series(1, 5) n; \
         UPDATE records SET updated_at = '2026-01-02' WHERE id = 'id 5'",
    );
    let job = |along: &str| {
        format!(
            "name = \"j\"\n[source]\nbackend = \"postgres\"\nurl = \"{0}\"\nlayout = \"dataknobs\"\n\
             incremental = {{ column = \"{along}\" }}\n[target]\nbackend = \"postgres\"\nurl = \"{0}\"\n\
             layout = \"dataknobs\"\ntable = \"copies\"\non_conflict = \"upsert\"\n",
            database.url
        )
    };
    let world = World::with_job(&job("n"));
    let mistaken = world.run(&["plan", "job.toml"]);
    assert_eq!(mistaken.code, 2, "{}", mistaken.err);
    let help = "the columns are: created_at, updated_at";
    assert!(mistaken.err.contains(help), "{}", mistaken.err);
    world.write("job.toml", job("updated_at"));
    let read = || {
        let answer = world.expect(0, &["run", "job.toml", "--json"]);
        answer.last()["counts"]["read"].as_u64().unwrap()
    };
    assert_eq!(read(), 5);
    database
        .sql("UPDATE records SET data = '{\"n\": 6}', updated_at = '2026-01-03' WHERE id = 'id 1'");
    // What shares the last moment comes again.
    assert_eq!(read(), 2);
    let copied = database.sql("SELECT data ->> 'n' FROM copies WHERE id = 'id 1'");
    assert_eq!(copied, "6");
}

/// Whatever is wrong with the address or behind it: the password in it is nobody's business.
#[test]
fn a_password_in_an_address_is_never_printed() {
    let database = dkhost_servers::postgres();
    let with_password = database
        .url
        .replacen("://postgres@", "://postgres:s3cret@", 1);
    let addresses = [
        with_password.clone(),
        with_password.replace(&database.name, "nowhere"),
        with_password.replace("postgres://", "postgre://"),
        format!("{with_password}?sslmode=prefer"),
        "postgres://me:s3cret@127.0.0.1:1/crm".to_owned(),
        "host=127.0.0.1 port=1 user=me password=s3cret dbname=crm".to_owned(),
    ];
    for address in addresses {
        let world = World::with_job(&format!(
            "name = \"j\"\n[source]\nbackend = \"postgres\"\nurl = \"{address}\"\ntable = \"nothing\"\n\
             [target]\nbackend = \"file\"\npath = \"o.jsonl\"\n[run]\nretry = {{ max_retries = 0 }}\n"
        ));
        for words in [
            &["run", "job.toml"][..],
            &["plan", "job.toml", "--json"],
            &["run", "job.toml", "--json"],
        ] {
            let answer = world.run(words);
            assert_ne!(answer.code, 0);
            let said = format!("{}{}", answer.out, answer.err);
            assert!(!said.contains("s3cret"), "{words:?}: {said}");
        }
    }
}
