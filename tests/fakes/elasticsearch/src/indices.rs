//! Indices, their aliases and their documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::serve::{Answer, error, fine};

/// Everything the server has.
#[derive(Debug, Default)]
pub(crate) struct Indices {
    indices: BTreeMap<String, Index>,
    /// Alias, index.
    aliases: BTreeSet<(String, String)>,
    /// Points in time and scrolls: the documents they see that were not given out yet.
    pub moments: BTreeMap<String, Vec<(String, Document)>>,
    next: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    pub mappings: Json,
    pub settings: BTreeMap<String, String>,
    pub documents: BTreeMap<String, Document>,
    /// Deletions count as well.
    pub seq_no: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub text: String,
    pub version: u64,
    pub seq_no: u64,
}

impl Indices {
    /// The index of this name, or of this alias.
    pub fn resolve(&self, name: &str) -> Option<String> {
        if self.indices.contains_key(name) {
            return Some(name.to_owned());
        }
        let of = self.aliases.iter().find(|(alias, _)| alias == name);
        of.map(|(_, index)| index.clone())
    }

    pub fn is_alias(&self, name: &str) -> bool {
        self.aliases.iter().any(|(alias, _)| alias == name)
    }

    pub fn get(&mut self, name: &str) -> Option<&mut Index> {
        let index = self.resolve(name)?;
        self.indices.get_mut(&index)
    }

    /// A token like no other.
    pub fn token(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}", self.next)
    }

    pub fn texts(&self, name: &str) -> BTreeMap<String, String> {
        let index = self
            .resolve(name)
            .and_then(|index| self.indices.get(&index));
        let documents = index.into_iter().flat_map(|index| &index.documents);
        documents
            .map(|(id, document)| (id.clone(), document.text.clone()))
            .collect()
    }

    pub fn setting(&self, name: &str, setting: &str) -> Option<String> {
        let index = self.resolve(name)?;
        self.indices.get(&index)?.settings.get(setting).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        let aliases = self.aliases.iter().map(|(alias, _)| alias.clone());
        self.indices.keys().cloned().chain(aliases).collect()
    }

    pub fn put_plain(&mut self, index: &str, id: &str, text: &str) {
        self.indices
            .entry(index.to_owned())
            .or_default()
            .put(id, text);
    }

    pub fn create(&mut self, name: &str, body: &Json) -> Answer {
        if self.resolve(name).is_some() {
            let why = format!("index [{name}] already exists");
            return error(400, "resource_already_exists_exception", &why);
        }
        if name.starts_with(['_', '-', '+']) || name.chars().any(char::is_uppercase) {
            return error(400, "invalid_index_name_exception", "Invalid index name");
        }
        let mut index = Index {
            mappings: body["mappings"].clone(),
            ..Index::default()
        };
        index.change_settings(&body["settings"]);
        self.indices.insert(name.to_owned(), index);
        for alias in body["aliases"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            self.aliases.insert((alias.clone(), name.to_owned()));
        }
        fine(&json!({"acknowledged": true, "shards_acknowledged": true, "index": name}))
    }

    pub fn delete(&mut self, name: &str) -> Answer {
        if self.indices.remove(name).is_none() {
            return missing(name);
        }
        self.aliases.retain(|(_, index)| index != name);
        fine(&json!({"acknowledged": true}))
    }

    /// What `GET /name` says.
    pub fn describe(&self, name: &str) -> Answer {
        let Some((index, held)) = self
            .resolve(name)
            .and_then(|i| self.indices.get_key_value(&i))
        else {
            return missing(name);
        };
        let mut settings = json!({"uuid": format!("uuid-of-{index}"), "number_of_shards": "1"});
        for (name, value) in &held.settings {
            let parts: Vec<&str> = name.split('.').collect();
            let pointer = parts.iter().fold(&mut settings, |at, part| &mut at[*part]);
            *pointer = value.as_str().into();
        }
        fine(
            &json!({index: {"aliases": self.aliases_of(index, "*"), "mappings": held.mappings, "settings": {"index": settings}}}),
        )
    }

    fn aliases_of(&self, index: &str, pattern: &str) -> Json {
        let fits = |alias: &str| match pattern.strip_suffix('*') {
            Some(prefix) => alias.starts_with(prefix),
            None => alias == pattern,
        };
        let mut found = json!({});
        for (alias, _) in self
            .aliases
            .iter()
            .filter(|(alias, of)| of == index && fits(alias))
        {
            found[alias] = json!({});
        }
        found
    }

    /// What `GET /name/_alias/pattern` says.
    pub fn describe_aliases(&self, name: &str, pattern: &str) -> Answer {
        let Some(index) = self.resolve(name) else {
            return missing(name);
        };
        let found = self.aliases_of(&index, pattern);
        match found == json!({}) {
            true => fine(&json!({})),
            false => fine(&json!({index: {"aliases": found}})),
        }
    }

    /// All actions of one request, or none.
    pub fn change_aliases(&mut self, body: &Json) -> Answer {
        let (mut aliases, mut gone) = (self.aliases.clone(), Vec::new());
        for action in body["actions"].as_array().into_iter().flatten() {
            let Some((verb, what)) = action.as_object().and_then(|action| action.iter().next())
            else {
                return error(400, "x_content_parse_exception", "an action without a verb");
            };
            let index = what["index"].as_str().unwrap_or_default().to_owned();
            let alias = what["alias"].as_str().unwrap_or_default().to_owned();
            if !self.indices.contains_key(&index) {
                return missing(&index);
            }
            match verb.as_str() {
                "add" => drop(aliases.insert((alias, index))),
                "remove" if aliases.remove(&(alias.clone(), index.clone())) => {}
                "remove" => {
                    return error(
                        404,
                        "aliases_not_found_exception",
                        &format!("aliases [{alias}] missing"),
                    );
                }
                "remove_index" => {
                    aliases.retain(|(_, of)| *of != index);
                    gone.push(index);
                }
                verb => return error(400, "x_content_parse_exception", verb),
            }
        }
        let is_index = |name: &String| self.indices.contains_key(name) && !gone.contains(name);
        if let Some((alias, _)) = aliases.iter().find(|(alias, _)| is_index(alias)) {
            let why =
                format!("an index or data stream exists with the same name as the alias [{alias}]");
            return error(400, "invalid_alias_name_exception", &why);
        }
        gone.iter()
            .for_each(|index| drop(self.indices.remove(index)));
        self.aliases = aliases;
        fine(&json!({"acknowledged": true, "errors": false}))
    }
}

pub(crate) fn missing(name: &str) -> Answer {
    error(
        404,
        "index_not_found_exception",
        &format!("no such index [{name}]"),
    )
}

impl Index {
    /// Writes a document whatever is there; whether there was none, and its new place.
    pub fn put(&mut self, id: &str, text: &str) -> (bool, Document) {
        let version = self.documents.get(id).map_or(1, |old| old.version + 1);
        self.put_version(id, text, version)
    }

    pub fn put_version(&mut self, id: &str, text: &str, version: u64) -> (bool, Document) {
        let document = Document {
            text: text.to_owned(),
            version,
            seq_no: self.seq_no,
        };
        self.seq_no += 1;
        let old = self.documents.insert(id.to_owned(), document.clone());
        (old.is_none(), document)
    }

    /// Changes settings; null takes one back.
    pub fn change_settings(&mut self, settings: &Json) {
        let inner = if settings["index"].is_object() {
            &settings["index"]
        } else {
            settings
        };
        let mut flat = Vec::new();
        flatten("", inner, &mut flat);
        for (name, value) in flat {
            let name = name.trim_start_matches("index.").to_owned();
            match value {
                Json::Null => drop(self.settings.remove(&name)),
                Json::String(text) => drop(self.settings.insert(name, text.clone())),
                other => drop(self.settings.insert(name, other.to_string())),
            }
        }
    }

    pub fn add_fields(&mut self, body: &Json) {
        if !self.mappings.is_object() {
            self.mappings = json!({});
        }
        for (name, definition) in body["properties"].as_object().into_iter().flatten() {
            self.mappings["properties"][name] = definition.clone();
        }
    }

    /// Why the mapping refuses a document: numbers and booleans are looked at.
    pub fn refuses(&self, document: &Json) -> Option<String> {
        let fields = self.mappings["properties"].as_object()?;
        fields.iter().find_map(|(name, definition)| {
            let value = document.get(name).filter(|value| !value.is_null())?;
            let kind = definition["type"].as_str()?;
            let fits = match kind {
                "long" | "integer" | "short" | "byte" => {
                    number(value, |text| text.parse::<i64>().is_ok())
                }
                "double" | "float" => {
                    number(value, |text| text.parse::<f64>().is_ok_and(f64::is_finite))
                }
                "boolean" => {
                    value.is_boolean() || matches!(value.as_str(), Some("true" | "false" | ""))
                }
                _ => true,
            };
            (!fits).then(|| format!("failed to parse field [{name}] of type [{kind}]"))
        })
    }
}

fn number(value: &Json, fits: impl Fn(&str) -> bool) -> bool {
    match value {
        Json::Number(number) => fits(&number.to_string()),
        Json::String(text) => fits(text),
        _ => false,
    }
}

fn flatten<'a>(prefix: &str, settings: &'a Json, out: &mut Vec<(String, &'a Json)>) {
    for (name, value) in settings.as_object().into_iter().flatten() {
        let name = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value.is_object() {
            true => flatten(&name, value, out),
            false => out.push((name, value)),
        }
    }
}
