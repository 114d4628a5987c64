//! Who asks, as variables, profiles and the job say it: a process of its own for each case.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use dkhost_drive::read;
use dkhost_fake_s3::Fake;
use serde_json::{Value, json};
use support::open_source;

const NAME: &str = "who_asks_is_found_as_the_aws_tools_find_it";

/// The job of the process that asks.
const JOB: &str = "DKHOST_TEST_JOB";

/// What this process says about a job: how many records, or the error's code.
fn said(job: &str) -> String {
    let options: Value = serde_json::from_str(job).unwrap();
    match open_source(options, |_| ()) {
        Ok(source) => format!("{} records", read(source.as_ref()).len()),
        Err(error) => format!("{} {}", error.code(), error.chain()),
    }
}

/// Asks in a process with these variables, and no others that name anybody.
fn ask(folder: &Path, job: &Value, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME, "--nocapture"]).env_clear();
    command.env("HOME", folder).env(JOB, job.to_string());
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("said: "));
    line.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

#[test]
fn who_asks_is_found_as_the_aws_tools_find_it() {
    if let Ok(job) = std::env::var(JOB) {
        println!("\nsaid: {}", said(&job));
        return;
    }
    let fake = Fake::start();
    fake.put("a.jsonl", b"{\"id\":1}\n");
    // A machine that asks whoever knows its role, and gets no answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let silent = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", silent.as_str());
    let folder = std::env::temp_dir().join(format!("dkhost-who-{}", std::process::id()));
    std::fs::create_dir_all(folder.join(".aws")).unwrap();
    let keys = |id: &str| {
        let secret = Fake::SECRET_KEY;
        format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    let right = keys(Fake::ACCESS_KEY);
    let profiles = format!(
        "[default]\n{right}\n[other]\n{right}\n[wrong]\n{}",
        keys("x")
    );
    let (key, secret) = (Fake::ACCESS_KEY, Fake::SECRET_KEY);
    let good = [
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        silent,
    ];
    let bad = [
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "y"),
        silent,
    ];
    let job = json!({"bucket": "any", "endpoint": fake.endpoint()});
    let with =
        |profile: &str| json!({"bucket": "any", "endpoint": fake.endpoint(), "profile": profile});

    let none = ask(&folder, &job, &[silent]);
    assert!(none.starts_with("s3::no_credentials "), "{none}");
    assert!(none.contains("there are none in the job"), "{none}");
    let nowhere = ask(&folder, &json!({"bucket": "any"}), &[silent]);
    assert!(nowhere.starts_with("s3::no_region "), "{nowhere}");
    assert_eq!(ask(&folder, &job, &good), "1 records");
    assert!(ask(&folder, &job, &bad).starts_with("s3::denied "));
    let unwritten = ask(&folder, &with("other"), &good);
    assert!(
        unwritten.contains("there is no such profile"),
        "{unwritten}"
    );
    std::fs::write(folder.join(".aws/credentials"), profiles).unwrap();
    assert_eq!(ask(&folder, &job, &[silent]), "1 records");
    // What the job names goes before what is found, and nothing takes its place.
    assert_eq!(ask(&folder, &with("other"), &bad), "1 records");
    let wrong = ask(&folder, &with("wrong"), &good);
    assert!(wrong.starts_with("s3::denied "), "{wrong}");
    let missing = ask(&folder, &with("missing"), &good);
    assert!(missing.starts_with("s3::no_credentials "), "{missing}");
    assert!(missing.contains("`missing`"), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();
}
