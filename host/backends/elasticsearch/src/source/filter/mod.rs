//! The job's filter as a query: what leaves out documents that cannot pass.
//!
//! A server compares what it made of a value for its index: a keyword that is too long it does not
//! have, a float it rounded, of an array it takes any member. So it cannot say which documents pass,
//! but it can say which do not, as long as its conditions are as wide as that ([`narrow`]); the engine
//! checks the others. A condition is never narrower than the part of the filter it stands for: times
//! are compared by the millisecond, floats with both ends included, and documents of which the server
//! ignored the field come along. Text that is analysed is not compared at all, but for its sub-field
//! of keywords.

mod searched;

use std::sync::Arc;

use dkhost_core::{Comparison, Literal, LogicalType, Predicate, Schema};
use serde_json::{Value as Json, json};

use super::indices::Index;
use super::mapping::Mapped;
use crate::client::Kind;
use searched::{Searched, any};

/// Conditions that every document fulfils which passes the filter.
pub(super) fn narrow(
    filter: &[Predicate],
    schema: &Schema,
    mapped: &[Mapped],
    indices: &[Arc<Index>],
    kind: Kind,
) -> Vec<Json> {
    // Where the mapping does not grow with the documents, it may be younger than they are.
    let grows = |index: &Arc<Index>| {
        let dynamic = &index.mappings["dynamic"];
        dynamic.is_null() || *dynamic == "true" || *dynamic == true || *dynamic == "strict"
    };
    if !indices.iter().all(grows) {
        return Vec::new();
    }
    let shadowed = |name: &str| {
        indices
            .iter()
            .any(|index| !index.mappings["runtime"][name].is_null())
    };
    let fields = mapped
        .iter()
        .filter(|field| field.everywhere && !shadowed(&field.name));
    let renderer = Renderer {
        searched: fields
            .filter_map(|field| {
                let logical = &schema.field(&field.name)?.logical;
                Some((field.name.as_str(), Searched::of(field, logical, kind)?))
            })
            .collect(),
    };
    filter
        .iter()
        .filter_map(|part| renderer.render(part))
        .collect()
}

/// What the plan says of it.
pub(super) fn note(narrowed: &[Json]) -> Option<String> {
    (!narrowed.is_empty()).then(|| {
        "the server leaves out documents that cannot pass the filter, as far as its index tells"
            .to_owned()
    })
}

/// Renders conditions on fields that can be searched.
struct Renderer<'a> {
    searched: Vec<(&'a str, Searched)>,
}

impl Renderer<'_> {
    fn searched(&self, column: &str) -> Option<&Searched> {
        let found = self.searched.iter().find(|(name, _)| *name == column);
        found.map(|(_, searched)| searched)
    }

    /// A condition as wide as this one, or wider.
    fn render(&self, predicate: &Predicate) -> Option<Json> {
        match predicate {
            Predicate::Compare { column, op, value } => self.searched(column)?.compare(*op, value),
            Predicate::In {
                column,
                values,
                negated,
            } => self.searched(column)?.among(values, *negated),
            Predicate::IsNull {
                column,
                negated: true,
            } => {
                let searched = self.searched(column)?;
                Some(searched.or_ignored(json!({"exists": {"field": searched.path}})))
            }
            // A value that does not fit its column is a null to the engine, and none to the server.
            Predicate::IsNull { .. } => None,
            Predicate::Column(column) => self.searched(column)?.compare(
                Comparison::Equal,
                &Literal::new(&LogicalType::Boolean, "true"),
            ),
            Predicate::And(parts) => {
                let rendered: Vec<Json> =
                    parts.iter().filter_map(|part| self.render(part)).collect();
                (!rendered.is_empty()).then(|| json!({"bool": {"filter": rendered}}))
            }
            Predicate::Or(parts) => {
                let rendered = parts.iter().map(|part| self.render(part));
                rendered.collect::<Option<Vec<_>>>().map(any)
            }
            Predicate::Not(part) => self.render(&opposite(part)?),
        }
    }
}

/// A condition that is true where this one is false.
fn opposite(predicate: &Predicate) -> Option<Predicate> {
    use Comparison::*;
    let each = |parts: &[Predicate]| parts.iter().map(opposite).collect::<Option<Vec<_>>>();
    Some(match predicate {
        Predicate::Compare { column, op, value } => Predicate::Compare {
            column: column.clone(),
            op: match op {
                Equal => NotEqual,
                NotEqual => Equal,
                Less => GreaterOrEqual,
                LessOrEqual => Greater,
                Greater => LessOrEqual,
                GreaterOrEqual => Less,
            },
            value: value.clone(),
        },
        Predicate::In {
            column,
            values,
            negated,
        } => Predicate::In {
            column: column.clone(),
            values: values.clone(),
            negated: !negated,
        },
        Predicate::IsNull { column, negated } => Predicate::IsNull {
            column: column.clone(),
            negated: !negated,
        },
        Predicate::Column(column) => Predicate::Compare {
            column: column.clone(),
            op: Equal,
            value: Literal::new(&LogicalType::Boolean, "false"),
        },
        Predicate::And(parts) => Predicate::Or(each(parts)?),
        Predicate::Or(parts) => Predicate::And(each(parts)?),
        Predicate::Not(part) => Predicate::clone(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkhost_core::Field;

    fn rendered(predicate: Predicate) -> Option<Json> {
        let mappings = json!({"properties": {
            "k": {"type": "keyword"},
            "lower": {"type": "keyword", "normalizer": "lowercase"},
            "t": {"type": "text", "fields": {"raw": {"type": "keyword", "ignore_above": 256}}},
            "prose": {"type": "text"},
            "n": {"type": "long"},
            "f": {"type": "float"},
            "d": {"type": "double"},
            "when": {"type": "date"},
            "b": {"type": "boolean"},
            "hidden": {"type": "long", "index": false}
        }});
        let mapped = super::super::mapping::fields([&mappings].into_iter());
        let utc = LogicalType::Timestamp(Some(Arc::from("UTC")));
        let schema = Schema::new(
            [
                ("k", LogicalType::Utf8),
                ("lower", LogicalType::Utf8),
                ("t", LogicalType::Utf8),
                ("prose", LogicalType::Utf8),
                ("n", LogicalType::Int64),
                ("f", LogicalType::Float64),
                ("d", LogicalType::Float64),
                ("when", utc),
                ("b", LogicalType::Boolean),
                ("hidden", LogicalType::Int64),
            ]
            .map(|(name, logical)| Field::new(name, logical))
            .to_vec(),
        );
        let index = Index {
            name: "i".into(),
            uuid: "u".into(),
            shards: 1,
            filter: None,
            mappings,
            window: 10,
            hides_vectors: false,
        };
        narrow(
            &[predicate],
            &schema,
            &mapped,
            &[Arc::new(index)],
            Kind::Elasticsearch,
        )
        .pop()
    }

    fn compare(column: &str, op: Comparison, text: &str) -> Predicate {
        let value = Literal::new(&LogicalType::Utf8, text);
        Predicate::Compare {
            column: column.into(),
            op,
            value,
        }
    }

    /// The condition without what comes along with it.
    fn bare(predicate: Predicate) -> Json {
        rendered(predicate).map_or(Json::Null, |all| all["bool"]["should"][0].clone())
    }

    #[test]
    fn what_an_index_knows_is_compared() {
        use Comparison::*;
        for (predicate, expected) in [
            (compare("k", Equal, "a"), json!({"term": {"k": "a"}})),
            (
                compare("k", Less, "a"),
                json!({"range": {"k": {"lt": "a"}}}),
            ),
            (compare("t", Equal, "a"), json!({"term": {"t.raw": "a"}})),
            (
                compare("n", NotEqual, "7"),
                json!({"bool": {"must_not": [{"term": {"n": 7}}]}}),
            ),
            (
                compare("n", Greater, "7"),
                json!({"range": {"n": {"gt": 7}}}),
            ),
            (
                compare("f", Greater, "0.1"),
                json!({"range": {"f": {"gte": 0.1}}}),
            ),
            (
                compare("d", Greater, "0.1"),
                json!({"range": {"d": {"gt": 0.1}}}),
            ),
            (
                compare("when", Less, "2024-01-01T00:00:00.000999Z"),
                json!({"range": {"when": {"lte": 1704067200000_i64, "format": "epoch_millis"}}}),
            ),
            (Predicate::Column("b".into()), json!({"term": {"b": true}})),
            (
                compare("lower", Equal, "A"),
                json!({"term": {"lower": "A"}}),
            ),
        ] {
            assert_eq!(bare(predicate.clone()), expected, "{predicate:?}");
        }
        assert_eq!(
            rendered(compare("t", Equal, "a")).unwrap()["bool"]["should"][1],
            json!({"term": {"_ignored": "t.raw"}})
        );
    }

    #[test]
    fn what_it_knows_otherwise_is_not() {
        use Comparison::*;
        for predicate in [
            compare("prose", Equal, "a"),
            compare("hidden", Equal, "1"),
            compare("unknown", Equal, "1"),
            compare("lower", NotEqual, "a"),
            compare("lower", Less, "a"),
            compare("f", NotEqual, "0.1"),
            compare("d", Equal, "-0.0"),
            compare("when", Greater, "1969-12-31T00:00:00Z"),
            Predicate::IsNull {
                column: "k".into(),
                negated: false,
            },
            Predicate::Or(vec![compare("k", Equal, "a"), compare("prose", Equal, "a")]),
            Predicate::Not(Box::new(Predicate::And(vec![
                compare("k", Equal, "a"),
                compare("prose", Equal, "a"),
            ]))),
        ] {
            assert_eq!(rendered(predicate.clone()), None, "{predicate:?}");
        }
    }

    #[test]
    fn parts_of_what_must_all_be_true_are_enough() {
        use Comparison::*;
        let both = Predicate::And(vec![compare("k", Equal, "a"), compare("prose", Equal, "a")]);
        assert_eq!(
            rendered(both).unwrap()["bool"]["filter"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        let neither = Predicate::Not(Box::new(Predicate::Or(vec![
            compare("k", Equal, "a"),
            compare("n", GreaterOrEqual, "5"),
        ])));
        let parts = rendered(neither).unwrap();
        assert_eq!(
            parts["bool"]["filter"][1]["bool"]["should"][0],
            json!({"range": {"n": {"lt": 5}}})
        );
    }
}
