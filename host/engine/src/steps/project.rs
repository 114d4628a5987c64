//! `drop` and `keep`: which columns go on.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use dkhost_core::{Changed, Error, Node, NodeKind, Result, Role, Schema, Step};

use super::built_in::{Facts, Work, changed, step};
use super::{index_of, text};
use crate::expr::Scope;

/// Some columns of the input under the output's names.
pub(super) struct Projection {
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Projection {
    pub(super) fn new(columns: Vec<usize>, output: &Schema) -> Self {
        Projection {
            columns,
            schema: output.to_arrow(),
        }
    }
}

impl Work for Projection {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let columns = self
            .columns
            .iter()
            .map(|index| records.column(*index).clone())
            .collect();
        changed(self.schema.clone(), columns, records.num_rows(), Vec::new())
    }
}

/// `drop = ["a", "b"]`. Named, the reserved columns go, too: without rest, what the columns do not
/// hold is gone.
pub(super) fn drop(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let (dropped, names) = columns(node, "`drop`", scope)?;
    let left = (0..scope.input.fields.len())
        .filter(|index| !dropped.contains(index))
        .collect();
    project(
        left,
        false,
        format!("without {}", names.join(", ")),
        node,
        scope,
    )
}

/// `keep = ["a", "b"]`, in this order. Id, meta and rest stay unless there is no such column: the
/// id first, the others last. Fields that are no columns do not go on, but values that did not fit
/// a kept column do.
pub(super) fn keep(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    let (named, names) = columns(node, "`keep`", scope)?;
    let reserved = |role| {
        scope
            .input
            .role(role)
            .filter(|index| !named.contains(index))
    };
    let mut kept: Vec<usize> = reserved(Role::Id).into_iter().collect();
    kept.extend(&named);
    kept.extend(reserved(Role::Meta).into_iter().chain(reserved(Role::Rest)));
    project(
        kept,
        true,
        format!("only {}", names.join(", ")),
        node,
        scope,
    )
}

fn columns<'a>(node: &'a Node, verb: &str, scope: &Scope) -> Result<(Vec<usize>, Vec<&'a str>)> {
    let NodeKind::Array(items) = &node.kind else {
        return Err(Error::config(
            "job::wrong_type",
            format!("{verb} must be a list of columns"),
        )
        .at(node.span.clone(), format!("this is {}", node.what())));
    };
    let (mut indices, mut names) = (Vec::new(), Vec::new());
    for item in items {
        let name = text(item, "a column")?;
        let index = index_of(name, &item.span, scope)?;
        if !indices.contains(&index) {
            indices.push(index);
            names.push(name);
        }
    }
    Ok((indices, names))
}

fn project(
    columns: Vec<usize>,
    drops_unknown: bool,
    summary: String,
    node: &Node,
    scope: &Scope,
) -> Result<Box<dyn Step>> {
    let output = Schema::new(
        columns
            .iter()
            .map(|index| scope.input.fields[*index].clone())
            .collect(),
    );
    if output.data_fields().next().is_none() {
        return Err(Error::config(
            "plan::nothing_left",
            format!("{} leaves no column", scope.reader),
        )
        .at(node.span.clone(), "at least one column must go on"));
    }
    let facts = Facts {
        reads: Vec::new(),
        carries: output
            .names()
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect(),
        drops_unknown,
        summary,
        output,
    };
    let projection = Projection::new(columns, &facts.output);
    Ok(step(facts, projection))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, check, input, refused, with_reserved};
    use serde_json::json;

    #[test]
    fn drop_leaves_the_other_columns() {
        check(
            ("drop", json!(["b", "b"])),
            &input(&[("a", "int64"), ("b", "utf8"), ("c", "utf8")]),
            r#"{"a":1,"b":"x","c":null}"#,
            r#"{"a":1,"c":null}"#,
        );
    }

    #[test]
    fn keep_takes_the_order_that_is_written() {
        check(
            ("keep", json!(["c", "a"])),
            &input(&[("a", "int64"), ("b", "utf8"), ("c", "utf8")]),
            r#"{"a":1,"b":"x","c":"ü"}"#,
            r#"{"c":"ü","a":1}"#,
        );
    }

    #[test]
    fn keep_keeps_the_reserved_columns_and_drop_drops_those_it_names() {
        let schema = with_reserved(input(&[("a", "int64"), ("b", "utf8")]));
        let kept = build("keep", json!(["b"]), &schema).unwrap();
        assert_eq!(
            kept.output().names().collect::<Vec<_>>(),
            ["_id", "b", "_meta", "_rest"]
        );
        assert!(!kept.keeps_unknown());
        assert_eq!(kept.carries().len(), 4);
        let dropped = build("drop", json!(["_meta", "a"]), &schema).unwrap();
        assert_eq!(
            dropped.output().names().collect::<Vec<_>>(),
            ["_id", "b", "_rest"]
        );
        assert!(dropped.keeps_unknown());
        assert!(dropped.reads().is_empty());
    }

    #[test]
    fn unknown_columns_and_empty_results_are_refused() {
        let schema = with_reserved(input(&[("a", "int64")]));
        assert_eq!(
            refused("drop", json!(["A"]), &schema).place().unwrap().1,
            "not there; did you mean `a`?"
        );
        assert_eq!(
            refused("keep", json!(["_id"]), &schema).code(),
            "plan::nothing_left"
        );
        assert_eq!(
            refused("drop", json!(["a"]), &schema).code(),
            "plan::nothing_left"
        );
        assert_eq!(
            refused("drop", json!("a"), &schema).code(),
            "job::wrong_type"
        );
    }
}
