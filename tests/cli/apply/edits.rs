//! Migration files that say something else than when they were applied.

use super::applying::{Applying, JSONL, OLD, TABLE, lines};

const FILE: &str = "schemas/user/1.0.0--2.0.0.toml";

#[test]
fn a_migration_that_was_edited_after_it_was_applied_is_refused_until_it_is_accepted() {
    for target in [TABLE, JSONL] {
        let applying = Applying::filled(target, OLD);
        let world = &applying.world;
        applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
        let text = world.read(FILE);
        world.write(FILE, format!("description = \"edited\"\n{text}"));
        let before = applying.records();
        let (code, answer) = applying.refused(2, "--to 1.0.0");
        assert_eq!(code, "schema::edited", "{target}");
        let error = answer.last();
        assert!(
            error["message"]
                .to_string()
                .contains("user/1.0.0--2.0.0.toml was edited"),
            "{error}"
        );
        assert!(
            error["help"].to_string().contains("--accept-edited"),
            "{error}"
        );
        assert_eq!(applying.records(), before, "{target}");

        // Whoever looks first is not kept from it, and told.
        let told = applying.apply(0, "--to 1.0.0 --dry-run").err;
        assert!(
            told.contains("was edited after it had been applied to")
                && told.contains("only --accept-edited applies it"),
            "{told}"
        );
        let told = applying.apply(0, "--to 1.0.0 --dry-run --accept-edited");
        assert!(!told.err.contains("was edited"), "{}", told.err);
        applying.apply(0, "--to 1.0.0 --quiet --accept-edited");
        let history = world.expect(0, &["schema", "history"]).out;
        assert!(
            history.contains("user/1.0.0--2.0.0.toml was edited after"),
            "{history}"
        );
        // What this store was last brought along with was accepted.
        applying.apply(0, "--to 2.0.0 --quiet");
        assert_eq!(applying.records(), before, "{target}");
        world.write(FILE, text.replace("none@", "nobody@"));
        assert_eq!(applying.refused(2, "--to 1.0.0").0, "schema::edited");
    }
}

#[test]
fn what_was_accepted_for_one_store_is_not_accepted_for_another() {
    let applying = Applying::filled(JSONL, OLD);
    let world = &applying.world;
    applying.apply(0, "--from 1.0.0 --to 2.0.0 --quiet");
    let text = world.read(FILE);
    world.write(FILE, text.replace("none@", "nobody@"));
    world.write("store/other.jsonl", OLD);
    let other = "--set target.path=store/other.jsonl --from 1.0.0 --to 2.0.0";
    assert_eq!(applying.refused(2, other).0, "schema::edited");
    applying.apply(0, &format!("{other} --quiet --accept-edited"));
    let went = lines(&world.read("store/other.jsonl"));
    assert_eq!(went[0]["email"], "nobody@example.com");
    assert_eq!(applying.refused(2, "--to 1.0.0").0, "schema::edited");
}
