//! The mapping of an index whose documents are brought to another version of their schema: what is
//! there goes on, under other names where fields have other names, without those that are gone, and
//! without definitions that are for values of another type. What the plan's columns need beside that
//! is defined as for a new index.

use dkhost_core::{Field, LogicalType, Reshape, Role, Schema};
use serde_json::{Map, Value as Json};

use super::super::mapping::{self, Abilities, Fit};
use super::fields::kind_of;
use crate::source::would_be_read_as;

/// The mapping that goes on, and what is told about it.
#[derive(Debug, Default)]
pub(super) struct Successor {
    pub mappings: Json,
    /// A sentence each.
    pub effects: Vec<String>,
}

/// The mapping of the successor.
///
/// *Shape* – `path` leads to the definitions of the records' fields, as a JSON pointer.
pub(super) fn successor(
    mappings: &Json,
    path: &str,
    reshape: &Reshape,
    schema: &Schema,
    can: Abilities,
) -> Successor {
    let mut mappings = mappings.clone();
    let mut effects = Vec::new();
    if let Some(Json::Object(fields)) = mappings.pointer_mut(path) {
        effects.extend(renamed(fields, &reshape.renamed));
        effects.extend(removed(fields, &reshape.removed));
        effects.extend(of_other_types(fields, schema, can));
    }
    Successor { mappings, effects }
}

fn renamed(fields: &mut Map<String, Json>, names: &[(String, String)]) -> Option<String> {
    // All are taken before one is put: two may change their names with each other.
    let taken: Vec<(&String, &String, Json)> = names
        .iter()
        .filter_map(|(old, new)| Some((old, new, take(fields, old)?)))
        .collect();
    let mut told = Vec::new();
    for (old, new, definition) in taken {
        told.push(format!("{old} as {new}"));
        fields.entry(new.as_str()).or_insert(definition);
    }
    (!told.is_empty()).then(|| format!("goes on with the definitions of: {}", told.join(", ")))
}

fn removed(fields: &mut Map<String, Json>, names: &[String]) -> Option<String> {
    let gone = names.iter().filter(|name| take(fields, name).is_some());
    let gone: Vec<&str> = gone.map(String::as_str).collect();
    (!gone.is_empty()).then(|| format!("leaves out of its mapping: {}", gone.join(", ")))
}

fn of_other_types(
    fields: &mut Map<String, Json>,
    schema: &Schema,
    can: Abilities,
) -> Option<String> {
    let of_key = schema.key();
    let mut told = Vec::new();
    for (index, field) in schema.fields.iter().enumerate() {
        let reserved = matches!(field.role, Some(Role::Id | Role::Meta | Role::Rest));
        let Some(definition) = find(fields, &field.name).filter(|_| !reserved) else {
            continue;
        };
        let (own, _) = mapping::definition(field, of_key.contains(&index), can);
        if is_of_type(field, definition, &own) {
            continue;
        }
        let (was, is) = (kind_of(definition).to_owned(), kind_of(&own).to_owned());
        told.push(format!("{} as {is} (was {was})", field.name));
        take(fields, &field.name);
    }
    (!told.is_empty()).then(|| format!("indexes anew: {}", told.join(", ")))
}

/// Whether a definition is one for values of the field's type.
fn is_of_type(field: &Field, definition: &Json, own: &Json) -> bool {
    let (logical, kind) = (&field.logical, kind_of(definition));
    let fit = mapping::fit(logical, kind);
    if definition["enabled"] == false {
        return own["enabled"] == false;
    }
    match logical {
        LogicalType::Json | LogicalType::Null => fit.refuses.is_none(),
        _ if logical.is_numeric() && fit.refuses.is_some() => false,
        _ => {
            kind == kind_of(own)
                || would_be_read_as(definition, logical)
                || (logical.is_numeric() && is_number(kind) && fit == Fit::default())
        }
    }
}

fn is_number(kind: &str) -> bool {
    mapping::fit(&LogicalType::Utf8, kind).refuses == Some("text that is no number")
}

/// The definition of a field, whose name may lead into others.
fn find<'j>(fields: &'j Map<String, Json>, name: &str) -> Option<&'j Json> {
    fields.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        find(fields.get(first)?.get("properties")?.as_object()?, rest)
    })
}

/// Takes the definition of a field away.
fn take(fields: &mut Map<String, Json>, name: &str) -> Option<Json> {
    if let Some(whole) = fields.remove(name) {
        return Some(whole);
    }
    let (first, rest) = name.split_once('.')?;
    let inside = fields.get_mut(first)?.get_mut("properties")?;
    take(inside.as_object_mut()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::Kind;

    fn check(fields: &[&str], reshape: &Reshape, there: Json) -> (Json, Vec<String>) {
        let mappings = json!({"dynamic": "strict", "_meta": {"owner": "us"}, "properties": there});
        let can = Abilities {
            kind: Kind::Elasticsearch,
            unsigned: true,
        };
        let found = successor(
            &mappings,
            "/properties",
            reshape,
            &dkhost_drive::schema(fields),
            can,
        );
        assert_eq!(found.mappings["_meta"], json!({"owner": "us"}));
        assert_eq!(found.mappings["dynamic"], "strict");
        (found.mappings["properties"].clone(), found.effects)
    }

    #[test]
    fn definitions_go_along_with_the_names_of_their_fields() {
        let german = json!({"type": "text", "analyzer": "german"});
        let reshape = Reshape {
            renamed: vec![
                ("title".into(), "name".into()),
                ("a".into(), "b".into()),
                ("b".into(), "a".into()),
                ("never".into(), "was".into()),
            ],
            removed: vec!["gone".into(), "deep.gone".into(), "absent".into()],
            ..Reshape::default()
        };
        let there = json!({
            "title": german, "gone": {"type": "ip"},
            "a": {"type": "long"}, "b": {"type": "keyword"},
            "deep": {"properties": {"gone": {"type": "date"}, "stays": {"type": "date"}}},
        });
        let (fields, effects) = check(&["name utf8", "a utf8", "b int64"], &reshape, there);
        let expected = json!({
            "name": german, "b": {"type": "long"}, "a": {"type": "keyword"},
            "deep": {"properties": {"stays": {"type": "date"}}},
        });
        assert_eq!(fields, expected);
        assert_eq!(
            effects,
            [
                "goes on with the definitions of: title as name, a as b, b as a",
                "leaves out of its mapping: gone, deep.gone",
            ]
        );
    }

    #[test]
    fn a_mapping_without_fields_stays_without() {
        let mappings = json!({"dynamic": false});
        let can = Abilities {
            kind: Kind::OpenSearch,
            unsigned: true,
        };
        let schema = dkhost_drive::schema(&["n int64"]);
        for path in ["/properties", "/properties/data/properties"] {
            let found = successor(&mappings, path, &Reshape::default(), &schema, can);
            assert_eq!(found.mappings, mappings);
        }
    }

    #[test]
    fn a_definition_for_values_of_another_type_goes() {
        let reshape = Reshape::default();
        for (field, kind, stays) in [
            ("n int64", "long", true),
            ("n int32", "long", true),
            ("n int64", "text", false),
            ("n int64", "keyword", false),
            ("n int64", "integer", false),
            ("n float64", "scaled_float", true),
            ("n float64", "long", false),
            ("n utf8", "keyword", true),
            ("n utf8", "ip", true),
            ("n utf8", "long", false),
            ("n boolean", "keyword", false),
            ("n date32", "date", true),
            ("n date32", "text", false),
            ("n timestamp(us, UTC)", "date", true),
            ("n number", "keyword", true),
            ("n json", "object", true),
            ("n json", "long", false),
            ("n uuid", "keyword", true),
        ] {
            let there = json!({"n": {"type": kind}});
            let (fields, effects) = check(&[field], &reshape, there.clone());
            let expected = if stays { there } else { json!({}) };
            assert_eq!(fields, expected, "{field} in {kind}");
            assert_eq!(effects.is_empty(), stays, "{field} in {kind}: {effects:?}");
        }
        let whole = json!({"n": {"type": "object", "enabled": false}});
        assert_eq!(check(&["n json"], &reshape, whole.clone()).0, whole);
        let (fields, effects) = check(&["n int64"], &reshape, whole);
        assert_eq!(fields, json!({}));
        assert_eq!(effects, ["indexes anew: n as long (was object)"]);
    }
}
