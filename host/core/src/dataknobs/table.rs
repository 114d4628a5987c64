//! Stores in a table: what their columns hold, and the times the store itself writes.

use serde_json::Map;

use super::RECORD;
use crate::{Column, Field, Role};

/// What the plan says about a column of the job that goes to a table.
pub fn column(field: &Field) -> Column {
    let (target_type, how) = match field.role {
        Some(Role::Id) => ("id", None),
        Some(Role::Meta) => ("metadata", Some("as JSON")),
        Some(Role::Rest) => ("data", Some("merged into the record")),
        None => ("data", Some("as a member of the JSON object")),
    };
    Column {
        name: field.name.clone(),
        target_type: target_type.to_owned(),
        how: how.map(str::to_owned),
        lossy: None,
    }
}

/// A record's metadata with the store's own times added, where [`super::Writer`]'s users find them;
/// replaces `out`.
pub fn with_times(
    meta: Option<&str>,
    created: Option<&str>,
    updated: Option<&str>,
    out: &mut String,
) {
    let mut record = Map::new();
    for (name, time) in [("created_at", created), ("updated_at", updated)] {
        if let Some(time) = time {
            record.insert(name.to_owned(), time.into());
        }
    }
    // Its own brace alone: a value in it may end with others.
    let meta = meta.unwrap_or("{}").trim_end();
    let open = meta.strip_suffix('}').unwrap_or(meta).trim_end();
    let comma = if open.ends_with('{') { "" } else { "," };
    *out = format!(
        "{open}{comma}\"{RECORD}\":{}}}",
        serde_json::Value::Object(record)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_store_go_behind_its_metadata() {
        let with = |meta| {
            let mut out = String::new();
            with_times(meta, Some("2024-01-01 00:00:00"), None, &mut out);
            out
        };
        let times = r#""$record":{"created_at":"2024-01-01 00:00:00"}"#;
        assert_eq!(with(None), format!("{{{times}}}"));
        assert_eq!(
            with(Some(r#"{"a": {"b": {}}}"#)),
            format!(r#"{{"a": {{"b": {{}}}},{times}}}"#)
        );
    }
}
