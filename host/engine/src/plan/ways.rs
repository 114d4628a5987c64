//! The ways between versions of a schema that a job can go.
//!
//! They are made of the migration files of the folder of schemas and of the steps of the job's
//! components; a component was named for this job, so it comes before a file for the same step.

use std::path::Path;
use std::sync::Arc;

use dkhost_core::{Error, Node, Result};
use dkhost_schema::migration::route::{self, Edge, Way as By, route};
use dkhost_schema::{Direction, Registry, SchemaId, SchemaVersion};
use semver::Version;
use sha2::{Digest, Sha256};

use super::evolution::Asked;
use super::hash::hexadecimal;
use crate::history::{self, Author, Hop};
use crate::registry::{LoadedPlugin, MigrationStep};
use crate::steps::migrate;

/// A component that offers migrations.
pub(super) struct Offer {
    /// What the job calls it.
    pub name: String,
    /// The component.
    pub component: Arc<dyn LoadedPlugin>,
    /// Its configuration.
    pub config: Node,
}

/// All ways that lead to a version.
pub(super) struct Ways {
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
pub(super) fn ways(
    folder: &Path,
    offers: &[Offer],
    asked: &Asked,
    only: Option<&Version>,
) -> Result<Ways> {
    let evolving = Evolving {
        registry: Registry::open(folder)?,
        schema: &asked.schema,
        offers,
    };
    let to = evolving.version(&asked.to)?;
    if let Some(from) = &asked.from {
        evolving.text(from)?;
    }
    let edges = evolving.edges()?;
    let mut files = vec![evolving.text(&asked.to)?];
    let (mut ways, mut told) = (Vec::new(), Vec::new());
    for version in evolving.registry.versions(&asked.schema)? {
        if only.is_some_and(|only| *only != version) {
            continue;
        }
        let hops = match route(&asked.schema, &edges, &version, &asked.to) {
            Ok(hops) => hops,
            Err(error) if asked.from.as_ref() == Some(&version) => return Err(error),
            Err(_) => continue,
        };
        files.push(evolving.text(&version)?);
        let mut way = migrate::Way {
            from: evolving.version(&version)?,
            hops: Vec::new(),
        };
        for hop in hops {
            let bound = evolving.hop(&hop, &mut files)?;
            let one = (hop.start().clone(), evolving.told(&hop, &bound)?);
            if !told.contains(&one) {
                told.push(one);
            }
            way.hops.push(bound);
        }
        ways.push(way);
    }
    Ok(Ways {
        to,
        ways,
        hops: in_order(told),
        digest: digest(&files),
    })
}

/// Up from the oldest, down from the newest, as records go.
fn in_order(mut told: Vec<(Version, Hop)>) -> Vec<Hop> {
    told.sort_by(|(one, _), (other, _)| one.cmp(other));
    let hops = told.into_iter().map(|(_, hop)| hop);
    let (mut hops, downs): (Vec<Hop>, Vec<Hop>) =
        hops.partition(|hop| hop.direction == Direction::Up);
    hops.extend(downs.into_iter().rev());
    hops
}

/// A schema, and what leads from one of its versions to another.
struct Evolving<'a> {
    registry: Registry,
    schema: &'a str,
    offers: &'a [Offer],
}

impl Evolving<'_> {
    fn id(&self, version: &Version) -> SchemaId {
        SchemaId {
            name: self.schema.to_owned(),
            version: version.clone(),
        }
    }

    fn text(&self, version: &Version) -> Result<String> {
        self.registry.text(&self.id(version))
    }

    fn version(&self, version: &Version) -> Result<SchemaVersion> {
        self.registry.version(&self.id(version))
    }

    /// The migrations of the folder and those of the components.
    ///
    /// *Errors* – `schema::two_offers`.
    fn edges(&self) -> Result<Vec<Edge>> {
        let mut edges: Vec<Edge> = Vec::new();
        for one in self.offers {
            for found in one.component.migrations()? {
                if found.schema != self.schema {
                    continue;
                }
                let edge = Edge {
                    from: found.from,
                    to: found.to,
                    reversible: found.reversible,
                    by: By::Plugin(one.name.clone()),
                };
                let same = |other: &&Edge| (&other.from, &other.to) == (&edge.from, &edge.to);
                if let Some(other) = edges.iter().find(same) {
                    return Err(two_offers(self.schema, other, &one.name));
                }
                edges.push(edge);
            }
        }
        for (from, to) in self.registry.migrations(self.schema)? {
            let migration = self.registry.migration(self.schema, &from, &to)?;
            edges.push(Edge {
                from,
                to,
                reversible: migration.down.is_some(),
                by: By::File,
            });
        }
        Ok(edges)
    }

    /// What carries a hop out; `files` gets all that decides what it does.
    fn hop(&self, hop: &route::Hop, files: &mut Vec<String>) -> Result<migrate::Hop> {
        let Edge { from, to, by, .. } = &hop.edge;
        let by = match by {
            By::File => {
                let migration = self.registry.migration(self.schema, from, to)?;
                files.push(migration.text.clone());
                migrate::By::File {
                    path: self.registry.migration_path(self.schema, from, to),
                    migration,
                }
            }
            By::Plugin(name) => {
                let (offer, step) = self.step(name, from, to)?;
                files.push(offer.component.digest());
                files.push(offer.config.to_json().to_string());
                migrate::By::Plugin {
                    component: offer.component.clone(),
                    config: offer.config.clone(),
                    step,
                }
            }
        };
        Ok(migrate::Hop {
            to: self.version(hop.end())?,
            direction: hop.direction,
            by,
        })
    }

    /// The component of a name, and which of its migrations leads from one version to the other.
    fn step(&self, name: &str, from: &Version, to: &Version) -> Result<(&Offer, usize)> {
        let gone = || Error::bug("a way uses a migration nobody offers");
        let offer = self.offers.iter().find(|offer| offer.name == name);
        let offer = offer.ok_or_else(gone)?;
        let steps = offer.component.migrations()?;
        let is_it =
            |one: &MigrationStep| one.schema == self.schema && (&one.from, &one.to) == (from, to);
        let step = steps.iter().position(is_it).ok_or_else(gone)?;
        Ok((offer, step))
    }

    /// What the history is told of a hop.
    fn told(&self, hop: &route::Hop, bound: &migrate::Hop) -> Result<Hop> {
        let digest =
            |version| -> Result<String> { Ok(history::digest(self.text(version)?.as_bytes())) };
        let Edge { from, to, by, .. } = &hop.edge;
        Ok(Hop {
            from: hop.start().to_string(),
            to: hop.end().to_string(),
            direction: hop.direction,
            digest: match &bound.by {
                migrate::By::File { migration, .. } => history::digest(migration.text.as_bytes()),
                migrate::By::Plugin { component, .. } => component.digest(),
            },
            by: match by {
                By::File => Author::File(format!("{from}--{to}.toml")),
                By::Plugin(name) => Author::Plugin(name.clone()),
            },
            from_digest: digest(hop.start())?,
            to_digest: digest(hop.end())?,
        })
    }
}

fn two_offers(schema: &str, edge: &Edge, other: &str) -> Error {
    let one = match &edge.by {
        By::Plugin(name) => name,
        By::File => schema,
    };
    Error::config(
        "schema::two_offers",
        format!(
            "the components `{one}` and `{other}` both offer to bring {schema} from {} to {}",
            edge.from, edge.to
        ),
    )
    .help("give only one of them to this job")
}

/// The SHA-256 of texts, each told from the next, hexadecimal.
pub(super) fn digest(texts: &[String]) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    }
    hexadecimal(&digest.finalize())
}
