//! An Arrow schema plus what Arrow does not know: role, key, source type.
//!
//! The extra facts travel in the Arrow field's metadata, so that a `RecordBatch` carries its whole
//! schema and nothing has to be passed beside it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{self, SchemaRef};

use crate::types::{LogicalType, TYPE_MARK};
use crate::{Error, Result};

const ROLE_MARK: &str = "dkhost.role";
const KEY_MARK: &str = "dkhost.key";
const SOURCE_TYPE_MARK: &str = "dkhost.source-type";
const ABSENT_MARK: &str = "dkhost.absent";

/// The reserved columns, told by this role and never by their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The record id of stores that have one.
    Id,
    /// Record-level metadata: a JSON object per row.
    Meta,
    /// Everything the typed columns of a document do not hold: a JSON object per row, null when
    /// there is nothing.
    Rest,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Id => "id",
            Role::Meta => "meta",
            Role::Rest => "rest",
        }
    }

    /// The name a source gives the column of this role; made unique if a field has it already.
    pub fn default_name(self) -> &'static str {
        match self {
            Role::Id => "_id",
            Role::Meta => "_meta",
            Role::Rest => "_rest",
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name, unique in its schema.
    pub name: String,
    /// Its type.
    pub logical: LogicalType,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// Set for the reserved columns.
    pub role: Option<Role>,
    /// Place in the key, from 0.
    pub key: Option<u32>,
    /// How the source spells the type: `varchar(30)`.
    pub source_type: Option<String>,
    /// In a document source, a null in this column means "the field is not there"; an explicit
    /// null then stands in the rest. Without it a null is an explicit null.
    pub null_is_absent: bool,
    /// What the source says of the column and no schema carries, in a word each (`default`,
    /// `identity`): for the plan of a table that is created. Batches do not bring it along.
    pub left_behind: Vec<String>,
}

impl Field {
    /// A nullable column without role or key.
    pub fn new(name: impl Into<String>, logical: LogicalType) -> Self {
        Field {
            name: name.into(),
            logical,
            nullable: true,
            role: None,
            key: None,
            source_type: None,
            null_is_absent: false,
            left_behind: Vec::new(),
        }
    }

    /// A reserved column under its default name: id is utf8, meta and rest are json.
    pub fn reserved(role: Role) -> Self {
        let logical = if role == Role::Id {
            LogicalType::Utf8
        } else {
            LogicalType::Json
        };
        Field {
            role: Some(role),
            ..Field::new(role.default_name(), logical)
        }
    }

    /// The Arrow field, marks in its metadata.
    pub fn to_arrow(&self) -> datatypes::Field {
        let mut marks = HashMap::new();
        let mut mark = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                marks.insert(name.to_owned(), value);
            }
        };
        mark(TYPE_MARK, self.logical.mark().map(str::to_owned));
        mark(ROLE_MARK, self.role.map(|role| role.word().to_owned()));
        mark(KEY_MARK, self.key.map(|key| key.to_string()));
        mark(SOURCE_TYPE_MARK, self.source_type.clone());
        mark(ABSENT_MARK, self.null_is_absent.then(|| "1".to_owned()));
        datatypes::Field::new(&self.name, self.logical.arrow(), self.nullable).with_metadata(marks)
    }

    /// Reads an Arrow field with our marks.
    ///
    /// *Errors* – a bug if the layout is none of ours: sources widen foreign layouts first
    /// ([`LogicalType::widened`]).
    pub fn from_arrow(field: &datatypes::Field) -> Result<Self> {
        let marks = field.metadata();
        let mark = |name: &str| marks.get(name).map(String::as_str);
        let logical =
            LogicalType::from_arrow(field.data_type(), mark(TYPE_MARK)).ok_or_else(|| {
                Error::bug(format!(
                    "column `{}` has the foreign layout {}",
                    field.name(),
                    field.data_type()
                ))
            })?;
        Ok(Field {
            name: field.name().clone(),
            logical,
            nullable: field.is_nullable(),
            role: match mark(ROLE_MARK) {
                Some("id") => Some(Role::Id),
                Some("meta") => Some(Role::Meta),
                Some("rest") => Some(Role::Rest),
                _ => None,
            },
            key: mark(KEY_MARK).and_then(|key| key.parse().ok()),
            source_type: mark(SOURCE_TYPE_MARK).map(str::to_owned),
            null_is_absent: mark(ABSENT_MARK).is_some(),
            left_behind: Vec::new(),
        })
    }
}

/// The columns of a batch, in order, with names that are unique.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// The columns, reserved ones included.
    pub fields: Vec<Field>,
}

impl Schema {
    /// A schema of these columns.
    pub fn new(fields: Vec<Field>) -> Self {
        Schema { fields }
    }

    /// The Arrow schema, marks in the fields' metadata.
    pub fn to_arrow(&self) -> SchemaRef {
        Arc::new(datatypes::Schema::new(
            self.fields.iter().map(Field::to_arrow).collect::<Vec<_>>(),
        ))
    }

    /// Reads an Arrow schema with our marks.
    pub fn from_arrow(schema: &datatypes::Schema) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| Field::from_arrow(field));
        Ok(Schema {
            fields: fields.collect::<Result<_>>()?,
        })
    }

    /// Index of the column called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The column called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Index of the column with this role.
    pub fn role(&self, role: Role) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.role == Some(role))
    }

    /// Indices of the key columns, in key order; empty without a key.
    pub fn key(&self) -> Vec<usize> {
        let mut key: Vec<_> = self
            .fields
            .iter()
            .enumerate()
            .filter_map(|(i, f)| f.key.map(|place| (place, i)))
            .collect();
        key.sort_unstable();
        key.into_iter().map(|(_, index)| index).collect()
    }

    /// Every column's name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Columns without a role: what people call the fields of a record.
    pub fn data_fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.role.is_none())
    }
}
