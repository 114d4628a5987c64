//! `set`: columns computed by SQL expressions.
//!
//! Every expression sees the step's input, as in SQL's `update`: `{ a = "b", b = "a" }` swaps. A
//! value that is set is there: what it gives as null is an explicit null, also where the field was
//! absent.

use arrow::array::{ArrayRef, RecordBatch};
use dkhost_core::{Error, Field, LogicalType, Node, Result, Role, RowReject, Span, Step};

use super::assign::{Assignment, Compute, assign};
use super::built_in::step;
use super::entries;
use super::filter::reject;
use crate::expr::{Expression, Scope};

pub(super) fn build(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let (mut assignments, mut summary, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for (name, span, value) in entries(node, "`set`")? {
        let expression = Expression::parse_node(value, scope)?;
        let field = field(name, span, &expression, scope)?;
        summary.push(format!("{} as {name}", expression.text()));
        read.extend(expression.columns().to_vec());
        assignments.push(Assignment {
            field,
            compute: Box::new(Computed {
                column: name.clone(),
                expression,
            }),
        });
    }
    let (mut facts, work) = assign(scope.input, assignments);
    facts.reads = scope
        .input
        .names()
        .filter(|name| read.iter().any(|r| r == name))
        .map(str::to_owned)
        .collect();
    facts.summary = summary.join(", ");
    Ok(step(facts, work))
}

/// The field an expression makes: in place of one with this name, which keeps its role and its
/// place in the key, or a new one.
fn field(name: &str, span: &Span, expression: &Expression, scope: &Scope) -> Result<Field> {
    let logical = expression.logical().clone();
    let old = scope.input.field(name);
    match old.and_then(|field| field.role) {
        Some(Role::Id) if logical != LogicalType::Utf8 => {
            return Err(Error::config(
                "plan::reserved_column",
                format!(
                    "{} sets `{name}`, the record's id, to {logical}",
                    scope.reader
                ),
            )
            .at(span.clone(), "an id is text")
            .help("write cast(… as text)"));
        }
        Some(Role::Meta | Role::Rest) => {
            return Err(Error::config(
                "plan::reserved_column",
                format!("{} sets `{name}`, which only a source fills", scope.reader),
            )
            .at(span.clone(), "not a field of the record")
            .help("choose another name; `rename` this column if you need its name"));
        }
        _ => {}
    }
    if name.is_empty() {
        return Err(Error::config(
            "plan::no_name",
            format!("{} sets a column without a name", scope.reader),
        )
        .at(span.clone(), "a name is needed here"));
    }
    let fresh = Field {
        nullable: expression.nullable(),
        ..Field::new(name, logical)
    };
    Ok(match old {
        Some(old) => Field {
            role: old.role,
            key: old.key,
            source_type: old
                .source_type
                .clone()
                .filter(|_| old.logical == fresh.logical),
            ..fresh
        },
        None => fresh,
    })
}

struct Computed {
    column: String,
    expression: Expression,
}

impl Compute for Computed {
    fn compute(&self, records: &RecordBatch, rejects: &mut Vec<RowReject>) -> Result<ArrayRef> {
        let evaluated = self.expression.evaluate_rows(records)?;
        rejects.extend(
            evaluated
                .faults
                .into_iter()
                .map(|fault| reject(fault, Some(&self.column))),
        );
        Ok(evaluated.values)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, check, check_rejects, input, key, refused, with_reserved};
    use dkhost_core::LogicalType;
    use serde_json::json;

    #[test]
    fn set_replaces_in_place_and_appends_what_is_new() {
        check(
            (
                "set",
                json!({"b": "lower(trim(b))", "cost": "\"Cost Other\" + \"Cost Repair\""}),
            ),
            &input(&[
                ("b", "utf8"),
                ("Cost Other", "int64"),
                ("Cost Repair", "int64"),
            ]),
            r#"{"b":" ÄB ","Cost Other":1,"Cost Repair":2} {"b":null,"Cost Other":null,"Cost Repair":2}"#,
            r#"{"b":"äb","Cost Other":1,"Cost Repair":2,"cost":3} {"b":null,"Cost Other":null,"Cost Repair":2,"cost":null}"#,
        );
    }

    #[test]
    fn every_expression_sees_the_input() {
        check(
            ("set", json!({"a": "b", "b": "a", "c": "a + b"})),
            &input(&[("a", "int64"), ("b", "int64")]),
            r#"{"a":1,"b":20}"#,
            r#"{"a":20,"b":1,"c":21}"#,
        );
    }

    #[test]
    fn a_record_that_cannot_be_computed_is_refused_alone() {
        check_rejects(
            (
                "set",
                json!({"n": "cast(t as int)", "m": "9223372036854775807 + k"}),
            ),
            &input(&[("t", "utf8"), ("k", "int64")]),
            r#"{"t":"1","k":0} {"t":"x\n","k":0} {"t":"3","k":1} {"t":null,"k":-1}"#,
            r#"{"t":"1","k":0,"n":1,"m":9223372036854775807} {"t":null,"k":-1,"n":null,"m":9223372036854775806}"#,
            &[
                r"1 step::expression n cannot cast string 'x\n' to value of int32 type",
                "2 step::expression m 9223372036854775807 + 1 is out of range",
            ],
        );
    }

    #[test]
    fn try_cast_is_the_users_own_null() {
        check(
            ("set", json!({"age": "coalesce(try_cast(age as int), 0)"})),
            &input(&[("age", "utf8")]),
            r#"{"age":"12"} {"age":"old"} {"age":null}"#,
            r#"{"age":12} {"age":0} {"age":0}"#,
        );
    }

    #[test]
    fn facts_name_what_is_read_and_what_is_carried() {
        let schema = key(input(&[("a", "int64"), ("b", "utf8"), ("c", "utf8")]), "a");
        let step = build("set", json!({"a": "a + 1", "d": "upper(c)"}), &schema).unwrap();
        assert_eq!(step.reads(), ["a", "c"]);
        assert_eq!(
            step.carries(),
            [("b".into(), "b".into()), ("c".into(), "c".into())]
        );
        assert_eq!(step.note().summary, "a + 1 as a, upper(c) as d");
        assert_eq!(step.output().fields[0].key, Some(0));
        assert_eq!(step.output().fields[3].logical, LogicalType::Utf8);
    }

    #[test]
    fn the_id_can_be_set_to_text_and_meta_and_rest_cannot_be_set() {
        let schema = with_reserved(input(&[("a", "int64")]));
        let step = build("set", json!({"_id": "cast(a as text)"}), &schema).unwrap();
        assert_eq!(step.output().fields[0].role, schema.fields[0].role);
        for set in [
            json!({"_id": "a"}),
            json!({"_meta": "'{}'"}),
            json!({"_rest": "'{}'"}),
        ] {
            assert_eq!(refused("set", set, &schema).code(), "plan::reserved_column");
        }
    }
}
