//! The columns of a source: what the mapping says, what a sample shows, what the job declares.

use std::collections::BTreeMap;

use dkhost_core::error::nearest;
use dkhost_core::json::{DecodeOptions, RowError, Scanner, unescape};
use dkhost_core::{Error, Field, LogicalType, OpenSource, Result, Role, Schema, Span};
use serde_json::{Value as Json, json};

use super::mapping::{Fitting, Mapped, candidates};

/// What documents are read as.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub schema: Schema,
    pub options: DecodeOptions,
    pub notes: Vec<String>,
    /// What is asked for of each document: `true`, or the names of its fields.
    pub wanted: Json,
}

/// Types the job declares, and where it does.
pub(super) struct Declared {
    pub types: BTreeMap<String, String>,
    pub span: Span,
}

impl Declared {
    /// The declared type of a field.
    ///
    /// *Errors* – `elasticsearch::bad_type`.
    fn of(&self, name: &str) -> Result<Option<LogicalType>> {
        let Some(text) = self.types.get(name) else {
            return Ok(None);
        };
        let logical = text.parse().map_err(|why: String| {
            Error::config(
                "elasticsearch::bad_type",
                format!("the type of `{name}`: {why}"),
            )
            .at(self.span.clone(), "here")
        })?;
        Ok(Some(logical))
    }
}

/// The values of a sample, field by field.
#[derive(Debug, Default)]
pub(super) struct Sample {
    fitting: Vec<(String, Fitting)>,
    pub documents: usize,
}

impl Sample {
    pub fn of(mapped: &[Mapped]) -> Self {
        let fitting = mapped
            .iter()
            .map(|field| (field.name.clone(), Fitting::of(candidates(field))));
        Sample {
            fitting: fitting.collect(),
            documents: 0,
        }
    }

    /// Takes a document into account, as far as it can be read.
    pub fn observe(&mut self, document: &[u8]) {
        self.documents += 1;
        let _ = self.scan(document);
    }

    fn scan(&mut self, document: &[u8]) -> Result<(), RowError> {
        let mut scanner = Scanner::of(document)?;
        let mut more = scanner.enter_object()?;
        while more {
            let (key, escaped) = scanner.key()?;
            let key = unescape(key, escaped);
            let value = scanner.value()?;
            if let Some((_, fitting)) = self.fitting.iter_mut().find(|(name, _)| *name == *key) {
                fitting.observe(&value);
            }
            more = scanner.next_member()?;
        }
        Ok(())
    }
}

impl Columns {
    /// The columns of documents with these fields.
    ///
    /// *Errors* – `elasticsearch::no_field`, `elasticsearch::bad_type`.
    pub fn of(
        mapped: &[Mapped],
        sample: &Sample,
        declared: &Declared,
        open: &OpenSource,
    ) -> Result<Self> {
        let mut fields = Vec::with_capacity(mapped.len());
        for (field, (_, fitting)) in mapped.iter().zip(&sample.fitting) {
            let logical = match declared.of(&field.name)? {
                Some(declared) => declared,
                None => fitting.best(),
            };
            fields.push(document_field(
                &field.name,
                logical,
                Some(field.kind.clone()),
            ));
        }
        // A field that is not searched for is in no mapping.
        for name in declared.types.keys() {
            if let Some(logical) = declared.of(name)?
                && !fields.iter().any(|field| field.name == *name)
            {
                fields.push(document_field(name, logical, None));
            }
        }
        let fields = chosen(fields, open)?;
        let mut notes = vec![match sample.documents {
            0 => "types are those of the mapping; what does not fit stays in the record".to_owned(),
            seen => format!(
                "types are those of the mapping, as far as the first {seen} documents bear them out; what does not fit stays in the record"
            ),
        }];
        let wanted = wanted(&fields, open);
        if open.columns.is_some() && wanted == json!(true) {
            notes.push(
                "whole documents are sent, since the server would round numbers in parts of them"
                    .to_owned(),
            );
        }
        Ok(Columns {
            schema: Schema::new(with_reserved(fields, &[Role::Id, Role::Rest])),
            options: DecodeOptions {
                explicit_nulls: open.explicit_nulls,
                skip_unknown: open.columns.is_some(),
                ..DecodeOptions::default()
            },
            notes,
            wanted,
        })
    }
}

impl Columns {
    /// The columns of records with these fields.
    ///
    /// *Errors* – `elasticsearch::no_field`.
    pub fn of_store(fields: Vec<Field>, open: &OpenSource) -> Result<Self> {
        let roles = [Role::Id, Role::Meta, Role::Rest];
        Ok(Columns {
            schema: Schema::new(with_reserved(chosen(fields, open)?, &roles)),
            options: DecodeOptions {
                explicit_nulls: open.explicit_nulls,
                skip_unknown: open.columns.is_some(),
                ..DecodeOptions::default()
            },
            notes: vec![
                "fields and their types are inferred; later ones that are new stay in the record"
                    .to_owned(),
            ],
            wanted: json!(true),
        })
    }
}

fn document_field(name: &str, logical: LogicalType, source_type: Option<String>) -> Field {
    Field {
        null_is_absent: true,
        source_type,
        ..Field::new(name, logical)
    }
}

/// The fields the job wants, its key marked.
///
/// *Errors* – `elasticsearch::no_field`.
fn chosen(mut fields: Vec<Field>, open: &OpenSource) -> Result<Vec<Field>> {
    if let Some(wanted) = &open.columns {
        let mut taken = Vec::with_capacity(wanted.len());
        for name in wanted
            .iter()
            .filter(|name| *name != Role::Id.default_name())
        {
            match fields.iter().position(|field| field.name == *name) {
                Some(at) => taken.push(fields.remove(at)),
                None => return Err(no_field("columns", name, &fields)),
            }
        }
        fields = taken;
    }
    for (place, name) in (0..).zip(&open.key) {
        match fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.key = Some(place),
            // The store's own key, and the name dataknobs has for it.
            None if matches!(name.as_str(), "_id" | "id") && open.key.len() == 1 => {}
            None => return Err(no_field("key", name, &fields)),
        }
    }
    Ok(fields)
}

/// A field that the documents do not have, as far as anybody knows.
fn no_field(option: &str, name: &str, fields: &[Field]) -> Error {
    let message = format!("`{option}` names the field `{name}`, which is not in the mapping");
    let error = Error::config("elasticsearch::no_field", message);
    let names = || fields.iter().map(|field| field.name.as_str());
    match nearest(name, names()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!(
            "there are: {}; a field that is in documents only is declared: fields = {{ {name} = \"utf8\" }}",
            names().take(50).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The reserved columns beside the fields: the id before them, the others behind.
fn with_reserved(mut fields: Vec<Field>, roles: &[Role]) -> Vec<Field> {
    for role in roles {
        let mut field = Field::reserved(*role);
        while fields.iter().any(|known| known.name == field.name) {
            field.name.insert(0, '_');
        }
        field.nullable = *role != Role::Id;
        if *role == Role::Id && !fields.iter().any(|field| field.key.is_some()) {
            field.key = Some(0);
        }
        match role {
            Role::Id => fields.insert(0, field),
            _ => fields.push(field),
        }
    }
    fields
}

/// What the server is to send: the wanted fields alone only where it sends them unchanged. It writes
/// a part of a document anew, and numbers with a fraction as what a float64 makes of them.
fn wanted(fields: &[Field], open: &OpenSource) -> Json {
    use LogicalType::*;
    let exact = |field: &Field| {
        matches!(
            field.logical,
            Boolean
                | Int32
                | Int64
                | UInt64
                | Utf8
                | Binary
                | Date32
                | Time64
                | Timestamp(_)
                | Uuid
        )
    };
    // A star or a dot in a name means others too.
    let plain = |field: &Field| !field.name.contains(['*', '.']);
    match open.columns.is_some() && fields.iter().all(|field| exact(field) && plain(field)) {
        true => {
            json!({"includes": fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>()})
        }
        false => json!(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(documents: &[&str], types: &[(&str, &str)], open: &OpenSource) -> Result<Columns> {
        let mapping = [json!({"properties": {
            "age": {"type": "integer"}, "price": {"type": "double"}, "tags": {"type": "keyword"}
        }})];
        let mapped = super::super::mapping::fields(mapping.iter());
        let mut sample = Sample::of(&mapped);
        documents
            .iter()
            .for_each(|document| sample.observe(document.as_bytes()));
        let types = types
            .iter()
            .map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned()));
        let declared = Declared {
            types: types.collect(),
            span: 0..0,
        };
        Columns::of(&mapped, &sample, &declared, open)
    }

    fn told(columns: &Columns) -> Vec<String> {
        let one = |field: &Field| format!("{} {}", field.name, field.logical);
        columns.schema.fields.iter().map(one).collect()
    }

    #[test]
    fn columns_are_the_mapping_the_sample_and_the_job() {
        let open = OpenSource::default();
        let plain = columns(&[], &[], &open).unwrap();
        assert_eq!(
            told(&plain),
            [
                "_id utf8",
                "age int32",
                "price float64",
                "tags utf8",
                "_rest json"
            ]
        );
        let declared = [("price", "decimal(10,2)"), ("extra", "boolean")];
        let more = columns(&[r#"{"tags":["a"]}"#, "{"], &declared, &open).unwrap();
        let expected = [
            "_id utf8",
            "age int32",
            "price decimal(10, 2)",
            "tags json",
            "extra boolean",
            "_rest json",
        ];
        assert_eq!(told(&more), expected);
        let wrong = columns(&[], &[("price", "money")], &open).unwrap_err();
        assert_eq!(wrong.code(), "elasticsearch::bad_type");
    }

    #[test]
    fn a_part_is_asked_for_where_it_comes_unchanged() {
        let wanted = |names: &[&str]| {
            let open = OpenSource {
                columns: Some(names.iter().map(|name| (*name).to_owned()).collect()),
                ..OpenSource::default()
            };
            columns(&[], &[], &open)
                .map(|columns| columns.wanted)
                .map_err(|error| error.code())
        };
        assert_eq!(
            wanted(&["tags", "age"]),
            Ok(json!({"includes": ["tags", "age"]}))
        );
        assert_eq!(wanted(&["price"]), Ok(json!(true)));
        assert_eq!(wanted(&["prise"]), Err("elasticsearch::no_field"));
    }
}
