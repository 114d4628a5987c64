//! Which fields the columns become: those that are there, those the job defines, and for the others
//! a definition that holds every value of the column.

use dkhost_core::{Conflict, Field, Role};
use serde_json::{Map, Value as Json, json};

use super::super::place::{FIELDS_MAX, Found};
use super::super::{mapping, place};
use super::Planned;
use crate::vectors;

/// A column and the field it becomes.
pub(super) struct Mapped<'a> {
    pub field: &'a Field,
    pub definition: Json,
    pub how: Option<String>,
    /// It is in the index already.
    pub there: bool,
    pub lossy: Option<String>,
}

impl<'a> Planned<'a> {
    /// Definitions of fields that are there, by the path of `properties` the layout has.
    fn properties(&self) -> Json {
        let all = &self.successor.mappings["properties"];
        match self.wanted.dataknobs {
            true => all["data"]["properties"].clone(),
            false => all.clone(),
        }
    }

    /// Every column that becomes a field.
    pub fn mapped(&self) -> Vec<Mapped<'a>> {
        let there = self.properties();
        let of_key: Vec<usize> = self.open.schema.key();
        let fields = self.open.schema.fields.iter().enumerate();
        let becomes = |field: &Field| match self.wanted.dataknobs {
            true => field.role.is_none(),
            false => !matches!(field.role, Some(Role::Id | Role::Rest)),
        };
        fields
            .filter(|(_, field)| becomes(field))
            .map(|(index, field)| self.one(field, of_key.contains(&index), &there))
            .collect()
    }

    fn one(&self, field: &'a Field, is_key: bool, there: &Json) -> Mapped<'a> {
        let found = defined(there, &field.name);
        let by_job = self.wanted.mapping.get(&field.name);
        let (definition, how) = match (found, by_job) {
            (Some(found), _) => (found.clone(), None),
            (None, Some(job)) => (job.clone(), Some("as `mapping` says".to_owned())),
            (None, None) => mapping::definition(field, is_key, self.can),
        };
        let chosen = found.is_some() || by_job.is_some();
        let enabled = definition["enabled"] != false;
        let fit = match chosen && enabled {
            true => mapping::fit(&field.logical, kind_of(&definition)),
            false => mapping::Fit::default(),
        };
        Mapped {
            field,
            how: fit.refuses.map(|what| format!("refuses {what}")).or(how),
            lossy: fit
                .changes
                .map(|how| format!("searched and summed {how}; the document keeps the value")),
            there: found.is_some(),
            definition,
        }
    }

    /// Whether columns may become new fields: those of another version are what the job is about.
    pub fn adds_fields(&self) -> bool {
        self.open.create || self.open.reshape.is_some()
    }

    /// What creates an index, and what is added to the one that is there.
    pub fn mappings(&self) -> (Json, Json) {
        let mapped = self.mapped();
        let mut new = Map::new();
        for column in mapped.iter().filter(|column| !column.there) {
            new.insert(column.field.name.clone(), column.definition.clone());
        }
        let added = match (new.is_empty(), self.wanted.dataknobs) {
            (true, _) => json!({}),
            (false, true) => json!({"data": {"properties": new}}),
            (false, false) => Json::Object(new),
        };
        // An index that parses no document has no fields.
        let parses = self
            .found
            .is_none_or(|found| found.mappings["enabled"] != false);
        let added = if self.adds_fields() && parses {
            added
        } else {
            json!({})
        };
        let (mut mappings, mut settings) = match self.found {
            Some(found) => (
                self.successor.mappings.clone(),
                found.settings_of_successor(),
            ),
            None if self.wanted.dataknobs => (
                knobs_mappings(),
                json!({"number_of_shards": 1, "number_of_replicas": 0}),
            ),
            // What no column names is kept and not indexed: its first value would decide for all.
            None => (json!({"dynamic": false, "properties": {}}), json!({})),
        };
        merge(&mut mappings["properties"], &added);
        if self.open.conflict == Conflict::ReplaceAll {
            place::mark(&mut mappings, &self.wanted.name);
        }
        let most = self.found.map_or(FIELDS_MAX, Found::fields_max);
        let fields = count(&mappings["properties"]);
        if fields > most {
            // As much room for fields to come as an index has otherwise.
            let limit = json!({"mapping": {"total_fields": {"limit": fields + FIELDS_MAX}}});
            merge(&mut settings, &limit);
        }
        if vectors::would_be_hidden(self.product, &mappings["properties"]) {
            merge(&mut settings, &nested(json!({vectors::SETTING: false})));
        }
        merge(&mut settings, &nested(place::during()));
        (
            json!({"settings": {"index": settings}, "mappings": mappings}),
            added,
        )
    }
}

/// The mapping dataknobs gives a store, but for numbers, which it lets become 32-bit floats, and
/// metadata, of which the first record would decide the types for all; dataknobs searches none of it.
///
/// *Source* – `dataknobs-data` 0.4.13, run against Elasticsearch 8.19.
fn knobs_mappings() -> Json {
    json!({
        "dynamic_templates": [{"numbers": {"match_mapping_type": "double", "mapping": {"type": "double"}}}],
        "properties": {
            "id": {"type": "keyword"},
            "data": {"type": "object", "properties": {}},
            "metadata": {"type": "object", "dynamic": false},
            "created_at": {"type": "date"},
            "updated_at": {"type": "date"},
        },
    })
}

/// The definition of a field, whose name may lead into others.
fn defined<'j>(properties: &'j Json, name: &str) -> Option<&'j Json> {
    let whole = properties.get(name).filter(|found| found.is_object());
    whole.or_else(|| {
        let (first, rest) = name.split_once('.')?;
        defined(&properties.get(first)?["properties"], rest)
    })
}

/// How many fields a mapping has: those inside of others and those beside them (`fields`) too.
pub(super) fn count(properties: &Json) -> usize {
    let definitions = properties.as_object().into_iter().flatten();
    definitions
        .map(|(_, one)| {
            1 + one["fields"].as_object().map_or(0, Map::len) + count(&one["properties"])
        })
        .sum()
}

/// The type of a field; one with fields in it is an object.
pub(super) fn kind_of(definition: &Json) -> &str {
    definition["type"].as_str().unwrap_or("object")
}

/// Adds the members of an object to another, inside of those both have.
fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// `{"a.b": 1}` as `{"a": {"b": 1}}`.
fn nested(settings: Json) -> Json {
    let mut nested = json!({});
    for (name, value) in settings.as_object().into_iter().flatten() {
        let inner = name
            .rsplit('.')
            .fold(value.clone(), |value, part| json!({part: value}));
        merge(&mut nested, &inner);
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_dots_leads_into_objects() {
        let properties = json!({
            "a": {"type": "nested", "properties": {"type": {"type": "keyword"}, "b": {"type": "long"}}},
            "c.d": {"type": "ip"},
        });
        let kind = |name: &str| defined(&properties, name).map(kind_of);
        assert_eq!(kind("a.type"), Some("keyword"));
        assert_eq!(kind("a.b"), Some("long"));
        assert_eq!(kind("c.d"), Some("ip"));
        assert_eq!(
            (kind("a.properties"), kind("a.b.c"), kind("b")),
            (None, None, None)
        );
    }

    #[test]
    fn every_field_counts_however_deep() {
        let properties = json!({
            "a": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
            "b": {"properties": {"c": {"type": "long"}, "d": {"properties": {"e": {"type": "long"}}}}},
        });
        assert_eq!(count(&properties), 6);
        assert_eq!(count(&Json::Null), 0);
    }

    #[test]
    fn settings_with_dots_are_put_where_they_belong() {
        let during = nested(json!({"refresh_interval": "-1", "translog.durability": "request"}));
        let mut settings = json!({"translog": {"durability": "async", "sync_interval": "5s"}, "number_of_shards": "1"});
        merge(&mut settings, &during);
        assert_eq!(
            settings,
            json!({"translog": {"durability": "request", "sync_interval": "5s"}, "number_of_shards": "1", "refresh_interval": "-1"})
        );
    }
}
