//! Steps whose meaning stands in the folder of schemas: `validate` and `migrate`.
//!
//! Ways between versions are made of the migration files of the folder and of the steps of the job's
//! components; a component was named for this job, so it comes before a file for the same step.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use dkhost_core::{
    Error, Node, NodeKind, OptionSpec, OptionType, Options, Reshape, Result, Schema, Span, Step,
};
use dkhost_schema::migration::route::{Edge, Way as By, route};
use dkhost_schema::{Direction, Registry, SchemaId, SchemaVersion};
use semver::Version;
use sha2::{Digest, Sha256};

use super::hash::hexadecimal;
use super::reshape;
use crate::expr::Scope;
use crate::history::{self, Author, Hop};
use crate::job::StepSpec;
use crate::registry::LoadedPlugin;
use crate::steps::{self, migrate};

/// A component that offers migrations.
pub(crate) struct Offer {
    /// What the job calls it.
    pub name: String,
    /// The component.
    pub component: Arc<dyn LoadedPlugin>,
    /// Its configuration.
    pub config: Node,
}

/// A step and, if it is made of files beside the job, their SHA-256, hexadecimal.
pub(crate) struct Bound {
    pub step: Box<dyn Step>,
    pub files: Option<String>,
    pub evolution: Option<Evolution>,
}

/// What a step `migrate` does to the versions of records.
#[derive(Debug, Clone)]
pub struct Evolution {
    /// The schema.
    pub schema: String,
    /// The version of records that do not say theirs.
    pub from: Option<Version>,
    /// The version they get.
    pub to: Version,
    /// Which way; up where records are of several versions.
    pub direction: Direction,
    /// The migrations of all ways, each once: up from the oldest version, then down from the newest.
    pub hops: Vec<Hop>,
    /// What becomes of a store whose records are brought there.
    pub reshape: Reshape,
}

/// `validate = "user@2.0.0"`.
pub(super) fn validate(
    folder: &Path,
    spec: &StepSpec,
    name: &str,
    input: &Schema,
    now: DateTime<Utc>,
) -> Result<Bound> {
    let span = &spec.node.span;
    let NodeKind::Text(id) = &spec.node.kind else {
        let what = "`validate` must name a version of a schema";
        return Err(Error::config("job::wrong_type", what)
            .at(span.clone(), format!("this is {}", spec.node.what()))
            .help("write validate = \"user@2.0.0\""));
    };
    let read = || {
        let id: SchemaId = id.parse()?;
        let registry = Registry::open(folder)?;
        let digest = digest(&[registry.text(&id)?]);
        Ok((registry.version(&id)?, digest))
    };
    let (version, digest) = read().map_err(|error: Error| error.at_least(span.clone()))?;
    let scope = Scope::stage(name, input).at(now);
    let step = steps::validate::build(&version, spec.coerce, span, &scope)?;
    Ok(Bound {
        step: steps::rest::following(step, input),
        files: Some(digest),
        evolution: None,
    })
}

const MIGRATE: &[OptionSpec] = &[
    OptionSpec::required("schema", OptionType::Text, "the schema's name"),
    OptionSpec::required("to", OptionType::Text, "the version records are brought to"),
    OptionSpec::optional(
        "from",
        OptionType::Text,
        "the version of records that do not say theirs",
    ),
];

/// What `migrate` is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub schema: String,
    pub to: Version,
    pub from: Option<Version>,
    /// Whether records get a field for their version where they have no place for it.
    pub stamps: bool,
    pub span: Span,
}

impl Asked {
    /// Reads `{ schema = "user", to = "2.0.0" }`.
    fn read(node: &Node) -> Result<Self> {
        let mut options = Options::new("`migrate`", node.clone())?;
        options.check(&[MIGRATE])?;
        let mut version = |key| {
            let span = options.span_of(key);
            let text: Option<String> = options.take(key)?;
            let parsed = text.map(|text| Version::parse(&text)).transpose();
            parsed.map_err(|cause| {
                Error::config(
                    "schema::wrong_id",
                    format!("`{key}` is no version: {cause}"),
                )
                .at(span, "a semantic version is needed")
                .help("write it as 2.0.0")
            })
        };
        let (to, from) = (version("to")?, version("from")?);
        Ok(Asked {
            schema: options.require("schema")?,
            to: to.ok_or_else(|| Error::bug("`to` was checked and is gone"))?,
            from,
            stamps: false,
            span: node.span.clone(),
        })
    }
}

/// `migrate = { schema = "user", to = "2.0.0" }`.
pub(super) fn migrate(
    folder: &Path,
    offers: &[Offer],
    node: &Node,
    name: &str,
    input: &Schema,
    now: DateTime<Utc>,
    stamps: bool,
) -> Result<Bound> {
    let asked = Asked {
        stamps,
        ..Asked::read(node)?
    };
    let only = asked
        .from
        .as_ref()
        .filter(|_| !migrate::say_their_version(input));
    let find = |only| {
        let found = ways(folder, offers, &asked, only);
        found.map_err(|error| error.at_least(asked.span.clone()))
    };
    let ways = find(only)?;
    // Records that get their versions on the way say them when the run is taken up again.
    let files = match asked.stamps && only.is_some() {
        true => find(None)?.digest,
        false => ways.digest,
    };
    let to = ways.to.clone();
    let wanted = migrate::Wanted {
        to: &to,
        ways: &ways.ways,
        from: asked.from.as_ref(),
        stamps: asked.stamps,
        span: &asked.span,
    };
    let step = migrate::build(&wanted, &Scope::stage(name, input).at(now))?;
    let direction = match &asked.from {
        Some(from) if *from > asked.to => Direction::Down,
        _ => Direction::Up,
    };
    let evolution = Evolution {
        reshape: reshape::reshape(&to, &ways.ways, asked.from.as_ref(), input, step.output()),
        schema: asked.schema,
        from: asked.from,
        to: asked.to,
        direction,
        hops: ways.hops,
    };
    Ok(Bound {
        step,
        files: Some(files),
        evolution: Some(evolution),
    })
}

/// All ways that lead to a version.
pub(crate) struct Ways {
    pub to: SchemaVersion,
    pub ways: Vec<migrate::Way>,
    pub hops: Vec<Hop>,
    pub digest: String,
}

/// Finds the ways to the wanted version: from the one that was given, and, unless that is the `only`
/// one, from all others.
///
/// *Errors* – unknown schemas and versions; files with mistakes; `schema::no_way` from the given
/// version.
pub(crate) fn ways(
    folder: &Path,
    offers: &[Offer],
    asked: &Asked,
    only: Option<&Version>,
) -> Result<Ways> {
    let registry = Registry::open(folder)?;
    let id = |version: &Version| SchemaId {
        name: asked.schema.clone(),
        version: version.clone(),
    };
    let to = registry.version(&id(&asked.to))?;
    if let Some(from) = &asked.from {
        registry.text(&id(from))?;
    }
    let (edges, steps) = edges(&registry, offers, &asked.schema)?;
    let mut files = vec![registry.text(&to.id)?];
    let (mut ways, mut told_hops) = (Vec::new(), Vec::new());
    for version in registry.versions(&asked.schema)? {
        if only.is_some_and(|only| *only != version) {
            continue;
        }
        let hops = match route(&asked.schema, &edges, &version, &asked.to) {
            Ok(hops) => hops,
            Err(error) if asked.from.as_ref() == Some(&version) => return Err(error),
            Err(_) => continue,
        };
        let mut way = migrate::Way {
            from: registry.version(&id(&version))?,
            hops: Vec::new(),
        };
        files.push(registry.text(&way.from.id)?);
        for hop in hops {
            let (start, end) = (&hop.edge.from, &hop.edge.to);
            let end_of_hop = match hop.direction {
                Direction::Up => end,
                Direction::Down => start,
            };
            let by = match &hop.edge.by {
                By::File => {
                    let migration = registry.migration(&asked.schema, start, end)?;
                    files.push(migration.text.clone());
                    migrate::By::File {
                        path: registry.migration_path(&asked.schema, start, end),
                        migration,
                    }
                }
                By::Plugin(name) => {
                    let (offer, step) = step_of(&steps, name, start, end)?;
                    files.push(offers[offer].component.digest());
                    files.push(offers[offer].config.to_json().to_string());
                    migrate::By::Plugin {
                        component: offers[offer].component.clone(),
                        config: offers[offer].config.clone(),
                        step,
                    }
                }
            };
            let text = |version: &Version| registry.text(&id(version));
            let start_of_hop = match hop.direction {
                Direction::Up => start,
                Direction::Down => end,
            };
            let told = Hop {
                from: start_of_hop.to_string(),
                to: end_of_hop.to_string(),
                direction: hop.direction,
                digest: match &by {
                    migrate::By::File { migration, .. } => {
                        history::digest(migration.text.as_bytes())
                    }
                    migrate::By::Plugin { component, .. } => component.digest(),
                },
                by: match &hop.edge.by {
                    By::File => Author::File(format!("{start}--{end}.toml")),
                    By::Plugin(name) => Author::Plugin(name.clone()),
                },
                from_digest: history::digest(text(start_of_hop)?.as_bytes()),
                to_digest: history::digest(text(end_of_hop)?.as_bytes()),
            };
            let told = (start_of_hop.clone(), told);
            if !told_hops.contains(&told) {
                told_hops.push(told);
            }
            way.hops.push(migrate::Hop {
                to: registry.version(&id(end_of_hop))?,
                direction: hop.direction,
                by,
            });
        }
        ways.push(way);
    }
    // Up from the oldest, down from the newest, as records go.
    told_hops.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (mut hops, mut downs): (Vec<_>, Vec<_>) = told_hops
        .into_iter()
        .map(|(_, hop)| hop)
        .partition(|hop: &Hop| hop.direction == Direction::Up);
    downs.reverse();
    hops.append(&mut downs);
    Ok(Ways {
        to,
        ways,
        hops,
        digest: digest(&files),
    })
}

/// A migration that a component offers: component, its index there, from, to.
struct Offered {
    offer: usize,
    step: usize,
    name: String,
    from: Version,
    to: Version,
}

fn edges(registry: &Registry, offers: &[Offer], schema: &str) -> Result<(Vec<Edge>, Vec<Offered>)> {
    let (mut edges, mut offered) = (Vec::new(), Vec::new());
    for (from, to) in registry.migrations(schema)? {
        let reversible = registry.migration(schema, &from, &to)?.down.is_some();
        edges.push(Edge {
            from,
            to,
            reversible,
            by: By::File,
        });
    }
    for (offer, one) in offers.iter().enumerate() {
        for (step, found) in one.component.migrations()?.into_iter().enumerate() {
            if found.schema != schema {
                continue;
            }
            let same = |other: &&Offered| other.from == found.from && other.to == found.to;
            if let Some(other) = offered.iter().find(same) {
                return Err(two_offers(schema, other, &one.name));
            }
            edges.push(Edge {
                from: found.from.clone(),
                to: found.to.clone(),
                reversible: found.reversible,
                by: By::Plugin(one.name.clone()),
            });
            offered.push(Offered {
                offer,
                step,
                name: one.name.clone(),
                from: found.from,
                to: found.to,
            });
        }
    }
    Ok((edges, offered))
}

fn two_offers(schema: &str, one: &Offered, other: &str) -> Error {
    Error::config(
        "schema::two_offers",
        format!(
            "the components `{}` and `{other}` both offer to bring {schema} from {} to {}",
            one.name, one.from, one.to
        ),
    )
    .help("give only one of them to this job")
}

fn step_of(steps: &[Offered], name: &str, from: &Version, to: &Version) -> Result<(usize, usize)> {
    let is_it = |one: &&Offered| one.name == name && one.from == *from && one.to == *to;
    let found = steps.iter().find(is_it);
    let found = found.map(|one| (one.offer, one.step));
    found.ok_or_else(|| Error::bug("a way uses a migration nobody offers"))
}

fn digest(texts: &[String]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
    hexadecimal(&digest.finalize())
}
