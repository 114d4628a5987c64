//! Documents of a dataknobs store to records: `{"data": {…}, "metadata": {…}, "id": …}`.
//!
//! What dataknobs keeps of a vector stands in the metadata, under `vector_fields`; here it becomes
//! the field object that every other store of dataknobs has, so that a record is the same wherever
//! it was read. Members of the document that dataknobs does not know travel as those of a record do.
//!
//! *Source* – `dataknobs-data` 0.4.13 and 0.11.0, `backends/elasticsearch.py` and
//! `backends/elasticsearch_mixins.py`, and an index written by 0.4.13.

use std::borrow::Cow;

use dkhost_core::Schema;
use dkhost_core::dataknobs::{Plain, RECORD, Reader};
use dkhost_core::json::{RowError, Scanner, unescape};

/// Reads documents; reuses its buffers.
pub(crate) struct Knobs {
    reader: Reader,
    parts: Parts,
    meta: String,
}

impl Knobs {
    /// A reader of records with these columns.
    pub fn new(schema: &Schema) -> Self {
        Knobs {
            reader: Reader::new(schema),
            parts: Parts::default(),
            meta: String::new(),
        }
    }

    /// Reads the document with this id.
    ///
    /// *Errors* – malformed JSON, `dataknobs::not_a_record` without `data`, and those of
    /// [`Reader::flat`].
    pub fn read(&mut self, id: &str, document: &[u8]) -> Result<Plain<'_>, RowError> {
        self.parts.split(id, document)?;
        let metadata = (!self.parts.metadata.is_empty()).then_some(self.parts.metadata.as_str());
        let plain = self.reader.flat(self.parts.data.as_bytes(), metadata)?;
        if self.parts.extras.is_empty() {
            return Ok(plain);
        }
        self.meta.clear();
        let own = plain.meta.unwrap_or("{}");
        let own = own.strip_suffix('}').unwrap_or(own);
        let comma = if own.ends_with('{') { "" } else { "," };
        let extras = &self.parts.extras;
        self.meta
            .push_str(&format!("{own}{comma}\"{RECORD}\":{{{extras}}}}}"));
        Ok(Plain {
            meta: Some(&self.meta),
            ..plain
        })
    }
}

/// A document as a flat store would have it.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// `data`, vectors with all that is known of them.
    pub data: String,
    /// `metadata` without what is said of vectors; empty where there is none.
    metadata: String,
    /// `"name":value` of what else there is, with commas between.
    extras: String,
}

impl Parts {
    /// Splits the document with this id.
    pub fn split(&mut self, id: &str, document: &[u8]) -> Result<(), RowError> {
        let (mut data, mut metadata) = (None, None);
        self.extras.clear();
        for (name, value) in members_of(document)? {
            match name {
                "data" => data = Some(value),
                "metadata" => metadata = Some(value),
                "id" if is_text(value, id) => {}
                name => add(&mut self.extras, name, value),
            }
        }
        let data = data.filter(|data| data.starts_with('{')).ok_or_else(|| {
            let message = "the document has no `data`, so it is none that dataknobs wrote";
            RowError::new("dataknobs::not_a_record", message)
        })?;
        let metadata = metadata
            .filter(|metadata| *metadata != "null")
            .unwrap_or_default();
        let mut vectors = Vec::new();
        self.metadata.clear();
        match metadata.starts_with('{') {
            true => take_vectors(metadata, data, &mut vectors, &mut self.metadata)?,
            // Whoever reads it says what is wrong.
            false => self.metadata.push_str(metadata),
        }
        self.data.clear();
        for (name, value) in members(data)? {
            match vectors.iter().find(|vector| vector.name == name) {
                Some(vector) => add(&mut self.data, name, &vector.object(value)),
                None => add(&mut self.data, name, value),
            }
        }
        self.data.insert(0, '{');
        self.data.push('}');
        Ok(())
    }
}

/// What the metadata says of a vector.
struct Vector<'a> {
    /// As it stands between its quotes.
    name: &'a str,
    dimensions: &'a str,
    metadata: Cow<'a, str>,
}

impl<'a> Vector<'a> {
    /// Reads an entry of `vector_fields`; `None` if it says more or less than such entries do.
    fn read(name: &'a str, entry: &'a str) -> Option<Self> {
        let (mut dimensions, mut metadata, mut source, mut is_vector) = (None, None, "null", false);
        let (mut model, mut version) = ("null", "null");
        for (name, value) in members(entry).ok()? {
            match name {
                "type" => is_vector = value == "\"vector\"",
                "dimensions" => dimensions = Some(value),
                "source_field" => source = value,
                "model" => model = value,
                "model_version" => version = value,
                "metadata" => metadata = Some(Cow::Borrowed(value)),
                _ => return None,
            }
        }
        let dimensions = dimensions.filter(|_| is_vector)?;
        let metadata = metadata.unwrap_or_else(|| {
            let model = match (model, version) {
                ("null", "null") => "null".to_owned(),
                _ => format!("{{\"name\":{model},\"version\":{version}}}"),
            };
            Cow::Owned(format!(
                "{{\"dimensions\":{dimensions},\"source_field\":{source},\"model\":{model}}}"
            ))
        });
        Some(Vector {
            name,
            dimensions,
            metadata,
        })
    }

    /// The field as other stores have it.
    fn object(&self, value: &str) -> String {
        let Vector {
            name,
            dimensions,
            metadata,
        } = self;
        format!(
            "{{\"name\":\"{name}\",\"value\":{value},\"type\":\"vector\",\"metadata\":{metadata},\"dimensions\":{dimensions}}}"
        )
    }
}

/// Takes what is said of vectors out of the metadata, as far as `data` has them.
fn take_vectors<'a>(
    metadata: &'a str,
    data: &str,
    vectors: &mut Vec<Vector<'a>>,
    left: &mut String,
) -> Result<(), RowError> {
    let there = members(data)?;
    for (name, value) in members(metadata)? {
        let entries = match name {
            "vector_fields" if value.starts_with('{') => members(value)?,
            _ => Vec::new(),
        };
        let mut others = String::new();
        for (name, entry) in &entries {
            let is_there = there
                .iter()
                .any(|(field, value)| field == name && value.starts_with('['));
            match Vector::read(name, entry).filter(|_| is_there) {
                Some(vector) => vectors.push(vector),
                None => add(&mut others, name, entry),
            }
        }
        match (entries.is_empty(), others.is_empty()) {
            (true, _) => add(left, name, value),
            (false, true) => {}
            (false, false) => add(left, name, &format!("{{{others}}}")),
        }
    }
    // Metadata that was of vectors only is none.
    if !left.is_empty() || vectors.is_empty() {
        left.insert(0, '{');
        left.push('}');
    }
    Ok(())
}

type Member<'a> = (&'a str, &'a str);

/// The members of an object: keys as they stand between their quotes, and values.
fn members_of(bytes: &[u8]) -> Result<Vec<Member<'_>>, RowError> {
    let mut scanner = Scanner::of(bytes)?;
    let (mut found, mut more) = (Vec::new(), scanner.enter_object()?);
    while more {
        let (name, _) = scanner.key()?;
        found.push((name, scanner.value()?.raw));
        more = scanner.next_member()?;
    }
    scanner.end()?;
    Ok(found)
}

fn members(text: &str) -> Result<Vec<Member<'_>>, RowError> {
    members_of(text.as_bytes())
}

fn add(object: &mut String, name: &str, value: &str) {
    let comma = if object.is_empty() { "" } else { "," };
    object.push_str(&format!("{comma}\"{name}\":{value}"));
}

/// Whether JSON is this text.
fn is_text(raw: &str, text: &str) -> bool {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inner.is_some_and(|inner| unescape(inner, inner.contains('\\')) == text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn read(id: &str, document: &str) -> Result<(String, Option<String>), &'static str> {
        let mut knobs = Knobs::new(&Schema::default());
        let plain = knobs
            .read(id, document.as_bytes())
            .map_err(|error| error.code)?;
        let fields = String::from_utf8(plain.fields.to_vec()).unwrap();
        Ok((fields, plain.meta.map(str::to_owned)))
    }

    fn meta(document: &str) -> Json {
        let (_, meta) = read("a", document).unwrap();
        meta.map_or(Json::Null, |meta| serde_json::from_str(&meta).unwrap())
    }

    #[test]
    fn a_vector_is_what_it_is_in_any_store() {
        let document = r#"{"data":{"v":[1,2],"n":9007199254740993},"id":"a","metadata":{"k":1,"vector_fields":
            {"v":{"type":"vector","dimensions":2,"source_field":"body","model":"m","model_version":"v2"}}}}"#;
        assert_eq!(
            read("a", document).unwrap().0,
            r#"{"v":[1,2],"n":9007199254740993}"#
        );
        let expected = serde_json::json!({"k": 1, "$fields": {"v": {
            "type": "vector", "dimensions": 2,
            "metadata": {"dimensions": 2, "source_field": "body", "model": {"name": "m", "version": "v2"}}
        }}});
        assert_eq!(meta(document), expected);
        let bare = r#"{"data":{"v":[1]},"metadata":{"vector_fields":{"v":{"type":"vector","dimensions":1}}}}"#;
        assert_eq!(meta(bare)["$fields"]["v"]["metadata"]["model"], Json::Null);
    }

    #[test]
    fn what_is_said_of_no_vector_stays() {
        let entry = r#"{"type":"vector","dimensions":2,"more":1}"#;
        let document =
            format!(r#"{{"data":{{"v":[1,2]}},"metadata":{{"vector_fields":{{"v":{entry}}}}}}}"#);
        assert_eq!(meta(&document)["vector_fields"]["v"]["more"], 1);
        assert_eq!(
            meta(r#"{"data":{},"metadata":{"vector_fields":{}}}"#)["vector_fields"],
            serde_json::json!({})
        );
    }

    #[test]
    fn other_members_and_another_id_travel_along() {
        assert_eq!(meta(r#"{"data":{},"id":"a"}"#), Json::Null);
        let times = meta(r#"{"data":{},"id":"b","created_at":"2024"}"#);
        assert_eq!(
            times,
            serde_json::json!({"$record": {"id": "b", "created_at": "2024"}})
        );
        assert_eq!(
            meta(r#"{"data":{},"metadata":{"k":1},"x":2}"#),
            serde_json::json!({"k": 1, "$record": {"x": 2}})
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(read("a", r#"{"name":"x"}"#), Err("dataknobs::not_a_record"));
        assert_eq!(read("a", r#"{"data":[1]}"#), Err("dataknobs::not_a_record"));
        assert_eq!(
            read("a", r#"{"data":{},"metadata":[1]}"#),
            Err("dataknobs::bad_metadata")
        );
        assert_eq!(
            read("a", r#"{"data":{},"metadata":{"$fields":1}}"#),
            Err("dataknobs::reserved_key")
        );
    }
}
