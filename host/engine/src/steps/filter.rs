//! `filter`: which records go on. Null counts as false, as in SQL's `where`.

use arrow::array::RecordBatch;
use dkhost_core::{Changed, Node, Result, RowReject, Step};

use super::built_in::{Facts, Work, step};
use crate::expr::{Expression, RowFault, Scope};

pub(super) fn build(node: &Node, scope: &Scope) -> Result<Box<dyn Step>> {
    Ok(holds(Expression::parse_condition(node, scope)?, scope))
}

/// The step of a condition that is bound to the scope's columns.
pub(super) fn holds(condition: Expression, scope: &Scope) -> Box<dyn Step> {
    let facts = Facts {
        output: scope.input.clone(),
        reads: condition.columns().to_vec(),
        carries: scope
            .input
            .names()
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect(),
        drops_unknown: false,
        summary: format!("where {}", condition.text()),
    };
    step(facts, Filter { condition })
}

struct Filter {
    condition: Expression,
}

impl Work for Filter {
    fn change(&self, records: &RecordBatch) -> Result<Changed> {
        let (keep, faults) = self.condition.decide(records)?;
        if faults.is_empty() && keep.true_count() == records.num_rows() {
            return Ok(Changed::columns(records.clone()));
        }
        // A row at fault is not among those that go on: it is refused, not filtered.
        let mut changed = Changed::filtered(records, &keep)?;
        changed.rejects = faults
            .into_iter()
            .map(|fault| reject(fault, None))
            .collect();
        Ok(changed)
    }
}

/// The refusal of a row for which an expression has no value.
pub(super) fn reject(fault: RowFault, column: Option<&str>) -> RowReject {
    RowReject {
        row: fault.row,
        column: column.map(str::to_owned),
        code: "step::expression".to_owned(),
        message: fault.message,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, check, check_rejects, input, refused};
    use serde_json::json;

    #[test]
    fn only_records_for_which_the_condition_is_true_go_on() {
        check(
            ("filter", json!("gross > 0")),
            &input(&[("gross", "int64")]),
            r#"{"gross":1} {"gross":0} {"gross":null} {"gross":2}"#,
            r#"{"gross":1} {"gross":2}"#,
        );
    }

    #[test]
    fn a_record_whose_condition_cannot_be_computed_is_refused_and_the_others_are_not() {
        check_rejects(
            ("filter", json!("10 / a > 2")),
            &input(&[("a", "int64")]),
            r#"{"a":1} {"a":0} {"a":5} {"a":null} {"a":0}"#,
            r#"{"a":1}"#,
            &[
                "1 step::expression - division by zero",
                "4 step::expression - division by zero",
            ],
        );
    }

    #[test]
    fn a_filter_reads_what_its_condition_names_and_carries_everything() {
        let schema = input(&[("a", "int64"), ("Effect Amount of damage", "utf8")]);
        let step = build(
            "filter",
            json!("\"Effect Amount of damage\" <> 'None'"),
            &schema,
        )
        .unwrap();
        assert_eq!(step.reads(), ["Effect Amount of damage"]);
        assert_eq!(step.carries().len(), 2);
        assert_eq!(
            step.note().summary,
            "where \"Effect Amount of damage\" <> 'None'"
        );
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let error = refused("filter", json!("a + 1"), &input(&[("a", "int64")]));
        assert_eq!(
            error.to_string(),
            "stage `here` needs a condition, and `a + 1` is int64"
        );
    }
}
