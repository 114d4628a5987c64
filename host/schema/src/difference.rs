//! How two versions differ, and what each difference may do to records of the older.
//!
//! A verdict is about records that satisfy the older version and nothing more is known of: *safe*
//! only where none of them can be refused or lose a value.

use crate::check::touched;
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

/// All differences, those of the record first, then fields as the newer version has them, then what
/// is gone.
pub fn differences(from: &SchemaVersion, to: &SchemaVersion) -> Vec<Difference> {
    let mut found = Vec::new();
    of_records(from, to, &mut found);
    let mut known = Vec::new();
    for field in &to.fields {
        match before(field, from, to) {
            Some(old) => {
                known.push(old.name.as_str());
                of_field(from, old, field, &mut found);
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

fn of_records(from: &SchemaVersion, to: &SchemaVersion, found: &mut Vec<Difference>) {
    let mut tell = |kind, from: &str, to: &str, verdict| {
        found.push(Difference {
            field: None,
            kind,
            from: from.to_owned(),
            to: to.to_owned(),
            verdict,
            note: None,
        });
    };
    if from.description != to.description {
        tell(
            Kind::Description,
            &from.description,
            &to.description,
            Verdict::Safe,
        );
    }
    let renamed = from.key.iter().map(|name| after(name, from, to));
    if !renamed.eq(to.key.iter().map(|name| Some(name.as_str()))) {
        let verdict = match to.key.is_empty() {
            true => Verdict::Safe,
            false => Verdict::MayReject,
        };
        tell(Kind::Key, &from.key.join(", "), &to.key.join(", "), verdict);
    }
    match (from.open, to.open) {
        (false, true) => tell(Kind::Opened, "", "", Verdict::Safe),
        (true, false) => tell(Kind::Closed, "", "", Verdict::MayReject),
        _ => (),
    }
    for check in from
        .checks
        .iter()
        .filter(|check| !to.checks.contains(check))
    {
        tell(Kind::Check(Change::Loosened), check, "", Verdict::Safe);
    }
    for check in to
        .checks
        .iter()
        .filter(|check| !from.checks.contains(check))
    {
        tell(
            Kind::Check(Change::Tightened),
            "",
            check,
            Verdict::MayReject,
        );
    }
    for (check, why) in touched(from, to) {
        found.push(Difference {
            field: None,
            kind: Kind::Check(Change::Tightened),
            from: check.to_owned(),
            to: check.to_owned(),
            verdict: Verdict::MayReject,
            note: Some(why),
        });
    }
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
    let (verdict, note) = match &field.default {
        _ if from.open => (
            Verdict::MayReject,
            Some("records of an open schema may hold it already, as anything".to_owned()),
        ),
        Some(default) if field.rules.unique => (
            Verdict::MayReject,
            Some(format!(
                "all records would have {default}, and it is unique"
            )),
        ),
        None if field.required => (Verdict::NeedsDefault, None),
        Some(default) => (Verdict::Safe, Some(format!("records get {default}"))),
        None => (Verdict::Safe, None),
    };
    Difference {
        field: Some(field.name.clone()),
        kind: Kind::Added,
        from: String::new(),
        to: field.logical.to_string(),
        verdict,
        note,
    }
}

fn removed(old: &FieldVersion, from: &SchemaVersion, to: &SchemaVersion) -> Difference {
    Difference {
        field: Some(old.name.clone()),
        kind: Kind::Removed,
        from: old.logical.to_string(),
        to: String::new(),
        verdict: Verdict::LosesData,
        note: successor(old, from, to).map(|name| {
            format!(
                "if it is `{name}` now, say so: [fields.{name}] was = \"{}\"",
                old.name
            )
        }),
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

fn of_field(
    schema: &SchemaVersion,
    old: &FieldVersion,
    new: &FieldVersion,
    found: &mut Vec<Difference>,
) {
    let mut tell = |kind, from: String, to: String, verdict, note: Option<&str>| {
        found.push(Difference {
            field: Some(new.name.clone()),
            kind,
            from,
            to,
            verdict,
            note: note.map(str::to_owned),
        });
    };
    if old.name != new.name {
        let (verdict, note) = match schema.open && schema.field(&new.name).is_none() {
            true => (
                Verdict::MayReject,
                Some("records of an open schema may hold the new name already"),
            ),
            false => (Verdict::Safe, None),
        };
        tell(
            Kind::Renamed,
            old.name.clone(),
            new.name.clone(),
            verdict,
            note,
        );
    }
    if let Some(change) = TypeChange::between(&old.logical, &new.logical) {
        let verdict = match change {
            TypeChange::Widening => Verdict::Safe,
            TypeChange::Narrowing | TypeChange::Incompatible => Verdict::MayReject,
        };
        tell(
            Kind::Type(change),
            old.logical.to_string(),
            new.logical.to_string(),
            verdict,
            None,
        );
    }
    // All records without a value would have the same one.
    let collides = new.rules.unique && gets_default(schema, old, new);
    let filled = match collides {
        true => Verdict::MayReject,
        false => Verdict::Safe,
    };
    let (was_needed, is_needed) = (schema.needs(old), new.required);
    if is_needed && !was_needed {
        let (verdict, note) = match &new.default {
            Some(default) if collides => (
                Verdict::MayReject,
                Some(format!(
                    "all records without would have {default}, and it is unique"
                )),
            ),
            Some(default) => (
                Verdict::Safe,
                Some(format!("records without get {default}")),
            ),
            None => (Verdict::NeedsDefault, None),
        };
        tell(
            Kind::Required,
            String::new(),
            String::new(),
            verdict,
            note.as_deref(),
        );
    } else if old.required && !new.required {
        tell(
            Kind::Optional,
            String::new(),
            String::new(),
            Verdict::Safe,
            None,
        );
    }
    if old.default != new.default {
        let shown = |field: &FieldVersion| {
            let text = field
                .default
                .as_ref()
                .map(|default| default.text().to_owned());
            text.unwrap_or_default()
        };
        tell(Kind::Default, shown(old), shown(new), filled, None);
    }
    for rule in rules(old, new) {
        let verdict = rule.verdict();
        tell(
            Kind::Rule(rule.name, rule.change),
            rule.from,
            rule.to,
            verdict,
            None,
        );
    }
    if old.description != new.description {
        let (from, to) = (old.description.clone(), new.description.clone());
        tell(Kind::Description, from, to, Verdict::Safe, None);
    }
}
