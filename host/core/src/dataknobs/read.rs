//! dataknobs records to plain fields, id and metadata.

use super::types::{declared, kind_name, may_hold, usual};
use super::{FIELDS, KIND, RECORD};
use crate::Schema;
use crate::json::{Kind, RowError, Scanner, Token, unescape};

/// Reads records; reuses its buffers.
#[derive(Debug)]
pub struct Reader {
    /// The columns whose usual type is known.
    usual: Vec<(String, String)>,
    /// Where the next field is likely to be in `usual`.
    next: usize,
    fields: Vec<u8>,
    /// `"name":{…}` for each field that is not as usual.
    exceptions: Vec<u8>,
    /// Unknown members of the record.
    extras: Vec<u8>,
    meta: Vec<u8>,
    id: String,
}

/// A record as [`crate::json::Decoder::push_document`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The fields, one JSON object; may have bare NaN at its top ([`super::Form::is_bare_nan`]).
    pub fields: &'a [u8],
    /// The id.
    pub id: Option<&'a str>,
    /// The metadata, a JSON object; `None` when there is none.
    pub meta: Option<&'a str>,
}

/// Told the name and the declared type of every field whose value is not null.
type SeeType<'a> = &'a mut dyn FnMut(&str, &str);

impl Reader {
    /// A reader for a schema that [`super::Inference`] found.
    pub fn new(schema: &Schema) -> Self {
        let usual = schema.data_fields().filter_map(|(_, field)| {
            declared(field).map(|declared| (field.name.clone(), declared.to_owned()))
        });
        Reader {
            usual: usual.collect(),
            next: 0,
            fields: Vec::new(),
            exceptions: Vec::new(),
            extras: Vec::new(),
            meta: Vec::new(),
            id: String::new(),
        }
    }

    /// Reads a record of a file or of S3: `{"fields": {…}, "id": …, "metadata": {…}}`. Bare values
    /// instead of field objects and `_id` for `id` are understood. `key` is the id where the store
    /// has it beside the record; it wins, and an id inside that differs is kept in the metadata.
    ///
    /// *Errors* – malformed JSON; `dataknobs::not_a_record` without `fields`;
    /// `dataknobs::reserved_key` if the metadata uses [`FIELDS`] or [`RECORD`] itself, or a
    /// field [`KIND`].
    pub fn record<'s>(
        &'s mut self,
        key: Option<&'s str>,
        bytes: &[u8],
    ) -> Result<Plain<'s>, RowError> {
        self.read(key, bytes, &mut |_, _| ())
    }

    pub(super) fn read<'s>(
        &'s mut self,
        key: Option<&'s str>,
        bytes: &[u8],
        see: SeeType<'_>,
    ) -> Result<Plain<'s>, RowError> {
        self.clear();
        let mut scanner = Scanner::of(bytes)?.bare_nan(true);
        let (mut id, mut other_id, mut meta, mut has_fields) = (None, None, None, false);
        let mut more = scanner.enter_object()?;
        while more {
            let at = scanner.position();
            let (name, escaped) = scanner.key()?;
            let slot = match (name, escaped) {
                ("fields", false) => {
                    if std::mem::replace(&mut has_fields, true) {
                        return Err(duplicate(name, at));
                    }
                    self.fields(&mut scanner, see)?;
                    more = scanner.next_member()?;
                    continue;
                }
                ("id", false) => &mut id,
                ("_id", false) => &mut other_id,
                ("metadata", false) => &mut meta,
                _ => {
                    let token = finite(scanner.value()?, name)?;
                    member(&mut self.extras, name, token.raw);
                    more = scanner.next_member()?;
                    continue;
                }
            };
            if slot.replace(scanner.value()?).is_some() {
                return Err(duplicate(name, at));
            }
            more = scanner.next_member()?;
        }
        scanner.end()?;
        if !has_fields {
            let message = "the record has no `fields`, so it is none that dataknobs wrote";
            return Err(RowError::new("dataknobs::not_a_record", message));
        }
        let has_id = self.settle_id(id.or(other_id), key)?;
        let has_meta = self.settle_meta(meta.as_ref().map(|token| token.raw))?;
        Ok(Plain {
            fields: &self.fields,
            id: key.or(has_id.then_some(self.id.as_str())),
            meta: if has_meta {
                Some(utf8(&self.meta)?)
            } else {
                None
            },
        })
    }

    /// Reads the `data` and `metadata` of a flat record; the id lies beside them.
    ///
    /// *Errors* – as [`Reader::record`].
    pub fn flat(&mut self, data: &[u8], metadata: Option<&str>) -> Result<Plain<'_>, RowError> {
        self.clear();
        let mut scanner = Scanner::of(data)?;
        let mut more = scanner.enter_object()?;
        while more {
            let (name, _) = scanner.key()?;
            let token = scanner.value()?;
            match vector(&token)? {
                Some(object) => {
                    member(
                        &mut self.fields,
                        name,
                        object.value.map_or("null", |value| value.raw),
                    );
                    self.except(name, Some("vector"), &object);
                }
                None => member(&mut self.fields, name, token.raw),
            }
            more = scanner.next_member()?;
        }
        scanner.end()?;
        close(&mut self.fields);
        let has_meta = self.settle_meta(metadata)?;
        let meta = if has_meta {
            Some(utf8(&self.meta)?)
        } else {
            None
        };
        Ok(Plain {
            fields: &self.fields,
            id: None,
            meta,
        })
    }

    fn clear(&mut self) {
        for buffer in [
            &mut self.fields,
            &mut self.exceptions,
            &mut self.extras,
            &mut self.meta,
        ] {
            buffer.clear();
        }
        (self.next, self.id) = (0, String::new());
    }

    fn fields<'a>(&mut self, scanner: &mut Scanner<'a>, see: SeeType<'_>) -> Result<(), RowError> {
        let mut more = scanner.enter_object()?;
        while more {
            let (name, escaped) = scanner.key()?;
            let object = FieldObject::scan(scanner)?;
            let (Some(value), plain) = (object.value, unescape(name, escaped)) else {
                return Err(RowError::new(
                    "dataknobs::not_a_record",
                    "a field without a value",
                ));
            };
            member(&mut self.fields, name, value.raw);
            let usual = self.usual_type(&plain, &value.kind);
            // However it is spelled: a store writes what is not ASCII as an escape.
            let is =
                |raw: &str, text: &str| raw == text || *unescape(raw, raw.contains('\\')) == *text;
            let same = object.declared.is_none_or(|declared| is(declared, usual));
            let named = object.name.is_none_or(|own| own == name || is(own, &plain));
            let bare_metadata = object.metadata.is_none_or(|metadata| metadata == "{}");
            if let Some(declared) = object
                .declared
                .filter(|_| !matches!(value.kind, Kind::Null))
            {
                see(&plain, &unescape(declared, declared.contains('\\')));
            }
            if !(same && named && bare_metadata && object.extras.is_empty()) {
                // The type goes along even if it is the usual one: a step may change the value, and
                // then nothing the field says fits any more.
                self.except(name, object.declared, &object);
            }
            more = scanner.next_member()?;
        }
        close(&mut self.fields);
        Ok(())
    }

    fn usual_type(&mut self, name: &str, kind: &Kind<'_>) -> &str {
        let known = self.usual.len();
        let found = (0..known)
            .map(|i| (self.next + i) % known)
            .find(|i| self.usual[*i].0 == name);
        if let Some(found) = found {
            self.next = found + 1;
        }
        usual(found.map(|found| self.usual[found].1.as_str()), kind)
    }

    /// Notes what a field says beside its value.
    fn except(&mut self, name: &str, declared: Option<&str>, object: &FieldObject<'_>) {
        let mut exception = Vec::new();
        if let Some(own) = object.name.filter(|own| *own != name) {
            member(&mut exception, "name", &format!("\"{own}\""));
        }
        if let Some(declared) = declared {
            member(&mut exception, "type", &format!("\"{declared}\""));
        }
        if let Some(metadata) = object.metadata.filter(|metadata| *metadata != "{}") {
            member(&mut exception, "metadata", metadata);
        }
        for (name, raw) in &object.extras {
            member(&mut exception, name, raw);
        }
        if let Some(kind) = unfit(declared, object.value.map(|value| value.kind)) {
            member(&mut exception, KIND, &format!("\"{kind}\""));
        }
        close(&mut exception);
        member(
            &mut self.exceptions,
            name,
            &String::from_utf8_lossy(&exception),
        );
    }

    /// Whether the record has an id of its own.
    fn settle_id(&mut self, own: Option<Token<'_>>, key: Option<&str>) -> Result<bool, RowError> {
        let Some(own) = own else { return Ok(false) };
        match own.kind {
            Kind::Null => return Ok(false),
            Kind::Text(inner, escaped) => self.id.push_str(&unescape(inner, escaped)),
            Kind::Number(number) => self.id.push_str(number.text),
            _ => {
                let what = own.kind.what();
                return Err(RowError::new(
                    "dataknobs::bad_id",
                    format!("the id of the record is {what}"),
                ));
            }
        }
        let is_text = matches!(own.kind, Kind::Text(..));
        if key.is_some_and(|key| key != self.id || !is_text) {
            member(&mut self.extras, "id", own.raw);
        }
        Ok(true)
    }

    /// Puts the metadata together; whether there is any.
    fn settle_meta(&mut self, own: Option<&str>) -> Result<bool, RowError> {
        if let Some(own) = own.filter(|own| *own != "null") {
            let mut scanner = Scanner::of(own.as_bytes())?;
            let mut more = scanner.enter_object().map_err(bad_metadata)?;
            while more {
                let (name, escaped) = scanner.key().map_err(bad_metadata)?;
                if [FIELDS, RECORD].contains(&unescape(name, escaped).as_ref()) {
                    let message = format!("the metadata uses the reserved key `{name}`");
                    return Err(RowError::new("dataknobs::reserved_key", message));
                }
                member(
                    &mut self.meta,
                    name,
                    scanner.value().map_err(bad_metadata)?.raw,
                );
                more = scanner.next_member().map_err(bad_metadata)?;
            }
            scanner.end().map_err(bad_metadata)?;
        }
        for (name, members) in [(FIELDS, &mut self.exceptions), (RECORD, &mut self.extras)] {
            if !members.is_empty() {
                close(members);
                member(&mut self.meta, name, &String::from_utf8_lossy(members));
            }
        }
        let has_meta = !self.meta.is_empty();
        close(&mut self.meta);
        Ok(has_meta)
    }
}

/// The kind of a value that says nothing about its declared type: null, or one that does not fit.
fn unfit(declared: Option<&str>, kind: Option<Kind<'_>>) -> Option<&'static str> {
    let kind = kind?;
    let fits = declared
        .is_none_or(|declared| may_hold(&unescape(declared, declared.contains('\\')), &kind));
    (matches!(kind, Kind::Null) || !fits).then(|| kind_name(&kind))
}

fn bad_metadata(cause: RowError) -> RowError {
    RowError::new(
        "dataknobs::bad_metadata",
        format!("the metadata is no JSON object: {cause}"),
    )
}

fn duplicate(name: &str, at: usize) -> RowError {
    let message = format!("the key `{name}` comes again at byte {at}");
    RowError::new("json::duplicate_key", message).in_column(name)
}

fn finite<'a>(token: Token<'a>, name: &str) -> Result<Token<'a>, RowError> {
    match token.kind {
        Kind::NotFinite(_) => {
            let message = format!("`{name}` holds NaN or infinity");
            Err(RowError::new("json::not_a_number", message).in_column(name))
        }
        _ => Ok(token),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, RowError> {
    simdutf8::basic::from_utf8(bytes)
        .map_err(|_| RowError::new("json::not_utf8", "the metadata is not UTF-8"))
}

/// Adds a member to an open object; `name` is text as it stands between quotes.
pub(super) fn member(object: &mut Vec<u8>, name: &str, raw: &str) {
    object.extend_from_slice(if object.is_empty() { b"{\"" } else { b",\"" });
    object.extend_from_slice(name.as_bytes());
    object.extend_from_slice(b"\":");
    object.extend_from_slice(raw.as_bytes());
}

/// Ends an open object, which may still be empty.
pub(super) fn close(object: &mut Vec<u8>) {
    if object.is_empty() {
        object.push(b'{');
    }
    object.push(b'}');
}

/// What a field says: texts as they stand between quotes.
#[derive(Default)]
struct FieldObject<'a> {
    value: Option<Token<'a>>,
    name: Option<&'a str>,
    declared: Option<&'a str>,
    metadata: Option<&'a str>,
    extras: Vec<(&'a str, &'a str)>,
}

impl<'a> FieldObject<'a> {
    /// Scans a field: an object with a `value`, or a bare value.
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, RowError> {
        if !scanner.is_at_object() {
            return Ok(FieldObject {
                value: Some(scanner.value()?),
                ..FieldObject::default()
            });
        }
        let start = scanner.position();
        let object = FieldObject::members(scanner)?;
        if object.value.is_some() {
            return Ok(object);
        }
        let bare = Token {
            kind: Kind::Object,
            raw: scanner.text_from(start),
        };
        Ok(FieldObject {
            value: Some(bare),
            ..FieldObject::default()
        })
    }

    fn members(scanner: &mut Scanner<'a>) -> Result<Self, RowError> {
        let mut object = FieldObject::default();
        let mut more = scanner.enter_object()?;
        while more {
            let (name, _) = scanner.key()?;
            let token = scanner.value()?;
            match (name, token.kind) {
                ("value", _) if object.value.is_none() => object.value = Some(token),
                ("value", _) => {
                    return Err(RowError::new(
                        "json::duplicate_key",
                        "a field with two values",
                    ));
                }
                ("name", Kind::Text(inner, _)) => object.name = Some(inner),
                ("type", Kind::Text(inner, _)) => object.declared = Some(inner),
                ("metadata", Kind::Object) => {
                    // Laid out as `{ }` it says no more than `{}`.
                    let inner = token.raw.trim_start_matches('{').trim_end_matches('}');
                    let is_empty = inner.bytes().all(|byte| byte.is_ascii_whitespace());
                    object.metadata = Some(if is_empty { "{}" } else { token.raw });
                }
                ("metadata", Kind::Null) => (),
                (KIND, _) => {
                    let message = format!("a field uses the reserved key `{name}`");
                    return Err(RowError::new("dataknobs::reserved_key", message));
                }
                _ => object.extras.push((name, finite(token, name)?.raw)),
            }
            more = scanner.next_member()?;
        }
        Ok(object)
    }
}

/// A vector's object in a flat record. An object that only looks like one (a `value` that is no
/// list) is a value like any other; dataknobs itself cannot read such a record.
fn vector<'a>(token: &Token<'a>) -> Result<Option<FieldObject<'a>>, RowError> {
    if !matches!(token.kind, Kind::Object) || !token.raw.contains("vector") {
        return Ok(None);
    }
    let object = FieldObject::members(&mut Scanner::new(token.raw))?;
    let is_list = object
        .value
        .is_some_and(|value| matches!(value.kind, Kind::Array));
    Ok((object.declared == Some("vector") && is_list).then_some(object))
}
