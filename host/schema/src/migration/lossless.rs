//! What a migration promises, decided from its operations: never assumed.
//!
//! Each field's value is followed up and down again, under whatever name it has: a field that is there
//! at the end may hold the values of another one, or none that any record had.

use dkhost_core::LogicalType;

use super::{Migration, Operation, Verb};
use crate::types::TypeChange;
use crate::version::SchemaVersion;

/// What can be said of a migration without trying it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Whether there is a way down.
    pub reversible: bool,
    /// Whether down after up gives every record back.
    pub lossless: bool,
    /// Why not, a sentence each.
    pub why: Vec<String>,
}

/// Decides what a migration promises; it leads from one version to the other
/// ([`super::check::check`]).
///
/// *Lossless* – renames; fields added and taken away again; widening casts, and back; fields removed
/// with their values kept, and restored. Whatever a `set` computes may not come back.
pub fn promise(migration: &Migration, from: &SchemaVersion) -> Promise {
    let Some(down) = &migration.down else {
        return Promise {
            reversible: false,
            lossless: false,
            why: vec!["there is no way down".to_owned()],
        };
    };
    let mut journey = Journey::begin(from);
    for operation in &migration.up {
        journey.go(operation, None, "");
    }
    for operation in down {
        journey.go(operation, Some(from), " on the way down");
    }
    let mut why: Vec<String> = from
        .fields
        .iter()
        .filter_map(|field| journey.lost(&field.name))
        .collect();
    why.extend(journey.not_kept_again());
    Promise {
        reversible: true,
        lossless: why.is_empty(),
        why,
    }
}

/// What a field holds.
#[derive(Clone)]
struct Value {
    of: Of,
    /// The types it has had, each with room for all values of the one before.
    types: Vec<LogicalType>,
    /// Why it is not what it was; `None` while it is.
    fault: Option<String>,
}

/// Whose value a field holds.
#[derive(Clone, PartialEq)]
enum Of {
    /// That of a field of the record, by its name there.
    Field(String),
    /// One that an earlier migration kept, by name.
    Kept(String),
    /// Nobody's: it was added.
    Nobody,
}

/// The fields of a record on its way, and what was kept of those removed.
struct Journey {
    fields: Vec<(String, Value)>,
    /// What was kept last comes back first.
    kept: Vec<(String, Value)>,
    /// What earlier migrations had kept and this one took.
    taken: Vec<String>,
}

impl Journey {
    fn begin(from: &SchemaVersion) -> Self {
        let fields = from.fields.iter().map(|field| {
            let value = Value {
                of: Of::Field(field.name.clone()),
                types: vec![field.logical.clone()],
                fault: None,
            };
            (field.name.clone(), value)
        });
        Journey {
            fields: fields.collect(),
            kept: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// `end` is the version the way leads to, where its types matter; `way` ends a reason.
    fn go(&mut self, operation: &Operation, end: Option<&SchemaVersion>, way: &str) {
        match &operation.verb {
            Verb::Rename(names) => {
                for (name, _) in &mut self.fields {
                    if let Some((_, new)) = names.iter().find(|(old, _)| old == name) {
                        name.clone_from(new);
                    }
                }
            }
            Verb::Add(names) => {
                let added = names
                    .iter()
                    .map(|(name, _)| (name.clone(), Value::nobodys()));
                self.fields.extend(added);
            }
            Verb::Set(names) => {
                for (name, _) in names {
                    let why = format!("`{name}` is computed anew{way}");
                    self.change(name, |value| value.blame(why));
                }
            }
            Verb::Cast(casts) => {
                for (name, to) in casts {
                    self.change(name, |value| value.cast(name, to));
                }
            }
            Verb::Remove { fields, keep } => self.remove(fields, *keep),
            Verb::Restore(names) => names.iter().for_each(|name| self.restore(name, end)),
            Verb::Constrain(_) => (),
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        if let Some((_, value)) = self.fields.iter_mut().find(|(known, _)| known == name) {
            change(value);
        }
    }

    fn remove(&mut self, names: &[String], keep: bool) {
        let is_gone = |(name, _): &mut (String, Value)| names.contains(name);
        for (name, value) in self.fields.extract_if(.., is_gone) {
            if keep {
                self.kept.push((name, value));
            }
        }
    }

    /// Takes a kept value back; a version that does not know the field gets it as json.
    fn restore(&mut self, name: &str, end: Option<&SchemaVersion>) {
        let at = self.kept.iter().rposition(|(known, _)| known == name);
        let mut value = match at {
            Some(at) => self.kept.remove(at).1,
            None => Value {
                of: Of::Kept(name.to_owned()),
                ..Value::nobodys()
            },
        };
        match end {
            Some(end) => {
                let field = end.field(name);
                let logical = field.map_or(LogicalType::Json, |field| field.logical.clone());
                value.cast(name, &logical);
            }
            None if at.is_some() => value.blame(format!("`{name}` may go on in another type")),
            None => self.taken.push(name.to_owned()),
        }
        self.fields.push((name.to_owned(), value));
    }

    /// Why a field of the record is not back; `None` if it is.
    fn lost(&self, name: &str) -> Option<String> {
        let own = Of::Field(name.to_owned());
        let back = self.fields.iter().find(|(known, _)| known == name);
        match back.map(|(_, value)| value) {
            Some(value) if value.of == own => value.fault.clone(),
            Some(Value {
                of: Of::Field(other),
                ..
            }) => Some(format!("`{name}` comes back with the values of `{other}`")),
            _ => Some(format!("the values of `{name}` do not come back")),
        }
    }

    /// Why what was kept before is not kept again.
    fn not_kept_again(&self) -> impl Iterator<Item = String> {
        let is_back = |name: &&String| {
            let own = Of::Kept((*name).clone());
            let mut kept = self.kept.iter();
            kept.any(|(known, value)| known == *name && value.of == own && value.fault.is_none())
        };
        let lost = self.taken.iter().filter(move |name| !is_back(name));
        lost.map(|name| format!("the values of `{name}` that were kept before do not go back"))
    }
}

impl Value {
    fn nobodys() -> Self {
        Value {
            of: Of::Nobody,
            types: Vec::new(),
            fault: None,
        }
    }

    fn blame(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }

    /// Exact into a type that it has had, and into one with room for all values of the last.
    fn cast(&mut self, name: &str, to: &LogicalType) {
        if let Some(at) = self.types.iter().position(|known| known == to) {
            self.types.truncate(at + 1);
            return;
        }
        let change = self.types.last().map(|now| TypeChange::between(now, to));
        match change {
            Some(None | Some(TypeChange::Widening)) => self.types.push(to.clone()),
            Some(_) => self.blame(format!("`{name}` may come back from {to} as another value")),
            None => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration;
    use crate::migration::check::tests::version;
    use semver::Version;

    fn operations(way: &str, verbs: &str) -> String {
        let verbs = verbs.split(';').map(|verb| verb.trim().to_owned());
        verbs
            .filter(|verb| !verb.is_empty())
            .map(|verb| verb.replace(" (kept)", "\nkeep_values = true"))
            .map(|verb| format!("[[{way}]]\n{verb}\n"))
            .collect()
    }

    /// Lines of fields before | fields after | up | down | why not, each looked at.
    fn look(lines: &str) {
        let mut wrong = String::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let [from, to, up, down, expected] = parts[..] else {
                panic!("{line}");
            };
            let (up, down) = (operations("up", up), operations("down", down));
            let nothing = if down.is_empty() { "down = []\n" } else { "" };
            let (one, two) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
            let text = format!("{nothing}{up}{down}");
            let migration = migration::read("user", one, two, &text).unwrap();
            let (from, to) = (version("1.0.0", from), version("2.0.0", to));
            migration::check::check(&migration, &from, &to).unwrap();
            let promise = promise(&migration, &from);
            assert_eq!(promise.lossless, promise.why.is_empty());
            let why = promise.why.join("; ");
            if why != expected {
                wrong += &format!("{line}\n  found: {why}\n");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn what_goes_and_comes_back_as_it_was_is_lossless() {
        look("
            a:int64 | b:int64 | rename = { a = 'b' } | rename = { b = 'a' } |
            a:int32 b:int32 | a:int32 b:int32 | rename = { a = 'b', b = 'a' } | rename = { a = 'b', b = 'a' } |
            a:int32 | a:int64 | cast = { a = 'int64' } | cast = { a = 'int32' } |
            a:int32 | a:utf8 | cast = { a = 'int64' }; cast = { a = 'utf8' } | cast = { a = 'int64' }; cast = { a = 'int32' } |
            a:int32 | a:int32 b:utf8 | add = { b = 'null' }; set = { b = '1' } | remove = ['b'] |
            a:int32 b:utf8 | a:int32 | remove = ['b'] (kept) | restore = ['b'] |
            a:int32 b:utf8 | b:int32 | remove = ['b'] (kept); rename = { a = 'b' } | rename = { b = 'a' }; restore = ['b'] |
            a:int32 | a:int32 b:utf8 | restore = ['b'] | remove = ['b'] (kept) |
        ");
    }

    #[test]
    fn what_does_not_come_back_is_said_of_each_field() {
        look("
            a:int64 | a:int32 | cast = { a = 'int32' } | cast = { a = 'int64' } | `a` may come back from int32 as another value
            a:int64 | a:int64 | set = { a = 'a + 1' } | set = { a = 'a - 1' } | `a` is computed anew
            a:int64 | a:int64 | | set = { a = 'a' } | `a` is computed anew on the way down
            a:int64 b:utf8 | a:int64 | remove = ['b'] | add = { b = 'null' } | the values of `b` do not come back
            a:int64 b:utf8 | a:int64 | remove = ['b'] | restore = ['b'] | the values of `b` do not come back
        ");
    }

    #[test]
    fn a_field_of_the_old_name_is_not_the_old_field() {
        look("
            a:int64 b:int64 | a:int64 b:int64 | rename = { a = 'b', b = 'a' } | | `a` comes back with the values of `b`; `b` comes back with the values of `a`
            a:int64 | b:int64 | rename = { a = 'b' } | remove = ['b']; add = { a = 'null' } | the values of `a` do not come back
            a:int64 | a:int64 | | remove = ['a']; add = { a = '0' } | the values of `a` do not come back
            a:int64 | a:int64 | | cast = { a = 'float32' }; cast = { a = 'int64' } | `a` may come back from float32 as another value
            a:int64 | a:int64 | remove = ['a'] (kept); restore = ['a'] | | `a` may go on in another type
            a:int64 | a:int64 b:utf8 | restore = ['b'] | remove = ['b'] | the values of `b` that were kept before do not go back
        ");
    }

    #[test]
    fn without_a_way_down_there_is_nothing_to_promise() {
        let text = "reversible = false\n[[up]]\nremove = ['a']\n";
        let (one, two) = (Version::new(1, 0, 0), Version::new(2, 0, 0));
        let migration = migration::read("user", one, two, text).unwrap();
        let promise = promise(&migration, &version("1.0.0", "a:int64 b:int64"));
        assert_eq!((promise.reversible, promise.lossless), (false, false));
        assert_eq!(promise.why, ["there is no way down"]);
    }
}
