//! A connection that is cut, closed or answered too late, through a proxy before a real server.

use dkhost_proxy::{Act, Proxy, Rule, Way};

use super::faults::Chance;
use super::oracle::{check_end, check_meanwhile, is_done, undisturbed};
use super::targets::target;
use super::world::{Load, World};

/// Lets the job reach its server through the proxy.
fn through(world: &World) -> Proxy {
    let address = world.place().unwrap().address();
    let proxy = Proxy::start(address).unwrap();
    let job = std::fs::read_to_string(world.path("job.toml")).unwrap();
    world.write(
        "job.toml",
        job.replace(address, &proxy.address().to_string()),
    );
    proxy
}

/// One run with the rule, which must strike; then to the end.
fn play(name: &str, rule: Rule, context: &str) {
    let load = Load::small_for(target(name));
    let wanted = undisturbed(target(name), load);
    let world = World::new(target(name), load);
    let proxy = through(&world);
    proxy.set(rule);
    let answer = world.run();
    let said = format!("{context}: {} {}", answer.last, answer.err);
    assert_eq!(proxy.struck(), 1, "it was never reached: {said}");
    assert!([3, 5].contains(&answer.code), "{said}");
    proxy.clear();
    check_meanwhile(&world, &wanted, &said);
    if !is_done(&world) {
        let again = world.run();
        assert_eq!(again.code, 3, "{said}, then {} {}", again.last, again.err);
    }
    check_end(&world, &wanted, &said);
}

/// The server has committed, or not; only the connection knew. One answer is right for both: ask.
#[test]
fn a_connection_lost_around_a_commit_is_asked_about() {
    for name in ["postgres", "postgres-upsert", "postgres-replace"] {
        for act in [Act::Cut, Act::Close, Act::DropReplies] {
            // What a commit writes down, and the word itself.
            for pattern in [&b"INTO dkhost.checkpoint AS c"[..], b"COMMIT"] {
                let rule = Rule::when(Way::ToServer, pattern).then(act);
                let words = String::from_utf8_lossy(pattern).into_owned();
                play(name, rule, &format!("{name}, {act:?} after {words}"));
            }
        }
        let reply = Rule::when(Way::ToClient, b"COMMIT").then(Act::Cut);
        play(
            name,
            reply,
            &format!("{name}, cut after the answer to COMMIT"),
        );
    }
}

/// Anywhere: in mid-COPY, in a message, between two.
#[test]
fn a_connection_cut_at_any_byte_loses_nothing() {
    let rounds = super::seeds().unwrap_or(12);
    for seed in 1..=rounds {
        let mut chance = Chance(seed.wrapping_mul(77_003));
        let name = chance.one_of(&[
            "postgres",
            "postgres-rows",
            "postgres-upsert",
            "postgres-replace",
        ]);
        let way = chance.one_of(&[Way::ToServer, Way::ToClient]);
        let act = chance.one_of(&[Act::Cut, Act::Close]);
        // The connections differ in what passes: the first that comes so far.
        let bytes = 1 + chance.below(2_500) as u64;
        let context = format!("{name}, seed {seed}: {act:?} after {bytes} bytes {way:?}");
        play(name, Rule::after(way, bytes).then(act), &context);
    }
}

/// The server has done it, and nobody was told: bulks, checkpoints, the swap; parts, records, what
/// makes them count.
#[test]
fn an_answer_over_http_that_is_lost_is_asked_for_again() {
    for (name, words) in [
        ("elasticsearch-insert", ["/_bulk", "if_seq_no"]),
        (
            "elasticsearch-replace",
            ["POST /_aliases", "dkhost-checkpoints/_doc"],
        ),
        ("s3", ["/part-0000", ".dkhost/state"]),
        ("s3-parquet-replace", ["/_manifest.json", "t/_LATEST"]),
        ("s3-records", ["/1.json", ".dkhost/note-"]),
    ] {
        for word in words {
            let rule = Rule::when(Way::ToServer, word.as_bytes()).then(Act::DropReplies);
            play(name, rule, &format!("{name}, no answer to {word}"));
        }
    }
}

/// Anywhere: in a header, in a bulk, in an object, in an answer.
#[test]
fn a_connection_over_http_cut_at_any_byte_loses_nothing() {
    for seed in 1..=super::seeds().unwrap_or(8) {
        let mut chance = Chance(seed.wrapping_mul(78_007));
        let name = chance.one_of(&[
            "elasticsearch",
            "elasticsearch-insert",
            "elasticsearch-upsert",
            "elasticsearch-replace",
            "s3",
            "s3-parquet-replace",
            "s3-records",
            "s3-records-upsert",
        ]);
        let way = chance.one_of(&[Way::ToServer, Way::ToClient]);
        let act = chance.one_of(&[Act::Cut, Act::Close, Act::DropReplies]);
        let bytes = 1 + chance.below(6_000) as u64;
        let context = format!("{name}, seed {seed}: {act:?} after {bytes} bytes {way:?}");
        play(name, Rule::after(way, bytes).then(act), &context);
    }
}
