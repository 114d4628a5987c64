//! How two versions differ, and what each difference may do to records of the older.
//!
//! A verdict is about records that satisfy the older version and nothing more is known of: *safe*
//! only where none of them can be refused or lose a value.

use crate::check::touched;
use crate::constant::Constant;
use crate::tightening::{Change, rules};
use crate::types::TypeChange;
use crate::version::{FieldVersion, SchemaVersion};

/// What a difference may do to records, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No record is refused, none loses a value.
    Safe,
    /// Records without a value are refused unless somebody says which they get.
    NeedsDefault,
    /// Some records may be refused.
    MayReject,
    /// A value is dropped.
    LosesData,
}

impl Verdict {
    /// As tables and JSON say it.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Safe => "safe",
            Verdict::NeedsDefault => "needs default",
            Verdict::MayReject => "may reject",
            Verdict::LosesData => "loses data",
        }
    }
}

/// What is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A field is new.
    Added,
    /// A field is gone.
    Removed,
    /// A field has another name.
    Renamed,
    /// A field has another type.
    Type(TypeChange),
    /// A field must have a value.
    Required,
    /// A field need not have a value any more.
    Optional,
    /// A field has another default.
    Default,
    /// A rule, by name.
    Rule(&'static str, Change),
    /// The key.
    Key,
    /// Unknown fields are kept.
    Opened,
    /// Unknown fields are refused.
    Closed,
    /// An expression over the record.
    Check(Change),
    /// A description.
    Description,
}

impl Kind {
    /// In words.
    pub fn words(self) -> String {
        let plain = match self {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Renamed => "renamed",
            Kind::Type(change) => return format!("type ({})", change.word()),
            Kind::Required => "required",
            Kind::Optional => "optional",
            Kind::Default => "default",
            Kind::Rule(name, change) => return format!("{name} {}", change.word()),
            Kind::Key => "key",
            Kind::Opened => "opened",
            Kind::Closed => "closed",
            Kind::Check(change) => return format!("check {}", change.word()),
            Kind::Description => "description",
        };
        plain.to_owned()
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The field's name in the newer version, or in the older where it is gone; `None` for what is
    /// the record's.
    pub field: Option<String>,
    /// What is different.
    pub kind: Kind,
    /// What the older version says; empty for nothing.
    pub from: String,
    /// What the newer version says; empty for nothing.
    pub to: String,
    /// What it may do to records.
    pub verdict: Verdict,
    /// What a person should know besides.
    pub note: Option<String>,
}

impl Difference {
    fn new(field: Option<&str>, kind: Kind, verdict: Verdict) -> Self {
        Difference {
            field: field.map(str::to_owned),
            kind,
            from: String::new(),
            to: String::new(),
            verdict,
            note: None,
        }
    }

    fn between(self, from: impl Into<String>, to: impl Into<String>) -> Self {
        Difference {
            from: from.into(),
            to: to.into(),
            ..self
        }
    }

    fn noted(self, note: impl Into<String>) -> Self {
        Difference {
            note: Some(note.into()),
            ..self
        }
    }
}

/// All differences, those of the record first, then fields as the newer version has them, then what
/// is gone.
pub fn differences(from: &SchemaVersion, to: &SchemaVersion) -> Vec<Difference> {
    let mut found = of_records(from, to);
    let mut known = Vec::new();
    for field in &to.fields {
        match before(field, from, to) {
            Some(old) => {
                known.push(old.name.as_str());
                found.extend(of_field(from, old, field));
            }
            None => found.push(added(from, field)),
        }
    }
    let gone = from
        .fields
        .iter()
        .filter(|old| !known.contains(&old.name.as_str()));
    for old in gone {
        found.push(removed(old, from, to));
    }
    found
}

/// What a field was in the older version: by `was`, else the field of its name, unless another has
/// taken that one.
pub fn before<'a>(
    field: &FieldVersion,
    from: &'a SchemaVersion,
    to: &SchemaVersion,
) -> Option<&'a FieldVersion> {
    if let Some(old) = field.was.as_ref().and_then(|was| from.field(was)) {
        return Some(old);
    }
    let is_taken = to
        .fields
        .iter()
        .any(|other| other.was.as_ref() == Some(&field.name));
    from.field(&field.name).filter(|_| !is_taken)
}

/// Whether records that satisfy the older version without a value of the field get one.
pub(crate) fn gets_default(schema: &SchemaVersion, old: &FieldVersion, new: &FieldVersion) -> bool {
    let asks = new.required || old.default != new.default;
    new.default.is_some() && !schema.needs(old) && asks
}

fn of_records(from: &SchemaVersion, to: &SchemaVersion) -> Vec<Difference> {
    let described = (from.description != to.description).then(|| {
        Difference::new(None, Kind::Description, Verdict::Safe)
            .between(&from.description, &to.description)
    });
    let opened = match (from.open, to.open) {
        (false, true) => Some(Difference::new(None, Kind::Opened, Verdict::Safe)),
        (true, false) => Some(Difference::new(None, Kind::Closed, Verdict::MayReject)),
        _ => None,
    };
    let single = [described, key(from, to), opened];
    single
        .into_iter()
        .flatten()
        .chain(checks(from, to))
        .collect()
}

fn key(from: &SchemaVersion, to: &SchemaVersion) -> Option<Difference> {
    let renamed = from.key.iter().map(|name| after(name, from, to));
    if renamed.eq(to.key.iter().map(|name| Some(name.as_str()))) {
        return None;
    }
    let verdict = match to.key.is_empty() {
        true => Verdict::Safe,
        false => Verdict::MayReject,
    };
    let key = Difference::new(None, Kind::Key, verdict);
    Some(key.between(from.key.join(", "), to.key.join(", ")))
}

/// Checks that are gone, that are new, and that are there as before and mean something else.
fn checks(from: &SchemaVersion, to: &SchemaVersion) -> Vec<Difference> {
    let gone = from
        .checks
        .iter()
        .filter(|check| !to.checks.contains(check));
    let new = to
        .checks
        .iter()
        .filter(|check| !from.checks.contains(check));
    let loosened = Difference::new(None, Kind::Check(Change::Loosened), Verdict::Safe);
    let tightened = Difference::new(None, Kind::Check(Change::Tightened), Verdict::MayReject);
    let gone = gone.map(|check| loosened.clone().between(check, ""));
    let new = new.map(|check| tightened.clone().between("", check));
    let touched =
        touched(from, to).map(|(check, why)| tightened.clone().between(check, check).noted(why));
    gone.chain(new).chain(touched).collect()
}

/// A field's name in the newer version, if it has it.
fn after<'a>(name: &str, from: &SchemaVersion, to: &'a SchemaVersion) -> Option<&'a str> {
    let is_it = |field: &&FieldVersion| before(field, from, to).is_some_and(|old| old.name == name);
    to.fields
        .iter()
        .find(is_it)
        .map(|field| field.name.as_str())
}

fn added(from: &SchemaVersion, field: &FieldVersion) -> Difference {
    let added = |verdict| {
        let added = Difference::new(Some(&field.name), Kind::Added, verdict);
        added.between("", field.logical.to_string())
    };
    match &field.default {
        _ if from.open => added(Verdict::MayReject)
            .noted("records of an open schema may hold it already, as anything"),
        Some(default) if field.rules.unique => added(Verdict::MayReject).noted(format!(
            "all records would have {default}, and it is unique"
        )),
        Some(default) => added(Verdict::Safe).noted(format!("records get {default}")),
        None if field.required => added(Verdict::NeedsDefault),
        None => added(Verdict::Safe),
    }
}

fn removed(old: &FieldVersion, from: &SchemaVersion, to: &SchemaVersion) -> Difference {
    let name = &old.name;
    let removed = Difference::new(Some(name), Kind::Removed, Verdict::LosesData)
        .between(old.logical.to_string(), "");
    match successor(old, from, to) {
        Some(new) => removed.noted(format!(
            "if it is `{new}` now, say so: [fields.{new}] was = \"{name}\""
        )),
        None => removed,
    }
}

/// The one new field of the type that a field which is gone had: perhaps its new name.
fn successor<'a>(
    old: &FieldVersion,
    from: &SchemaVersion,
    to: &'a SchemaVersion,
) -> Option<&'a str> {
    let is_new = |field: &&FieldVersion| before(field, from, to).is_none();
    let fits = |field: &&FieldVersion| field.logical == old.logical;
    let mut fitting = to.fields.iter().filter(is_new).filter(fits);
    let only = fitting.next()?;
    fitting.next().is_none().then_some(&only.name)
}

fn of_field(schema: &SchemaVersion, old: &FieldVersion, new: &FieldVersion) -> Vec<Difference> {
    let safe = |kind| Difference::new(Some(&new.name), kind, Verdict::Safe);
    let mut found = Vec::new();
    found.extend(renamed(schema, old, new));
    if let Some(change) = TypeChange::between(&old.logical, &new.logical) {
        let verdict = match change {
            TypeChange::Widening => Verdict::Safe,
            TypeChange::Narrowing | TypeChange::Incompatible => Verdict::MayReject,
        };
        let retyped = Difference::new(Some(&new.name), Kind::Type(change), verdict);
        found.push(retyped.between(old.logical.to_string(), new.logical.to_string()));
    }
    if new.required && !schema.needs(old) {
        found.push(required(schema, old, new));
    } else if old.required && !new.required {
        found.push(safe(Kind::Optional));
    }
    if old.default != new.default {
        let shown = |field: &FieldVersion| {
            let default = field.default.as_ref();
            default.map_or_else(String::new, Constant::to_string)
        };
        let verdict = match collides(schema, old, new) {
            true => Verdict::MayReject,
            false => Verdict::Safe,
        };
        let default = Difference::new(Some(&new.name), Kind::Default, verdict);
        found.push(default.between(shown(old), shown(new)));
    }
    found.extend(rules(old, new).into_iter().map(|rule| {
        let kind = Kind::Rule(rule.name, rule.change);
        Difference::new(Some(&new.name), kind, rule.verdict()).between(rule.from, rule.to)
    }));
    if old.description != new.description {
        found.push(safe(Kind::Description).between(&old.description, &new.description));
    }
    found
}

fn renamed(schema: &SchemaVersion, old: &FieldVersion, new: &FieldVersion) -> Option<Difference> {
    if old.name == new.name {
        return None;
    }
    let renamed = |verdict| {
        Difference::new(Some(&new.name), Kind::Renamed, verdict).between(&old.name, &new.name)
    };
    Some(match schema.open && schema.field(&new.name).is_none() {
        true => renamed(Verdict::MayReject)
            .noted("records of an open schema may hold the new name already"),
        false => renamed(Verdict::Safe),
    })
}

fn required(schema: &SchemaVersion, old: &FieldVersion, new: &FieldVersion) -> Difference {
    let required = |verdict| Difference::new(Some(&new.name), Kind::Required, verdict);
    match &new.default {
        Some(default) if collides(schema, old, new) => required(Verdict::MayReject).noted(format!(
            "all records without would have {default}, and it is unique"
        )),
        Some(default) => required(Verdict::Safe).noted(format!("records without get {default}")),
        None => required(Verdict::NeedsDefault),
    }
}

/// Whether all records without a value would have the same one, of which there may be one only.
fn collides(schema: &SchemaVersion, old: &FieldVersion, new: &FieldVersion) -> bool {
    new.rules.unique && gets_default(schema, old, new)
}
