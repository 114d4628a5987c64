//! What planning refuses, with the words that help.

use dkhost_core::LogicalType;

use super::{bind, one, refused, version};
use crate::expr::Scope;
use crate::steps::testing::{input, key, with_reserved};

const USER: &str = r#"
    key = ["id"]
    [fields.id]
    type = "int64"
    [fields.name]
    type = "utf8"
    required = true
    was = "label"
    [fields.age]
    type = "int64"
    default = 0
    required = true
    [fields.note]
    type = "utf8"
"#;

#[test]
fn a_missing_field_names_what_was_likely_meant() {
    let refused = |columns: &[(&str, &str)]| refused(USER, false, &input(columns));
    let all = [("id", "int64"), ("age", "int64"), ("note", "utf8")];
    let with = |name| [&all[..], &[(name, "utf8")]].concat();
    let (message, help) = refused(&with("label"));
    assert_eq!(
        message,
        "schema::missing_field stage `here` needs the field `name` of user@2.0.0, which its input does not have"
    );
    assert_eq!(
        help,
        "rename it in a step before: rename = { label = \"name\" }"
    );
    assert_eq!(
        refused(&with("nmae")).1,
        "rename it in a step before: rename = { nmae = \"name\" }"
    );
    assert_eq!(
        refused(&all).1,
        "compute it in a step before: set = { name = \"…\" }; the columns are: id, age, note"
    );
    let (message, help) = refused(&[("id", "int64"), ("name", "utf8")]);
    assert!(message.contains("the field `age`"), "{message}");
    assert_eq!(help, "coerce = true fills in its default, 0");
}

#[test]
fn another_type_is_refused_unless_it_is_to_be_converted_and_can_be() {
    let has = |logical| input(&[("v", logical)]);
    let (message, help) = refused(&one("int64", ""), false, &has("utf8"));
    assert_eq!(
        message,
        "schema::wrong_type stage `here` gets `v` as utf8, and user@2.0.0 has it as int64"
    );
    assert_eq!(
        help,
        "write coerce = true, or cast it in a step before: apply = { v = { type_cast = { to = \"int64\" } } }"
    );
    assert!(bind(&one("int64", ""), true, &has("utf8")).is_ok());
    let (_, help) = refused(&one("date32", ""), true, &has("int64"));
    assert!(
        help.starts_with("there is no cast from int64 to date32; a number does not say its unit"),
        "{help}"
    );
    assert!(
        refused(&one("utf8", ""), false, &has("json"))
            .0
            .contains("gets `v` as json")
    );
    assert!(
        refused(&one("decimal(9, 2)", ""), false, &has("decimal(9, 1)"))
            .0
            .contains("as decimal(9, 1)")
    );
}

#[test]
fn an_id_stays_text() {
    let schema = with_reserved(input(&[]));
    let toml = "open = true\n[fields._id]\ntype = \"int64\"\n";
    let (_, help) = refused(toml, true, &schema);
    assert!(help.starts_with("a record's id is text"), "{help}");
    assert!(bind(&toml.replace("int64", "utf8"), true, &schema).is_ok());
}

#[test]
fn a_column_the_version_does_not_know_is_refused_unless_it_is_open() {
    let schema = input(&[("v", "utf8"), ("ww", "utf8"), ("x", "int64")]);
    let toml = one("utf8", "[fields.w]\ntype = \"utf8\"\n");
    let (message, help) = refused(&toml, false, &schema);
    assert_eq!(
        message,
        "schema::unknown_field stage `here` gets the column `ww`, which is no field of user@2.0.0"
    );
    assert_eq!(
        help,
        "if it is `w`, rename it before: rename = { ww = \"w\" }; else leave it out before: drop = [\"ww\", \"x\"]; or write open = true in the version"
    );
    assert!(bind(&format!("open = true\n{toml}"), false, &schema).is_ok());
}

#[test]
fn reserved_columns_and_those_of_migrations_need_not_be_known() {
    let own = input(&[
        ("v", "utf8"),
        ("_schema_version", "utf8"),
        ("_removed", "json"),
    ]);
    assert!(bind(&one("utf8", ""), false, &with_reserved(own)).is_ok());
}

#[test]
fn a_mistake_in_a_check_is_told_with_its_text_and_its_version() {
    let with = |check: &str| format!("check = [\"{check}\"]\n{}", one("int64", ""));
    let schema = input(&[("v", "int64")]);
    let (message, help) = refused(&with("v + w > 1"), false, &schema);
    assert!(
        message.starts_with(
            "schema::wrong_check the check `v + w > 1` of user@2.0.0 cannot be made: "
        ),
        "{message}"
    );
    assert!(
        message.contains("`w`") && help.contains('v'),
        "{message} {help}"
    );
    let (message, _) = refused(&with("v + 1"), false, &schema);
    assert!(
        message.contains("needs a condition, and `v + 1` is int64"),
        "{message}"
    );
    let (message, help) = refused(&with("v >"), false, &schema);
    assert!(
        message.contains("`v >`") && help.starts_with("an expression is SQL"),
        "{message} {help}"
    );
}

#[test]
fn checks_see_the_types_of_the_version() {
    let toml = format!("check = [\"v + 1 > 1\"]\n{}", one("int64", ""));
    assert!(bind(&toml, true, &input(&[("v", "utf8")])).is_ok());
}

#[test]
fn the_output_keeps_the_order_of_the_input_and_has_the_key_of_the_version() {
    let columns = [
        ("note", "utf8"),
        ("age", "utf8"),
        ("name", "utf8"),
        ("id", "int64"),
    ];
    let schema = key(input(&columns), "name");
    let step = bind(USER, true, &schema).unwrap();
    let facts: Vec<_> = step
        .output()
        .fields
        .iter()
        .map(|field| (field.name.as_str(), field.nullable, field.key))
        .collect();
    assert_eq!(
        facts,
        [
            ("note", true, None),
            ("age", false, None),
            ("name", false, None),
            ("id", false, Some(0))
        ]
    );
    assert_eq!(step.output().fields[1].logical, LogicalType::Int64);
    assert_eq!(step.note().summary, "user@2.0.0, values converted");
    let names = |pairs: Vec<(String, String)>| {
        pairs
            .into_iter()
            .map(|(from, to)| {
                assert_eq!(from, to);
                to
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(step.carries()), ["note", "name", "id"]);
    assert_eq!(step.reads(), ["note", "age", "name", "id"]);
    let keyless = bind(&one("utf8", ""), false, &key(input(&[("v", "utf8")]), "v")).unwrap();
    assert_eq!(keyless.output().fields[0].key, Some(0));
}

#[test]
fn a_rest_says_itself_which_values_are_missing() {
    let toml = format!("open = true\ncheck = [\"x > 0\"]\n{}", one("utf8", ""));
    let schema = with_reserved(input(&[("v", "utf8"), ("x", "int64")]));
    let step = bind(&toml, false, &schema).unwrap();
    assert_eq!(step.reads(), ["x"], "a check of a column that is no field");
    assert_eq!(step.carries().len(), 5);
    let names: Vec<String> = bind(&toml, true, &schema)
        .unwrap()
        .carries()
        .into_iter()
        .map(|(from, _)| from)
        .collect();
    assert_eq!(
        names,
        ["_id", "x", "_meta", "_rest"],
        "late values may be converted"
    );
}

#[test]
fn single_fields_are_constrained_without_a_look_at_the_others() {
    let schema = input(&[("x", "json"), ("name", "utf8"), ("age", "utf8")]);
    let scope = Scope::stage("here", &schema);
    let constrain = |fields: &[&str]| {
        let fields: Vec<String> = fields.iter().map(|name| (*name).to_owned()).collect();
        super::super::constrain(&version(USER), &fields, &(0..1), &scope)
    };
    let step = constrain(&["name", "note"]).unwrap();
    assert_eq!(step.reads(), ["name"]);
    assert_eq!(step.note().summary, "name, note as in user@2.0.0");
    assert!(!step.output().fields[1].nullable);
    let (good, bad) = super::run(step.as_ref(), &schema, r#"{"name":"a"} {"age":"x"}"#);
    assert_eq!(good, [r#"{"x":null,"name":"a","age":null}"#]);
    assert_eq!(
        bad,
        ["1 schema::required name `name` has no value, and user@2.0.0 requires one"]
    );
    let error = constrain(&["age"]).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "schema::wrong_type");
    assert_eq!(
        error.help_text(),
        Some("cast it before: apply = { age = { type_cast = { to = \"int64\" } } }")
    );
    assert_eq!(
        constrain(&["id"]).map(|_| ()).unwrap_err().code(),
        "schema::missing_field"
    );
}
