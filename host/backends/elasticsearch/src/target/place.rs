//! What has the name a job writes to: nothing, an index, or an alias of one.

use dkhost_core::{Error, Result, Span, Stamp};
use serde_json::{Map, Value as Json, json};

use crate::client::{Client, Request, segment};
use crate::fault;

/// The member of a mapping's `_meta` that says an index is ours to replace, and which version of a
/// schema its documents are of.
const MARK: &str = "dkhost";

/// What the aliases begin with through which processes write.
pub(super) const WRITERS: &str = "dkhost-writer-";

/// The settings that are changed during a load, and what they are then.
const DURING: [(&str, &str); 2] = [
    ("refresh_interval", "-1"),
    ("translog.durability", "request"),
];

/// How many fields a mapping may have unless its index says otherwise.
///
/// *Source* – Elasticsearch reference, "Mapping limit settings": `index.mapping.total_fields.limit`.
pub(super) const FIELDS_MAX: usize = 1000;

/// An index that is there.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub index: String,
    /// Whether the name is an alias of it.
    pub by_alias: bool,
    /// Its aliases, and what each says.
    pub aliases: Map<String, Json>,
    pub mappings: Json,
    /// What is below `index` in its settings.
    pub settings: Json,
}

/// Refuses names that are no name of one index.
pub(super) fn check(name: &str, span: Span) -> Result<()> {
    let wrong = name.is_empty()
        || name.len() > 200
        || name.starts_with(['-', '_', '+', '.'])
        || name
            .chars()
            .any(|c| c.is_uppercase() || c.is_whitespace() || c.is_control())
        || name.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ',', '#', ':']);
    if !wrong {
        return Ok(());
    }
    Err(Error::config("elasticsearch::bad_index", format!("`{name}` cannot be the name of an index"))
        .at(span, "here")
        .help("lowercase, without any of \\ / * ? \" < > | , # : and blanks, and not beginning with - _ + ."))
}

/// Looks for what has the name.
///
/// *Errors* – `elasticsearch::not_an_index` for an alias of several and for a data stream.
pub(super) fn find(client: &Client, name: &str) -> Result<Option<Found>> {
    let doing = format!("look at index {name}");
    let answer = client.send(&Request::get(&doing, segment(name)))?;
    if answer.status == 404 {
        return Ok(None);
    }
    if !answer.is_fine() {
        return Err(fault::refused(&doing, &answer));
    }
    let indices: Map<String, Json> = answer.parse(&doing)?;
    let names: Vec<String> = indices.keys().cloned().collect();
    if names
        .iter()
        .any(|index| index.starts_with(".ds-") && index != name)
    {
        return Err(not_an_index(name, "a data stream"));
    }
    let mut indices = indices.into_iter();
    let (Some((index, mut body)), None) = (indices.next(), indices.next()) else {
        let several = format!("an alias of {} indices", names.len());
        return Err(not_an_index(name, &several).caused_by(names.join(", ")));
    };
    Ok(Some(Found {
        by_alias: index != name,
        index,
        aliases: match body["aliases"].take() {
            Json::Object(aliases) => aliases,
            _ => Map::new(),
        },
        mappings: body["mappings"].take(),
        settings: body["settings"]["index"].take(),
    }))
}

fn not_an_index(name: &str, what: &str) -> Error {
    let message = format!("`{name}` is {what}, which cannot be a target");
    Error::config("elasticsearch::not_an_index", message)
        .help("name the one index that is to be written")
}

impl Found {
    /// Whether we made it to be swapped in.
    pub fn is_ours(&self) -> bool {
        !self.mappings["_meta"][MARK].is_null()
    }

    /// Which version its documents are of, where it says so.
    pub fn stamp(&self) -> Option<Stamp> {
        serde_json::from_value(self.mappings["_meta"][MARK].clone()).ok()
    }

    /// A setting, with its dots.
    pub fn setting(&self, name: &str) -> Json {
        let parts = name
            .split('.')
            .try_fold(&self.settings, |at, part| at.get(part));
        parts.cloned().unwrap_or(Json::Null)
    }

    /// The settings that a load changes, as they are.
    pub fn before(&self) -> Map<String, Json> {
        let settings = DURING
            .iter()
            .map(|(name, _)| ((*name).to_owned(), self.setting(name)));
        settings.collect()
    }

    /// The block that keeps it from being written, or from being replaced: `write`.
    pub fn block(&self, replaced: bool) -> Option<&'static str> {
        let all = ["read_only", "read_only_allow_delete", "write"];
        let matter = &all[..if replaced { 1 } else { all.len() }];
        let set = |name: &&&str| self.setting(&format!("blocks.{name}")) == "true";
        matter.iter().find(set).copied()
    }

    pub fn is_closed(&self) -> bool {
        self.setting("verified_before_close") == "true"
    }

    /// How many fields its mapping may have.
    pub fn fields_max(&self) -> usize {
        let limit = self.setting("mapping.total_fields.limit");
        let said = limit.as_str().and_then(|limit| limit.parse().ok());
        said.unwrap_or(FIELDS_MAX)
    }

    /// What is refused: without its documents' text nothing can be read back, or undone.
    pub fn keeps_source(&self) -> bool {
        let source = &self.mappings["_source"];
        let mode = self.setting("mapping.source.mode");
        let whole = |mode: &Json| mode.is_null() || mode == "stored";
        source["enabled"] != false
            && whole(&source["mode"])
            && whole(&mode)
            && source["excludes"].is_null()
            && source["includes"].is_null()
    }

    /// The other names it has, but for those its writers have for a time.
    pub fn other_names<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a Json)> {
        let lasts = move |alias: &str| alias != name && !alias.starts_with(WRITERS);
        self.aliases.iter().filter(move |(alias, _)| lasts(alias))
    }

    /// Settings for an index that is to take its place.
    pub fn settings_of_successor(&self) -> Json {
        let mut settings = self.settings.clone();
        if let Some(settings) = settings.as_object_mut() {
            for name in [
                "uuid",
                "creation_date",
                "version",
                "provided_name",
                "resize",
                "blocks",
                "history",
                "verified_before_close",
                "frozen",
            ] {
                settings.remove(name);
            }
        }
        settings
    }
}

/// The settings of a load, and those that were before it.
pub(super) fn during() -> Json {
    let settings = DURING
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)));
    Json::Object(settings.collect())
}

/// Marks a mapping as that of an index of ours.
pub(super) fn mark(mappings: &mut Json, name: &str) {
    if let Some(mappings) = mappings.as_object_mut() {
        let meta = mappings.entry("_meta").or_insert_with(|| json!({}));
        meta[MARK] = json!({"made_for": name});
    }
}

/// Says in a marked mapping which version the documents are of.
pub(super) fn stamp(mappings: &mut Json, stamp: &Stamp) {
    let said = &mut mappings["_meta"][MARK];
    said["schema"] = json!(stamp.schema);
    said["version"] = json!(stamp.version);
    said["run"] = json!(stamp.run);
}

/// The name of the index a run builds to be swapped in.
pub(super) fn staging(name: &str, run: &str) -> String {
    let fine = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c.to_ascii_lowercase(),
        _ => '-',
    };
    let run: String = run.chars().map(fine).collect();
    format!("{name}-dkhost-{run}")
}

/// Changes settings of an index; one that is gone has none.
pub(super) fn put_settings(client: &Client, index: &str, settings: &Json) -> Result<()> {
    let doing = format!("change settings of index {index}");
    let request = Request::put(&doing, format!("{}/_settings", segment(index)));
    let answer = client.send(&request.json(&json!({"index": settings})))?;
    match answer.is_fine() || answer.status == 404 {
        true => Ok(()),
        false => Err(fault::refused(&doing, &answer)),
    }
}

/// Deletes an index, if it is there.
pub(super) fn delete(client: &Client, index: &str) -> Result<()> {
    let doing = format!("delete index {index}");
    let answer = client.send(&Request::delete(&doing, segment(index)))?;
    match answer.is_fine() || answer.status == 404 {
        true => Ok(()),
        false => Err(fault::refused(&doing, &answer)),
    }
}

/// Makes what was written visible to searches.
pub(super) fn refresh(client: &Client, index: &str) -> Result<()> {
    let doing = format!("refresh index {index}");
    client.ask(&Request::post(
        &doing,
        format!("{}/_refresh", segment(index)),
    ))?;
    Ok(())
}

/// How many documents searches find.
pub(super) fn count(client: &Client, index: &str) -> Result<u64> {
    #[derive(serde::Deserialize)]
    struct Counted {
        count: u64,
        #[serde(rename = "_shards")]
        shards: Shards,
    }
    #[derive(serde::Deserialize)]
    struct Shards {
        failed: u64,
    }
    let doing = format!("count the documents of index {index}");
    let answer = client.ask(&Request::get(&doing, format!("{}/_count", segment(index))))?;
    let counted: Counted = answer.parse(&doing)?;
    match counted.shards.failed {
        0 => Ok(counted.count),
        _ => Err(answer.bad(&doing).caused_by("a shard did not answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mappings: Json, settings: Json) -> Found {
        Found {
            index: "i".into(),
            by_alias: false,
            aliases: Map::new(),
            mappings,
            settings,
        }
    }

    #[test]
    fn a_name_is_one_of_one_index() {
        for fine in ["movies", "logs-2024.01", "ünï", "a_b+c"] {
            assert!(check(fine, 0..0).is_ok(), "{fine}");
        }
        for wrong in [
            "", "Movies", "a,b", "logs-*", "_all", "../x", "-a", ".kibana", "a b", "a\n",
        ] {
            assert_eq!(
                check(wrong, 0..0).unwrap_err().code(),
                "elasticsearch::bad_index",
                "{wrong}"
            );
        }
        assert_eq!(staging("movies", "0198F/a b"), "movies-dkhost-0198f-a-b");
    }

    #[test]
    fn settings_are_remembered_as_they_were() {
        let explicit = found(
            json!({}),
            json!({"refresh_interval": "30s", "translog": {"durability": "async"}, "uuid": "x"}),
        );
        assert_eq!(
            Json::Object(explicit.before()),
            json!({"refresh_interval": "30s", "translog.durability": "async"})
        );
        assert_eq!(explicit.settings_of_successor()["uuid"], Json::Null);
        let none = found(json!({}), json!({}));
        assert_eq!(
            Json::Object(none.before()),
            json!({"refresh_interval": null, "translog.durability": null})
        );
    }

    #[test]
    fn a_block_matters_where_it_stands_in_the_way() {
        let blocked = |name: &str| found(json!({}), json!({"blocks": {name: "true"}}));
        assert_eq!(blocked("write").block(false), Some("write"));
        assert_eq!(blocked("write").block(true), None);
        assert_eq!(blocked("read_only").block(true), Some("read_only"));
        assert_eq!(
            blocked("read_only_allow_delete").block(false),
            Some("read_only_allow_delete")
        );
        assert_eq!(blocked("metadata").block(false), None);
        assert!(found(json!({}), json!({"verified_before_close": "true"})).is_closed());
        assert_eq!(found(json!({}), json!({})).fields_max(), 1000);
        let more = json!({"mapping": {"total_fields": {"limit": "2500"}}});
        assert_eq!(found(json!({}), more).fields_max(), 2500);
    }

    #[test]
    fn an_index_without_its_documents_is_no_target() {
        assert!(found(json!({}), json!({})).keeps_source());
        for (mappings, settings) in [
            (json!({"_source": {"enabled": false}}), json!({})),
            (json!({"_source": {"mode": "synthetic"}}), json!({})),
            (json!({"_source": {"excludes": ["a"]}}), json!({})),
            (
                json!({}),
                json!({"mapping": {"source": {"mode": "synthetic"}}}),
            ),
        ] {
            assert!(!found(mappings, settings).keeps_source());
        }
    }
}
