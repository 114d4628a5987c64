//! Values that our types do not hold: refused one by one, and kept where the column is declared as
//! text.

use crate::support::{columns, database, differences, job, letters, run, table};
use crate::world::World;

const BEYOND: &str = include_str!("beyond.sql");

#[test]
fn what_a_type_here_does_not_hold_is_refused_by_record_with_the_way_out() {
    let (from, to, world) = (database(BEYOND), database(""), World::new());
    let target = table(&to, "beyond") + "create = true\n";
    let job = job(
        &world,
        "strict",
        &table(&from, "beyond"),
        &target,
        "verify = \"full\"\non_error = \"dead-letter\"",
    );
    assert_eq!(run(&world, &job), 13);
    let refused: Vec<String> = letters(&world, &job)
        .into_iter()
        .map(|(key, column, _)| format!("{key} {column}"))
        .collect();
    assert_eq!(
        refused,
        [
            "1 price",
            "2 number",
            "3 number",
            "4 number",
            "5 day",
            "6 day",
            "9 hour",
            "10 moment",
            "11 moment",
            "12 moment",
            "14 instant",
            "15 instant",
            "16 instant"
        ]
    );
    let shown = world.expect(0, &["errors", "show", "1", &job]).out;
    assert!(shown.contains("fields = { price = \"utf8\" }"), "{shown}");
    // What the plan says of arrays.
    let plan = world.expect(0, &["plan", &job]).out;
    for said in [
        "`ints` (integer[]) is read as JSON: its subscripts then begin at 1",
        "`plain` (json[]) is read as JSON: its subscripts then begin at 1, and a null of JSON in it is NULL",
    ] {
        assert!(plan.contains(said), "{said}: {plan}");
    }
    from.sql("DELETE FROM beyond WHERE id IN (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 14, 15, 16)");
    assert_eq!(
        differences((&from, "beyond"), (&to, "beyond")),
        [
            "18 ints: '[-1:1]={1,2,3}' -> '{1,2,3}'",
            "19 ints: '[0:1][2:3]={{1,2},{3,4}}' -> '{{1,2},{3,4}}'",
            r#"21 jsons: E'{"null",NULL,"{\\"a\\": null}"}' -> E'{NULL,NULL,"{\\"a\\": null}"}'"#,
            r#"22 plain: E'{"null",NULL,"{\\"a\\":null}"}' -> E'{NULL,NULL,"{\\"a\\":null}"}'"#,
        ]
    );
}

#[test]
fn declared_as_text_every_value_arrives_in_a_table_of_the_same_types() {
    let (from, to, world) = (
        database(BEYOND),
        database("CREATE TABLE seen ()"),
        World::new(),
    );
    to.sql(&format!("BEGIN; {BEYOND}; TRUNCATE beyond; COMMIT"));
    let names = [
        "price", "number", "day", "hour", "moment", "instant", "ints", "floats", "jsons", "plain",
    ];
    let fields: Vec<String> = names
        .iter()
        .map(|name| format!("{name} = \"utf8\""))
        .collect();
    let source = format!(
        "{}fields = {{ {} }}\n",
        table(&from, "beyond"),
        fields.join(", ")
    );
    let job = job(
        &world,
        "text",
        &source,
        &table(&to, "beyond"),
        "verify = \"full\"",
    );
    assert_eq!(run(&world, &job), 0);
    assert_eq!(differences((&from, "beyond"), (&to, "beyond")), [""; 0]);
    assert_eq!(columns(&from, "beyond"), columns(&to, "beyond"));
}
