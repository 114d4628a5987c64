//! Whole jobs over real data, every value compared with an independent reading of the files.

use std::collections::BTreeMap;
use std::fs::File;

use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use serde_json::{Value, json};

use crate::world::{World, clean, data, json_of};

const MOVIES: &str = "tests/data/jobs/movies-to-sqlite.toml";

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// `Jun 12 1998` or `1998-06-12` as the moment the target holds.
fn moment(date: &str) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<&str> = date.split(' ').collect();
    let day = match words.as_slice() {
        [month, day, year] => format!("{year}-{:02}-{day}", MONTHS.find(month).unwrap() / 3 + 1),
        _ => date.to_owned(),
    };
    format!("{day}T00:00:00")
}

type Film = (
    Option<String>,
    Option<i64>,
    i64,
    String,
    String,
    Option<f64>,
    Option<i64>,
    Option<String>,
);

/// What the job should make of the films, read without dkhost.
fn films() -> Vec<Film> {
    let films = json_of(&data("real/movies.json"));
    let kept = films.as_array().unwrap().iter().filter(|film| {
        film["Worldwide Gross"]
            .as_i64()
            .is_some_and(|gross| gross > 0)
    });
    kept.map(|film| {
        let genre = film["Major Genre"]
            .as_str()
            .map_or("unknown".to_owned(), |genre| genre.trim().to_lowercase());
        (
            text(&film["Title"]),
            film["US Gross"].as_i64(),
            film["Worldwide Gross"].as_i64().unwrap(),
            moment(film["Release Date"].as_str().unwrap()),
            genre,
            film["IMDB Rating"].as_f64(),
            film["IMDB Votes"].as_i64(),
            text(&film["Director"]),
        )
    })
    .collect()
}

fn films_in(path: &std::path::Path) -> Vec<Film> {
    let database = rusqlite::Connection::open(path).unwrap();
    let columns = "title, us_gross, gross, released, genre, imdb, votes, director";
    let mut query = database
        .prepare(&format!("SELECT {columns} FROM movies ORDER BY rowid"))
        .unwrap();
    let film = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
            row.get(7)?,
        ))
    };
    query
        .query_map([], film)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[test]
fn films_reach_sqlite_with_every_value() {
    let world = World::with_fixtures(&["jobs/movies-to-sqlite.toml", "real/movies.json"]);
    let report = world.expect(0, &["run", MOVIES, "--json"]).last();
    let expected = films();
    let found = films_in(&world.path("out/movies.db"));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    let filtered = 3201 - expected.len();
    assert_eq!(
        report["counts"],
        json!({ "read": 3201, "written": expected.len(), "unchanged": 0, "filtered": filtered, "deduplicated": 0, "skipped": 0, "dead_lettered": 0 })
    );
    assert_eq!(
        (&report["event"], &report["status"], &report["delivery"]),
        (&json!("report"), &json!("done"), &json!("effectively-once"))
    );
    assert!(
        report["verified"]
            .as_str()
            .unwrap()
            .contains("content equal"),
        "{}",
        report["verified"]
    );
    // A finished run leaves the user's table and nothing of its own.
    let database = rusqlite::Connection::open(world.path("out/movies.db")).unwrap();
    let tables: Vec<String> = database
        .prepare("SELECT name FROM sqlite_master")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(tables, ["movies"]);
}

#[test]
fn films_in_small_batches_and_with_overrides_are_the_same_films() {
    let world = World::with_fixtures(&["jobs/movies-to-sqlite.toml", "real/movies.json"]);
    world.expect(
        0,
        &[
            "run",
            MOVIES,
            "--quiet",
            "--set",
            "run.batch.rows=100",
            "--set",
            "target.path=other.db",
        ],
    );
    assert_eq!(films_in(&world.path("tests/data/jobs/other.db")), films());
}

/// Every word's first letter large, all others small.
fn title(text: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let shown = if start {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        };
        start = !c.is_ascii_alphanumeric();
        shown
    };
    text.chars().map(letter).collect()
}

fn field(value: &Field) -> Value {
    match value {
        Field::Null => Value::Null,
        Field::Str(text) => json!(text),
        Field::Int(n) | Field::Date(n) => json!(n),
        Field::Long(n) => json!(n),
        Field::Double(n) => json!(n),
        other => panic!("unexpected {other:?}"),
    }
}

/// Days since 1970-01-01 of `1990-01-08`, by counting.
fn days(date: &str) -> i64 {
    let numbers: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let february = if leap(numbers[0]) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..numbers[0])
        .map(|year| if leap(year) { 366 } else { 365 })
        .sum();
    years + months[..numbers[1] as usize - 1].iter().sum::<i64>() + numbers[2] - 1
}

/// What the job should make of a bird strike; `None` when it is filtered.
fn strike(csv: &BTreeMap<String, String>) -> Option<BTreeMap<String, Value>> {
    if csv["Effect Amount of damage"] == "None" || csv["Effect Amount of damage"].is_empty() {
        return None;
    }
    let number = |text: &str| {
        if text.is_empty() {
            Value::Null
        } else {
            json!(text.parse::<i64>().unwrap())
        }
    };
    let mut strike: BTreeMap<String, Value> = csv
        .iter()
        .map(|(name, text)| {
            let value = match name.as_str() {
                _ if text.is_empty() => Value::Null,
                "Cost Other" | "Cost Repair" | "Cost Total $" | "Speed IAS in knots" => {
                    number(text)
                }
                "Flight Date" => json!(days(text)),
                "Airport Name" => json!(title(text)),
                "Wildlife Size" => json!(text.to_lowercase()),
                _ => json!(text),
            };
            (name.clone(), value)
        })
        .collect();
    let cost = strike["Cost Other"]
        .as_i64()
        .zip(strike["Cost Repair"].as_i64())
        .map(|(other, repair)| other + repair);
    strike.insert("cost".to_owned(), json!(cost));
    Some(strike)
}

#[test]
fn bird_strikes_go_through_a_plugin_into_parquet() {
    const JOB: &str = "tests/data/jobs/birdstrikes-to-parquet.toml";
    const CLEANED: &str = "Aircraft Airline Operator";
    let world = World::with_fixtures(&["jobs/birdstrikes-to-parquet.toml", "real/birdstrikes.csv"]);
    let plugin = clean().to_str().unwrap();
    let report = world
        .expect(0, &["run", JOB, "--plugin", plugin, "--json"])
        .last();

    let mut csv = csv::Reader::from_path(data("real/birdstrikes.csv")).unwrap();
    let expected: Vec<_> = csv
        .deserialize::<BTreeMap<String, String>>()
        .filter_map(|record| strike(&record.unwrap()))
        .collect();
    let file =
        SerializedFileReader::new(File::open(world.path("out/birdstrikes.parquet")).unwrap())
            .unwrap();
    let found: Vec<BTreeMap<String, Value>> = file
        .into_iter()
        .map(|row| {
            row.unwrap()
                .get_column_iter()
                .map(|(name, value)| (name.clone(), field(value)))
                .collect()
        })
        .collect();
    assert_eq!(found.len(), expected.len());
    let mut cleaned = 0;
    for (mut found, mut expected) in found.into_iter().zip(expected) {
        let (after, before) = (
            found.remove(CLEANED).unwrap(),
            expected.remove(CLEANED).unwrap(),
        );
        assert_eq!(found, expected);
        let (Some(after), Some(before)) = (after.as_str(), before.as_str()) else {
            assert_eq!(after, before);
            continue;
        };
        assert_eq!(
            after.to_lowercase(),
            before
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        );
        cleaned += u64::from(after != before);
        if before == "MILITARY" {
            assert_eq!(after, "Military");
        }
    }
    assert!(cleaned > 500, "{cleaned}");
    assert_eq!(report["counts"]["read"], 10_000);
    assert_eq!(
        report["plugins"][0]["name"],
        format!("clean {}", env!("CARGO_PKG_VERSION"))
    );
    let stage = report["stages"].as_array().unwrap().last().unwrap();
    assert_eq!(stage["rows_in"], report["rows_written"]);
    assert_eq!(
        stage["counters"][0][1], cleaned,
        "the plugin's own count: {}",
        stage["counters"]
    );
}
