//! A retry of dead letters is a run like any other: disturbed at any point and taken up again it brings
//! each record in once, and the letters are resolved with its end or not at all.

use super::oracle::{content, history, table, tree};
use super::points::{POINTS, is_passed_by};
use super::targets::target;
use super::world::{Answer, Load, World};

/// A finished run whose refused records a mended job would take.
fn refused() -> World {
    let world = World::new(target("sqlite"), Load::SMALL);
    assert_eq!(world.run().code, 3);
    let job = std::fs::read_to_string(world.path("job.toml")).unwrap();
    let mended = job.replace("1000 / (id % 100)", "1000 / (id % 100 + 1)");
    assert_ne!(job, mended);
    world.write("job.toml", mended);
    world
}

fn retry(world: &World, fail: Option<&str>) -> Answer {
    let mut command = world.other(&["errors", "retry", "job.toml", "--json"]);
    command.envs(fail.map(|fail| ("DKHOST_FAIL", fail)));
    command.output().unwrap().into()
}

/// How many letters no run has brought in.
fn open_letters(world: &World) -> usize {
    let (_folder, db) = history(world).unwrap();
    table(
        &db,
        "SELECT number FROM dead_letter WHERE resolved_by IS NULL",
    )
    .len()
}

#[test]
fn a_retry_of_dead_letters_survives_every_point() {
    let undisturbed = refused();
    let before = open_letters(&undisturbed);
    let answer = retry(&undisturbed, None);
    assert_eq!(
        (answer.code, open_letters(&undisturbed)),
        (0, 0),
        "{} {}",
        answer.last,
        answer.err
    );
    assert_eq!(answer.last["counts"]["written"], before);
    let wanted = content(&undisturbed);
    let mut passed = 0;
    for point in POINTS
        .iter()
        .filter(|point| is_passed_by(point, undisturbed.target))
    {
        for action in ["kill", "error"] {
            let fail = format!("{}:1:{action}", point.name);
            if std::env::var("DKHOST_FAIL").is_ok_and(|only| only != fail) {
                continue;
            }
            let world = refused();
            let answer = retry(&world, Some(&fail));
            let context = format!(
                "DKHOST_FAIL={fail}: {} {} {}",
                answer.code, answer.last, answer.err
            );
            passed += usize::from(answer.code != 0);
            assert!([0, 5, -9].contains(&answer.code), "{context}");
            if open_letters(&world) > 0 {
                assert_ne!(answer.code, 0, "{context}");
                let again = retry(&world, None);
                assert_eq!(
                    again.code, 0,
                    "{context}; then {} {}",
                    again.last, again.err
                );
            }
            assert!(
                content(&world) == wanted,
                "{context}: a record was lost or doubled"
            );
            assert_eq!(open_letters(&world), 0, "{context}");
            // What a kill inside the last sweep leaves goes with the next run; there is none here.
            if action == "error" {
                assert_eq!(
                    tree(&world.path(".")),
                    tree(&undisturbed.path(".")),
                    "{context}"
                );
            }
        }
    }
    assert!(
        passed > 20 || std::env::var_os("DKHOST_FAIL").is_some(),
        "only {passed} points were passed"
    );
}
