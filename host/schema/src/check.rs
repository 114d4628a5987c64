//! Checks that both versions have, word for word, over fields that are not what they were.
//!
//! A check is an expression, and nothing is known here of what it says; but where a name in it
//! means another field, a field of another type, or one whose nulls get a default, a record that
//! satisfied it may not do so any more.

use crate::difference::{before, gets_default};
use crate::version::SchemaVersion;

/// The checks that both versions have and that may be broken now, each with the reason.
pub(crate) fn touched<'a>(
    from: &'a SchemaVersion,
    to: &SchemaVersion,
) -> impl Iterator<Item = (&'a str, String)> {
    let names = from
        .fields
        .iter()
        .chain(&to.fields)
        .map(|field| &field.name);
    let changes: Vec<(String, String)> = names
        .filter_map(|name| Some((name.clone(), change(name, from, to)?)))
        .collect();
    let kept = from.checks.iter().filter(|check| to.checks.contains(check));
    kept.filter_map(move |check| {
        let mut changes = changes.iter();
        let (_, why) = changes.find(|(name, _)| mentions(check, name))?;
        Some((check.as_str(), why.clone()))
    })
}

/// Why what a name means has other values in the newer version; `None` if it has the same.
fn change(name: &str, from: &SchemaVersion, to: &SchemaVersion) -> Option<String> {
    let (Some(old), Some(new)) = (from.field(name), to.field(name)) else {
        return Some(format!("`{name}` is not in both versions"));
    };
    match before(new, from, to) {
        Some(origin) if origin.name == name => (),
        _ => return Some(format!("`{name}` is another field now")),
    }
    if old.logical != new.logical {
        return Some(format!("`{name}` is {} now", new.logical));
    }
    let default = new
        .default
        .as_ref()
        .filter(|_| gets_default(from, old, new));
    default.map(|default| format!("records without `{name}` get {default}"))
}

/// Whether an expression names a field, perhaps: quoted or not, in any case, and be it in a text.
fn mentions(check: &str, name: &str) -> bool {
    let [check, name] =
        [check.replace("\"\"", "\""), name.to_owned()].map(|text| text.to_lowercase());
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    check.match_indices(&name).any(|(at, _)| {
        let (before, behind) = (&check[..at], &check[at + name.len()..]);
        !before.ends_with(is_part) && !behind.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_a_word_of_its_own() {
        for (check, name, expected) in [
            ("age < 18", "age", true),
            ("AGE < 18", "age", true),
            ("wage < 18 or age_2 > 1", "age", false),
            ("\"Full \"\"Age\" < 18", "Full \"Age", true),
            ("abs(größe)>1", "größe", true),
            ("a.b = 1", "b", true),
        ] {
            assert_eq!(mentions(check, name), expected, "{check}: {name}");
        }
    }
}
