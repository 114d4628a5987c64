//! Versions of a schema as somebody writes them, one after the other: made up, and made smaller again
//! when one of them shows a defect.

use dkhost_schema::{SchemaVersion, read};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

/// Types, and constants that all of a group can hold, ascending; those of a group become each other.
const GROUPS: [(&[&str], &[&str]); 9] = [
    (
        &[
            "int32",
            "int64",
            "uint64",
            "float32",
            "float64",
            "decimal(10, 2)",
            "decimal(24, 3)",
            "number",
            "utf8",
        ],
        &["0", "1", "7", "100", "2147483647"],
    ),
    (
        &["float32", "float64", "decimal(10, 2)", "number", "utf8"],
        &["-0.1", "0.1", "0.5", "1.5", "1.50", "1e1"],
    ),
    (
        &["utf8", "utf8", "json", "uuid"],
        &["a", "a, b", "aB", "ä", "zz zz"],
    ),
    (
        &["date32", "timestamp", "utf8"],
        &["1970-01-01", "2026-01-31"],
    ),
    (
        &["timestamp(us, UTC)", "timestamp(us, Europe/Berlin)", "utf8"],
        &["1970-01-01T00:00:00Z", "2026-01-31T13:30:00+02:00"],
    ),
    (&["boolean", "utf8", "int32"], &["true", "false"]),
    (
        &["json", "json", "utf8"],
        &["1", "[]", "{\\\"a\\\": \\\"b\\\"}"],
    ),
    (
        &["uuid", "utf8"],
        &[
            "018f3a1c-0000-7000-8000-000000000000",
            "018F3A1C-0000-7000-8000-00000000000A",
        ],
    ),
    (
        &["int64", "decimal(10, 0)", "number", "float64"],
        &["-5", "+7", "1e1"],
    ),
];

/// A field as it is written.
#[derive(Debug, Clone)]
pub struct Field {
    /// The same in all versions, whatever the field is called.
    pub identity: usize,
    pub name: String,
    pub logical: &'static str,
    group: usize,
    was: Option<String>,
    required: bool,
    unique: bool,
    not_empty: bool,
    default: Option<&'static str>,
    one_of: &'static [&'static str],
    min: bool,
    max: bool,
    length: Option<u64>,
}

/// A rule that is there, or is not.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Required,
    Unique,
    NotEmpty,
    Min,
    Max,
    Length(Option<u64>),
    Default(Option<Index>),
    OneOf(Option<Index>),
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        Just(Rule::Required),
        Just(Rule::Unique),
        Just(Rule::NotEmpty),
        Just(Rule::Min),
        Just(Rule::Max),
        option::of(prop_oneof![Just(1), Just(5), Just(30)]).prop_map(Rule::Length),
        option::of(any::<Index>()).prop_map(Rule::Default),
        option::of(any::<Index>()).prop_map(Rule::OneOf),
    ]
}

/// A field without a name: what it holds, and its rules.
type Sketch = (Index, Index, Vec<Rule>);

fn sketch() -> impl Strategy<Value = Sketch> {
    (any::<Index>(), any::<Index>(), vec(rule(), 0..4))
}

impl Field {
    fn of((group, logical, rules): &Sketch, identity: usize, name: &str) -> Field {
        let group = group.index(GROUPS.len());
        let types = GROUPS[group].0;
        let mut field = Field {
            identity,
            name: name.to_owned(),
            logical: types[logical.index(types.len())],
            group,
            was: None,
            required: false,
            unique: false,
            not_empty: false,
            default: None,
            one_of: &[],
            min: false,
            max: false,
            length: None,
        };
        rules.iter().for_each(|rule| field.turn(*rule));
        field
    }

    /// What is on goes off, what is off goes on.
    fn turn(&mut self, rule: Rule) {
        let constants = GROUPS[self.group].1;
        match rule {
            Rule::Required => self.required = !self.required,
            Rule::Unique => self.unique = !self.unique,
            Rule::NotEmpty => self.not_empty = !self.not_empty,
            Rule::Min => self.min = !self.min,
            Rule::Max => self.max = !self.max,
            Rule::Length(max) => self.length = max,
            Rule::Default(at) => self.default = at.map(|at| *at.get(constants)),
            Rule::OneOf(from) => {
                self.one_of = from.map_or(&[], |from| &constants[from.index(constants.len())..]);
            }
        }
    }

    fn is_ordered(&self) -> bool {
        !["utf8", "json", "uuid", "boolean"].contains(&self.logical)
    }

    fn toml(&self) -> String {
        let (is_text, is_json) = (self.logical == "utf8", self.logical == "json");
        let quoted = |text: &&str| match self.logical {
            "boolean" => (*text).to_owned(),
            _ => format!("\"{text}\""),
        };
        let constants = GROUPS[self.group].1;
        let ends = [
            (self.min, "min", constants[0]),
            (self.max, "max", constants[constants.len() - 1]),
        ];
        let ends = ends.iter().filter(|(is, ..)| *is && self.is_ordered());
        let ends: Vec<String> = ends
            .map(|(_, name, end)| format!("{name} = {}", quoted(end)))
            .collect();
        let listed: Vec<String> = self.one_of.iter().map(quoted).collect();
        let lines = [
            Some(format!("[fields.{}]", self.name)),
            Some(format!("type = \"{}\"", self.logical)),
            self.was.as_ref().map(|was| format!("was = \"{was}\"")),
            self.required.then(|| "required = true".into()),
            (self.unique && !is_json).then(|| "unique = true".into()),
            (self.not_empty && is_text).then(|| "not_empty = true".into()),
            self.default
                .map(|default| format!("default = {}", quoted(&default))),
            (!listed.is_empty() && !is_json).then(|| format!("one_of = [{}]", listed.join(", "))),
            self.length
                .filter(|_| is_text)
                .map(|max| format!("length = {{ max = {max} }}")),
            (!ends.is_empty()).then(|| format!("range = {{ {} }}", ends.join(", "))),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// What somebody does to a version.
#[derive(Debug, Clone)]
enum Change {
    Type(Index, Index),
    Rule(Index, Rule),
    Rename(Index),
    /// Two fields change names.
    Swap,
    Add(Sketch),
    Drop(Index),
    /// One goes and another comes with the same rules: nobody says that it was renamed.
    Replace(Index),
    Key(Option<Index>),
    Open,
    Check(Option<(Check, Index, Index)>),
}

/// A condition on two fields.
#[derive(Debug, Clone, Copy)]
enum Check {
    Below,
    Needs,
    Short,
}

fn change() -> impl Strategy<Value = Change> {
    let check = prop_oneof![Just(Check::Needs), Just(Check::Short), Just(Check::Below)];
    prop_oneof![
        3 => (any::<Index>(), any::<Index>()).prop_map(|(at, to)| Change::Type(at, to)),
        3 => (any::<Index>(), rule()).prop_map(|(at, rule)| Change::Rule(at, rule)),
        2 => any::<Index>().prop_map(Change::Rename),
        1 => Just(Change::Swap),
        1 => sketch().prop_map(Change::Add),
        1 => any::<Index>().prop_map(Change::Drop),
        1 => any::<Index>().prop_map(Change::Replace),
        1 => option::of(any::<Index>()).prop_map(Change::Key),
        1 => Just(Change::Open),
        1 => option::of((check, any::<Index>(), any::<Index>())).prop_map(Change::Check),
    ]
}

/// A version as it is written.
#[derive(Debug, Clone)]
pub struct Version {
    number: u64,
    pub fields: Vec<Field>,
    /// By identity.
    key: Option<usize>,
    open: bool,
    check: Option<(Check, usize, usize)>,
    /// Identities given so far.
    given: usize,
}

impl Version {
    /// The first version; rules that cannot be together are left out.
    fn first(sketches: &[Sketch], changes: &[Change]) -> Version {
        let mut version = Version {
            number: 1,
            fields: Vec::new(),
            key: None,
            open: false,
            check: None,
            given: 0,
        };
        for (group, logical, rules) in sketches {
            version.apply(&Change::Add((*group, *logical, Vec::new())));
            for rule in rules {
                version.attempt(|version| version.fields.last_mut().unwrap().turn(*rule));
            }
        }
        version.go_through(changes);
        version
    }

    fn next(&self, changes: &[Change]) -> Version {
        let mut next = self.clone();
        next.number += 1;
        next.go_through(changes);
        next.after(self)
    }

    /// The same version, its fields' old names those of `before`.
    pub fn after(&self, before: &Version) -> Version {
        let mut version = self.clone();
        for field in &mut version.fields {
            let old = before.named(field.identity);
            field.was = old.filter(|old| *old != field.name).map(str::to_owned);
        }
        version
    }

    /// The same version without what depends on other records.
    pub fn without_unique(&self) -> Version {
        let mut version = self.clone();
        version.key = None;
        version
            .fields
            .iter_mut()
            .for_each(|field| field.unique = false);
        version
    }

    fn named(&self, identity: usize) -> Option<&str> {
        let mut fields = self.fields.iter();
        let field = fields.find(|field| field.identity == identity)?;
        Some(&field.name)
    }

    fn go_through(&mut self, changes: &[Change]) {
        for change in changes {
            self.attempt(|version| version.apply(change));
        }
    }

    /// A change that leads to no version is none.
    fn attempt(&mut self, change: impl FnOnce(&mut Version)) {
        let mut changed = self.clone();
        change(&mut changed);
        if changed.try_parsed().is_ok() {
            *self = changed;
        }
    }

    fn apply(&mut self, change: &Change) {
        let number = self.number;
        let count = self.fields.len();
        match change {
            Change::Add(sketch) => {
                let letter = char::from(b'a' + (self.given % 26) as u8);
                let name = match number {
                    1 => letter.to_string(),
                    _ => format!("{letter}{number}"),
                };
                self.fields.push(Field::of(sketch, self.given, &name));
                self.given += 1;
            }
            _ if count == 0 => (),
            Change::Type(at, to) => {
                let field = &mut self.fields[at.index(count)];
                field.logical = *to.get(GROUPS[field.group].0);
            }
            Change::Rule(at, rule) => self.fields[at.index(count)].turn(*rule),
            Change::Rename(at) => self.fields[at.index(count)].name = format!("r{number}"),
            Change::Swap if count < 2 => (),
            Change::Swap => {
                let names = [0, 1].map(|at: usize| self.fields[at].name.clone());
                for (at, name) in names.iter().enumerate() {
                    self.fields[1 - at].name.clone_from(name);
                }
            }
            Change::Drop(at) => drop(self.fields.remove(at.index(count))),
            Change::Replace(at) => {
                let field = &mut self.fields[at.index(count)];
                field.name = format!("n{number}");
                field.identity = self.given;
                self.given += 1;
            }
            Change::Key(at) => self.key = at.map(|at| self.fields[at.index(count)].identity),
            Change::Open => self.open = !self.open,
            Change::Check(check) => {
                let identity = |at: &Index| self.fields[at.index(count)].identity;
                self.check = check.map(|(check, a, b)| (check, identity(&a), identity(&b)));
            }
        }
    }

    /// The condition, where fields are there and are of types that it can be asked of.
    fn condition(&self) -> Option<String> {
        let (check, a, b) = self.check?;
        let find = |identity| self.fields.iter().find(move |one| one.identity == identity);
        let (a, b) = (find(a)?, find(b)?);
        let (left, right) = (&a.name, &b.name);
        match check {
            Check::Needs => Some(format!("{left} is null or {right} is not null")),
            Check::Short if a.logical == "utf8" => Some(format!("length({left}) < 6")),
            Check::Below if a.is_ordered() && a.logical == b.logical => {
                Some(format!("{left} <= {right}"))
            }
            Check::Short | Check::Below => None,
        }
    }

    pub fn toml(&self) -> String {
        let key = self.key.and_then(|key| self.named(key));
        let condition = self.condition();
        let lines = [
            key.map(|key| format!("key = [\"{key}\"]")),
            Some(format!("open = {}", self.open)),
            condition.map(|condition| format!("check = [\"{condition}\"]")),
        ];
        let fields = self.fields.iter().map(|field| Some(field.toml()));
        let lines: Vec<String> = lines.into_iter().chain(fields).flatten().collect();
        lines.join("\n")
    }

    fn try_parsed(&self) -> dkhost_core::Result<SchemaVersion> {
        let id = format!("t@{}.0.0", self.number).parse()?;
        read(id, &self.toml())
    }

    pub fn parsed(&self) -> SchemaVersion {
        self.try_parsed().unwrap()
    }
}

/// Versions one after the other.
pub fn versions(count: usize) -> impl Strategy<Value = Vec<Version>> {
    let first = (vec(sketch(), 1..4), vec(change(), 0..2));
    (first, vec(vec(change(), 0..3), count - 1)).prop_map(|((sketches, changes), next)| {
        let mut versions = vec![Version::first(&sketches, &changes)];
        for changes in next {
            versions.push(versions[versions.len() - 1].next(&changes));
        }
        versions
    })
}
