//! Thousands of bad records scattered through half a million: exactly the good ones are written.

use std::collections::BTreeMap;
use std::time::Instant;

use dkhost_servers::postgres;

use crate::support::{job, letters, run, table};
use crate::world::World;

const ROWS: u64 = 500_000;

/// Every hundredth is bad, in one of five ways.
const SOURCE: &str = "CREATE TABLE t AS SELECT i::bigint AS id,
    CASE WHEN i % 500 = 100 THEN -1 ELSE (i % 90)::int END AS age,
    CASE WHEN i % 500 <> 200 THEN 'name ' || i END AS name,
    CASE WHEN i % 500 = 300 THEN 'much too long' ELSE 'short' END AS code,
    CASE WHEN i % 500 = 400 THEN 'bored' ELSE 'sad' END AS mood,
    CASE WHEN i % 500 = 0 THEN 7 ELSE (i % 3)::int END AS place
  FROM generate_series(1, 500000) i;
ALTER TABLE t ADD PRIMARY KEY (id);";

const TARGET: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE places (id int PRIMARY KEY); INSERT INTO places VALUES (0), (1), (2);
CREATE TABLE t (id bigint PRIMARY KEY, age int CONSTRAINT aged CHECK (age >= 0), name text NOT NULL, code varchar(5),
  mood mood, place int CONSTRAINT placed REFERENCES places);";

#[test]
fn of_half_a_million_exactly_the_good_ones_are_written() {
    let (from, to, world) = (postgres(), postgres(), World::new());
    from.sql(SOURCE);
    to.sql(TARGET);
    let job = job(
        &world,
        "bad",
        &table(&from, "t"),
        &table(&to, "t"),
        "on_error = \"dead-letter\"",
    );
    let began = Instant::now();
    assert_eq!(run(&world, &job), ROWS / 100);
    println!(
        "{} of {ROWS} refused in {:.1} s",
        ROWS / 100,
        began.elapsed().as_secs_f64()
    );
    let held = to.sql("SELECT count(*), sum(id), count(*) FILTER (WHERE id % 100 = 0) FROM t");
    let sum: u64 = (1..=ROWS).filter(|id| id % 100 != 0).sum();
    assert_eq!(held, format!("{}|{sum}|0", ROWS - ROWS / 100));
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for (key, column, code) in letters(&world, &job) {
        let kind = key.parse::<u64>().unwrap() % 500;
        *reasons
            .entry(format!("{kind} {column} {code}"))
            .or_default() += 1;
    }
    let reasons: Vec<String> = reasons
        .into_iter()
        .map(|(why, count)| format!("{why} {count}"))
        .collect();
    assert_eq!(
        reasons,
        [
            "0 place postgres::constraint 1000",
            "100 age postgres::constraint 1000",
            "200 name postgres::constraint 1000",
            "300 code postgres::too_long 1000",
            "400 mood postgres::refused_value 1000",
        ]
    );
}
