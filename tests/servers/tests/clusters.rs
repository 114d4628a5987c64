//! What tests with Elasticsearch and OpenSearch rely on: names of their own, servers that obey, and
//! nothing left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dkhost_servers::{Access, Cluster, Indices, Stop};

/// One start of Java at a time: each keeps a small machine busy, and takes half a gigabyte.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn status(access: &Access, path: &str) -> u16 {
    access.ask("GET", path, "").unwrap().status
}

/// Puts a document and finds it again.
fn holds_a_document(indices: &Indices, text: &str) {
    let index = indices.name("a");
    let bulk = format!("{{\"index\":{{\"_id\":\"1\"}}}}\n{{\"text\":\"{text}\"}}\n");
    let answer = indices.ask("POST", &format!("/{index}/_bulk?refresh=true"), &bulk);
    assert!(answer.contains(r#""errors":false"#), "{answer}");
    let found = indices.ask("GET", &format!("/{index}/_search?q=text:{text}"), "");
    assert!(found.contains(text), "{found}");
}

#[test]
fn each_test_has_indices_of_its_own_that_go_with_it() {
    let _alone = alone();
    for fresh in [dkhost_servers::elasticsearch, dkhost_servers::opensearch] {
        let (first, second) = (fresh(), fresh());
        assert_ne!(first.prefix, second.prefix);
        holds_a_document(&first, "one");
        holds_a_document(&second, "two");
        let index = format!("/{}", first.name("a"));
        let access = first.access.clone();
        assert_eq!(status(&access, &index), 200);
        drop(first);
        assert_eq!(status(&access, &index), 404);
        let found = second.ask("GET", &format!("/{}/_search", second.name("a")), "");
        assert!(found.contains("two"), "{found}");
    }
}

#[test]
fn the_two_tell_who_they_are_as_they_do_elsewhere() {
    let _alone = alone();
    let elasticsearch = dkhost_servers::elasticsearch();
    let answer = elasticsearch
        .access
        .ask("GET", "/_cluster/health", "")
        .unwrap();
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    let opensearch = dkhost_servers::opensearch();
    let answer = opensearch.ask("GET", "/", "");
    assert!(
        answer.contains(r#""distribution" : "opensearch""#),
        "{answer}"
    );
}

#[test]
fn a_secured_cluster_asks_for_its_password_and_has_its_certificate() {
    let _alone = alone();
    let indices = dkhost_servers::secured_elasticsearch();
    holds_a_document(&indices, "three");
    let mut nobody = indices.access.clone();
    nobody.user = None;
    assert_eq!(status(&nobody, "/_cluster/health"), 401);
    nobody.user = Some(("elastic".to_owned(), "wrong".to_owned()));
    assert_eq!(status(&nobody, "/_cluster/health"), 401);
    let mut other = indices.access.clone();
    other.authority = Some(dkhost_servers::Authority::new().pem());
    let why = other.ask("GET", "/", "").unwrap_err();
    assert!(why.contains("certificate"), "{why}");
}

#[test]
fn elasticsearch_obeys_and_goes_when_the_process_is_killed() {
    let name = "elasticsearch_obeys_and_goes_when_the_process_is_killed";
    let _alone = alone();
    support::goes_with_its_process(name, || obedient(Cluster::elasticsearch()));
}

#[test]
fn opensearch_obeys_and_goes_when_the_process_is_killed() {
    let name = "opensearch_obeys_and_goes_when_the_process_is_killed";
    let _alone = alone();
    support::goes_with_its_process(name, || obedient(Cluster::opensearch()));
}

/// Paused it does not answer, resumed it does; killed and started again it has what it had.
fn obedient(cluster: Result<Cluster, String>) -> (Cluster, u32, String) {
    let mut cluster = cluster.unwrap();
    let indices = cluster.indices();
    holds_a_document(&indices, "four");
    let port = cluster.process.port();

    cluster.process.pause();
    let (sender, answers) = std::sync::mpsc::channel();
    let access = cluster.access().clone();
    std::thread::spawn(move || sender.send(access.ask("GET", "/_cluster/health", "")));
    assert!(answers.recv_timeout(Duration::from_millis(500)).is_err());
    cluster.process.resume();
    assert_eq!(answers.recv().unwrap().unwrap().status, 200);

    let killed = cluster.process.pid().unwrap();
    cluster.process.stop(Stop::Immediate).unwrap();
    assert!(!support::runs(killed));
    assert!(cluster.access().ask("GET", "/_cluster/health", "").is_err());
    cluster.process.start_again().unwrap();
    assert_eq!(cluster.process.port(), port);
    let health = "/_cluster/health?wait_for_status=yellow&timeout=60s";
    indices.ask("GET", health, "");
    let found = indices.ask("GET", &format!("/{}/_doc/1", indices.name("a")), "");
    assert!(found.contains("four"), "{found}");
    // Gone without taking its indices along, as a killed test is.
    std::mem::forget(indices);
    let pid = cluster.process.pid().unwrap();
    let folder = cluster.process.folder().display().to_string();
    (cluster, pid, folder)
}
