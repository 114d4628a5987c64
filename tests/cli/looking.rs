//! Looking before and after: plan, preview, validate, dry run, history. None of the first writes.

use expect_test::expect;
use serde_json::json;

use crate::world::{World, check, clean};

const MOVIES: &str = "tests/data/jobs/movies-to-sqlite.toml";

fn movies() -> World {
    World::with_fixtures(&["jobs/movies-to-sqlite.toml", "real/movies.json"])
}

fn nothing_was_written(world: &World) {
    assert!(!world.path("out").exists());
}

#[test]
fn a_plan_shows_every_column_after_every_step() {
    let world = movies();
    check(
        &world.expect(0, &["plan", MOVIES]).out,
        expect![[r#"
            movies  the plan; nothing was written

            source  file, 3,201 records, 1.3 MiB
              1 partition: ../real/movies.json
              - JSON
              - types inferred from all 3201 records
                Title                   json
                US Gross                int64
                Worldwide Gross         int64
                US DVD Sales            int64
                Production Budget       int64
                Release Date            utf8
                MPAA Rating             utf8
                Running Time min        int64
                Distributor             utf8
                Source                  utf8
                Major Genre             utf8
                Creative Type           utf8
                Director                utf8
                Rotten Tomatoes Rating  int64
                IMDB Rating             float64
                IMDB Votes              int64
                _rest                   json  everything the columns do not hold

            1:rename  Title as title, US Gross as us_gross, Worldwide Gross as gross, Release Date as released, Major Genre as genre, IMDB Rating as imdb, IMDB Votes as votes, Director as director
                ~  Title -> title            json
                ~  US Gross -> us_gross      int64
                ~  Worldwide Gross -> gross  int64
                ~  Release Date -> released  utf8
                ~  Major Genre -> genre      utf8
                ~  Director -> director      utf8
                ~  IMDB Rating -> imdb       float64
                ~  IMDB Votes -> votes       int64

            2:apply  title: type_cast; genre: trim, lowercase, default; released: to_timestamp
                ~  title     json -> utf8
                ~  released  utf8 -> timestamp(us)
                ~  genre     utf8 -> utf8 not null

            3:keep  only title, us_gross, gross, released, genre, imdb, votes, director
                -  US DVD Sales            int64
                -  Production Budget       int64
                -  MPAA Rating             utf8
                -  Running Time min        int64
                -  Distributor             utf8
                -  Source                  utf8
                -  Creative Type           utf8
                -  Rotten Tomatoes Rating  int64

            4:filter  where gross > 0
                the columns stay as they are

            target  table movies in ../../../out/movies.db
              - creates the database ../../../out/movies.db
              - creates table movies (8 columns)
              - keeps checkpoints in table dkhost_checkpoint until the run is done
                title     TEXT
                us_gross  INTEGER
                gross     INTEGER
                released  TIMESTAMP TEXT  as ISO 8601 text
                genre     TEXT
                imdb      REAL
                votes     INTEGER
                director  TEXT

            conflicts:  on_conflict = "insert", no key
            delivery:   effectively-once (rows and checkpoint in one transaction of the database)
            drift:      schema_drift = "freeze"
            verify:     verify = "checksum"
            plan:       HASH
        "#]],
    );
    let plan = world.expect(0, &["plan", MOVIES, "--json"]).last();
    assert_eq!(plan["delivery"], "effectively-once");
    assert_eq!(plan["records"], 3201);
    let last = plan["stages"].as_array().unwrap().last().unwrap();
    let types: Vec<_> = last["columns"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| column["role"].is_null())
        .map(|column| column["type"].clone())
        .collect();
    assert_eq!(
        types,
        [
            "utf8",
            "int64",
            "int64",
            "timestamp(us)",
            "utf8",
            "float64",
            "int64",
            "utf8"
        ]
    );
    nothing_was_written(&world);
}

#[test]
fn a_plan_shows_a_plugins_digest_and_limits() {
    let world = World::with_job(
        "name = \"mail\"\n[source]\nbackend = \"memory\"\nrecords = [{ email = \" A@B.example \" }]\n[target]\nbackend = \"memory\"\n",
    );
    let answer = world.expect(
        0,
        &["plan", "job.toml", "--plugin", clean().to_str().unwrap()],
    );
    check(
        &answer.out,
        expect![[r#"
        mail  the plan; nothing was written

        source  memory, 1 record, 25 B
          1 partition: records 0 to 1
          - schema inferred from 1 of 1 records
            email  utf8
            _rest  json  everything the columns do not hold

        1:clean  cleans e-mail addresses, phone numbers, names and countries
          plugin clean 0.1.0  sha256:DIGEST
          limits memory 64 MiB, call_timeout_ms 5000, grants none
            the columns stay as they are

        target  table memory in memory
          - creates table memory
          - nothing survives the process
            email  utf8
            _rest  json

        conflicts:  on_conflict = "insert", no key
        delivery:   effectively-once (rows and checkpoint change under one lock)
        drift:      schema_drift = "freeze"
        verify:     verify = "count"
        plan:       HASH
    "#]],
    );
}

#[test]
fn a_preview_shows_records_before_and_after_each_step() {
    let world = movies();
    check(
        &world.expect(0, &["preview", MOVIES, "-n", "3"]).out,
        expect![[r#"
            source  the first 3 records
              #  Title                       US Gross  Worldwide Gross  US DVD Sales  Production Budget
              1  The Land Girls              146083    146083           -             8000000
              2  First Love, Last Rites      10876     10876            -             300000
              3  I Married a Strange Person  203134    203134           -             250000

              #  Release Date  MPAA Rating  Running Time min  Distributor  Source  Major Genre  Creative Type
              1  Jun 12 1998   R            -                 Gramercy     -       -            -
              2  Aug 07 1998   R            -                 Strand       -       Drama        -
              3  Aug 28 1998   -            -                 Lionsgate    -       Comedy       -

              #  Director  Rotten Tomatoes Rating  IMDB Rating  IMDB Votes
              1  -         -                       6.1          1071
              2  -         -                       6.9          207
              3  -         -                       6.8          865

            1:rename  Title as title, US Gross as us_gross, Worldwide Gross as gross, Release Date as released, Major Genre as genre, IMDB Rating as imdb, IMDB Votes as votes, Director as director
              renamed Title → title, US Gross → us_gross, Worldwide Gross → gross, Release Date → released, Major Genre → genre, Director → director, IMDB Rating → imdb, IMDB Votes → votes

            2:apply  title: type_cast; genre: trim, lowercase, default; released: to_timestamp
              #  released                           genre
              1  Jun 12 1998 → 1998-06-12T00:00:00  -      → unknown
              2  Aug 07 1998 → 1998-08-07T00:00:00  Drama  → drama
              3  Aug 28 1998 → 1998-08-28T00:00:00  Comedy → comedy

            3:keep  only title, us_gross, gross, released, genre, imdb, votes, director
              left out US DVD Sales, Production Budget, MPAA Rating, Running Time min, Distributor, Source, Creative Type, Rotten Tomatoes Rating

            4:filter  where gross > 0
              no change to these records
        "#]],
    );
    let scenes = world
        .expect(0, &["preview", MOVIES, "-n", "2", "--json"])
        .objects();
    assert_eq!(scenes.len(), 5);
    assert_eq!(scenes[0]["stage"], "source");
    assert_eq!(
        scenes[0]["records"][1]["record"]["Title"],
        "First Love, Last Rites"
    );
    assert_eq!(scenes[2]["records"][1]["record"]["genre"], "drama");
    nothing_was_written(&world);
}

#[test]
fn a_preview_marks_what_is_dropped_refused_and_made() {
    let world = World::with_job(concat!(
        "name = \"marks\"\n[source]\nbackend = \"memory\"\n",
        "records = [{ id = 1, n = \"7\" }, { id = 2, n = \"x\" }, { id = 3, n = \"9\" }]\n",
        "[[steps]]\napply = { n = { type_cast = { to = \"int64\" } } }\n",
        "[[steps]]\nset = { double = \"n * 2\" }\n[[steps]]\nfilter = \"double < 15\"\n",
        "[target]\nbackend = \"memory\"\n",
    ));
    check(
        &world.expect(0, &["preview", "job.toml"]).out,
        expect![[r#"
        source  the first 3 records
          #  id  n
          1  1   7
          2  2   x
          3  3   9

        1:apply  n: type_cast
          refused 2 `n`: "x" cannot be cast to int64

        2:set  n * 2 as double
          #  + double
          1  14
          3  18

        3:filter  where double < 15
          dropped 3
    "#]],
    );
}

#[test]
fn validation_finds_every_record_that_would_be_refused() {
    let world = World::with_job(concat!(
        "name = \"check\"\n[source]\nbackend = \"file\"\npath = \"in.csv\"\nfields = { n = \"utf8\" }\n",
        "[[steps]]\napply = { n = { type_cast = { to = \"int64\" } } }\n",
        "[target]\nbackend = \"file\"\npath = \"out.csv\"\n",
    ));
    world.write("in.csv", "id,n\n1,7\n2,x\n3,\n4,9e9\n");
    let answer = world.expect(4, &["validate", "job.toml"]);
    check(
        &answer.out,
        expect![[r#"
        check 2 records would be refused  nothing was written

          valid     2
          filtered  0
          refused   2
          read      4  every record is accounted for

        refused, by reason
          2  1:apply  step::cast

        one by one
          file in.csv, line 3, offset 9, column `n`: "x" cannot be cast to int64
          file in.csv, line 5, offset 16, column `n`: "9e9" cannot be cast to int64
    "#]],
    );
    let found = world.expect(4, &["validate", "job.toml", "--json"]).last();
    assert_eq!(found["read"], 4);
    assert_eq!(
        found["read"],
        found["valid"].as_u64().unwrap() + found["refused"].as_u64().unwrap()
    );
    assert!(!world.path("out.csv").exists() && !world.path(".dkhost").exists());
}

#[test]
fn a_dry_run_plans_and_checks_and_writes_nothing() {
    let world = movies();
    let answer = world.expect(0, &["run", MOVIES, "--dry-run"]);
    assert!(
        answer.out.contains("delivery:") && answer.out.contains("every record is fine"),
        "{}",
        answer.out
    );
    let objects = world
        .expect(0, &["run", MOVIES, "--dry-run", "--json"])
        .objects();
    assert_eq!(objects[0]["job"], "movies");
    assert_eq!(
        objects[1]["valid"].as_u64().unwrap() + objects[1]["filtered"].as_u64().unwrap(),
        3201
    );
    nothing_was_written(&world);
}

#[test]
fn the_report_adds_up_and_the_history_remembers_it() {
    let world = movies();
    check(
        &world.expect(0, &["run", MOVIES]).out,
        expect![[r#"
        movies done in TIME  run RUN

          written   3,147
          filtered     54  dropped by a step
          read      3,201  every record is accounted for

          speed           SPEED/s on average, TIME CPU
          memory          MEMORY at the peak
          verified        3147 rows held, content equal
          delivery        effectively-once
    "#]],
    );
    check(
        &world.expect(0, &["history", MOVIES]).out,
        expect![[r#"
        run  job     status  started  took   read  written  refused
        RUN  movies  done    MOMENT  TIME  3,201    3,147        0
    "#]],
    );
    check(
        &world
            .expect(0, &["history", "movies", "--state", "sqlite:out/state.db"])
            .out,
        expect![[r#"
            movies  RUN
              status     done
              exit code  0
              source     file
              target     table movies in ../../../out/movies.db
              job file   tests/data/jobs/movies-to-sqlite.toml
              started    MOMENT UTC
              finished   MOMENT UTC
              took  TIME, TIME CPU
              delivery   effectively-once
              plan       HASH

            partitions
                                   stands  commits   read  rows written  filtered  refused    bytes
              ../real/movies.json  done          2  3,201         3,147        54        0  1.3 MiB

            steps
                        rows in  rows out  refused   CPU
              1:rename    3,201     3,201        0  TIME
              2:apply     3,201     3,201        0  TIME
              3:keep      3,201     3,201        0  TIME
              4:filter    3,201     3,147        0  TIME
        "#]],
    );
    let run = world.expect(0, &["history", MOVIES, "--json"]).last();
    let id = run["run"].as_str().unwrap();
    let one = world
        .expect(
            0,
            &[
                "history",
                &id[..13],
                "--state",
                "sqlite:out/state.db",
                "--json",
            ],
        )
        .last();
    assert_eq!(one["counts"], run["counts"]);
    assert_eq!(one["checkpoints"][0]["done"], json!(true));
    assert_eq!(one["report"]["run"], run["run"]);
}

#[test]
fn a_quiet_run_says_nothing() {
    let world = movies();
    let answer = world.expect(0, &["run", MOVIES, "--quiet"]);
    assert_eq!((answer.out.as_str(), answer.err.as_str()), ("", ""));
}

#[test]
fn a_program_gets_events_and_the_report_last() {
    let world = movies();
    let answer = world.expect(
        0,
        &[
            "run",
            MOVIES,
            "--json",
            "--set",
            "run.progress_interval=20ms",
            "--set",
            "run.batch.rows=10",
        ],
    );
    let events = answer.objects();
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events.last().unwrap()["event"], "report");
    assert!(
        events.iter().any(
            |event| event["event"] == "progress" && event["partitions"][0]["label"].is_string()
        )
    );
    assert_eq!(answer.err, "");
}

#[test]
fn without_a_terminal_progress_is_plain_lines() {
    let world = movies();
    let answer = world.expect(
        0,
        &[
            "run",
            MOVIES,
            "--set",
            "run.progress_interval=20ms",
            "--set",
            "run.batch.rows=10",
        ],
    );
    let mut lines = answer.err.lines();
    assert_eq!(
        lines.next(),
        Some("movies: file to table movies in ../../../out/movies.db")
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("delivery: effectively-once (")
    );
    let line = lines.next().unwrap();
    assert!(
        line.starts_with("movies: ") && line.contains(" records (") && line.contains("/s, "),
        "{line}"
    );
    assert!(!answer.err.contains('\x1b') && !answer.err.contains('\r'));
}

#[test]
fn a_job_to_begin_with_runs_as_it_stands() {
    let world = World::new();
    check(
        &world.expect(0, &["job", "init"]).out,
        expect![[r#"
        wrote job.toml, a job that runs as it stands

          dkhost plan job.toml  what would happen
          dkhost run job.toml   makes it happen
    "#]],
    );
    check(
        &world.expect(0, &["job", "check", "job.toml"]).out,
        expect![[r#"
            example: memory to file, 4 steps; the file is fine
            `dkhost plan job.toml` checks it against the stores
        "#]],
    );
    world.expect(0, &["run", "job.toml"]);
    world.expect(0, &["run", "job.toml"]);
    assert_eq!(
        world.read("out/example.jsonl"),
        concat!(
            "{\"id\":1,\"name\":\"Ada Lovelace\",\"country\":\"gb\",\"born\":1815,\"century\":19}\n",
            "{\"id\":2,\"name\":\"Alan Turing\",\"country\":\"gb\",\"born\":1912,\"century\":20}\n"
        )
    );
    check(
        &world.expect(2, &["job", "init"]).err,
        expect![[r#"
        error[job::exists]: `job.toml` exists and is left as it is
          help: give another name: dkhost job init other.toml
    "#]],
    );
    world.expect(0, &["job", "init", "other.toml"]);
}

#[test]
fn a_check_needs_no_store() {
    let world = World::with_job(
        "name = \"x\"\n[source]\nbackend = \"file\"\npath = \"gone.csv\"\n[target]\nbackend = \"file\"\npath = \"out.csv\"\n",
    );
    assert_eq!(
        world
            .expect(0, &["job", "check", "job.toml", "--json"])
            .last()["source"],
        "file"
    );
    world.expect(2, &["plan", "job.toml"]);
}
