//! The way between two versions: which migrations, in which direction.

use std::collections::HashSet;

use dkhost_core::{Error, Result};
use semver::Version;

use super::Direction;

/// A migration there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The older version.
    pub from: Version,
    /// The newer version.
    pub to: Version,
    /// Whether it can be gone down.
    pub reversible: bool,
    /// What carries it out.
    pub by: Way,
}

/// What carries a migration out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A file beside the versions.
    File,
    /// A component of the job, by name.
    Plugin(String),
}

/// A migration on the way, and which way it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The migration.
    pub edge: Edge,
    /// Up or down.
    pub direction: Direction,
}

impl Hop {
    /// The version it starts from.
    pub fn start(&self) -> &Version {
        match self.direction {
            Direction::Up => &self.edge.from,
            Direction::Down => &self.edge.to,
        }
    }

    /// The version it leads to.
    pub fn end(&self) -> &Version {
        match self.direction {
            Direction::Up => &self.edge.to,
            Direction::Down => &self.edge.from,
        }
    }
}

/// The shortest way from one version to another: the fewest migrations, never past either end. Of
/// two ways of one length, the one with the longer first step; of a file and a component for one
/// step the component, which was named for this job.
///
/// *Errors* – `schema::no_way`, which names the gap, or the migration that cannot be gone down.
pub fn route(schema: &str, edges: &[Edge], from: &Version, to: &Version) -> Result<Vec<Hop>> {
    let direction = match from <= to {
        true => Direction::Up,
        false => Direction::Down,
    };
    let (least, most) = (from.min(to), from.max(to));
    let within = |edge: &Edge| edge.from < edge.to && edge.from >= *least && edge.to <= *most;
    let all: Vec<Hop> = edges
        .iter()
        .filter(|edge| within(edge))
        .map(|edge| Hop {
            edge: edge.clone(),
            direction,
        })
        .collect();
    let open: Vec<&Hop> = all
        .iter()
        .filter(|hop| direction == Direction::Up || hop.edge.reversible)
        .collect();
    let reached = reached(&open, from);
    match reached.iter().find(|(version, _)| version == to) {
        Some((_, hops)) => Ok(hops.iter().map(|hop| (*hop).clone()).collect()),
        None => Err(no_way(schema, &all, from, to)),
    }
}

/// Every version that can be come to, with the way there, nearest first.
fn reached<'a>(hops: &[&'a Hop], from: &Version) -> Vec<(Version, Vec<&'a Hop>)> {
    let mut found: Vec<(Version, Vec<&Hop>)> = vec![(from.clone(), Vec::new())];
    let mut next = 0;
    while next < found.len() {
        let (version, way) = found[next].clone();
        next += 1;
        let mut onward: Vec<&&Hop> = hops.iter().filter(|hop| *hop.start() == version).collect();
        // The longest step first, and of the same step the component.
        onward.sort_by(|one, two| {
            let longer = match one.direction {
                Direction::Up => two.end().cmp(one.end()),
                Direction::Down => one.end().cmp(two.end()),
            };
            let is_file = |hop: &Hop| hop.edge.by == Way::File;
            longer.then(is_file(one).cmp(&is_file(two)))
        });
        for hop in onward {
            if found.iter().all(|(version, _)| version != hop.end()) {
                let mut way = way.clone();
                way.push(hop);
                found.push((hop.end().clone(), way));
            }
        }
    }
    found
}

fn no_way(schema: &str, hops: &[Hop], from: &Version, to: &Version) -> Error {
    let every: Vec<&Hop> = hops.iter().collect();
    let message = format!("there is no way from {schema} {from} to {to}");
    let one_way: Option<&Hop> = reached(&every, from)
        .into_iter()
        .find(|(version, _)| version == to)
        .and_then(|(_, way)| way.into_iter().find(|hop| !hop.edge.reversible));
    if let Some(hop) = one_way {
        let (from, to) = (&hop.edge.from, &hop.edge.to);
        return Error::config(
            "schema::no_way",
            format!("{message}: the migration {from} to {to} has no way down"),
        )
        .help(format!(
            "write [[down]] operations in {schema}/{from}--{to}.toml, or give a component whose step is reversible"
        ));
    }
    let (near, far) = gap(hops, from, to);
    let (low, high) = (near.clone().min(far.clone()), near.clone().max(far.clone()));
    Error::config(
        "schema::no_way",
        format!("{message}: nothing leads from {near} to {far}"),
    )
    .help(format!("`dkhost schema generate {schema} {low} {high}` writes the missing migration; a component with a step for it does as well (--plugin)"))
}

/// Between how far one gets and from where one could go on: the fewest versions apart, and of those
/// the farthest on the way.
fn gap(hops: &[Hop], from: &Version, to: &Version) -> (Version, Version) {
    let every: Vec<&Hop> = hops.iter().collect();
    let ends = leading_to(hops, to);
    let is_onward = |near: &Version, far: &Version| match from <= to {
        true => near < far,
        false => near > far,
    };
    let pairs = reached(&every, from).into_iter().flat_map(|(near, _)| {
        let far = ends.iter().filter(|far| is_onward(&near, far));
        far.map(|far| (near.clone(), far.clone()))
            .collect::<Vec<_>>()
    });
    let nearest =
        pairs.min_by_key(|(near, far)| (distance(near, far, hops), distance(near, to, hops)));
    nearest.unwrap_or_else(|| (from.clone(), to.clone()))
}

/// How many versions that are named lie between two.
fn distance(one: &Version, two: &Version, hops: &[Hop]) -> usize {
    let between = |version: &&Version| *version > one.min(two) && *version <= one.max(two);
    let named = hops.iter().flat_map(|hop| [&hop.edge.from, &hop.edge.to]);
    let named: HashSet<&Version> = named.chain([one, two]).filter(between).collect();
    named.len()
}

/// Every version from which `to` can be come to, itself included.
fn leading_to(hops: &[Hop], to: &Version) -> Vec<Version> {
    let mut found = vec![to.clone()];
    let mut next = 0;
    while next < found.len() {
        let version = found[next].clone();
        next += 1;
        for hop in hops.iter().filter(|hop| *hop.end() == version) {
            if !found.contains(hop.start()) {
                found.push(hop.start().clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            reversible: true,
            by: Way::File,
        }
    }

    fn go(edges: &[Edge], from: &str, to: &str) -> Result<Vec<String>> {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let hops = route("user", edges, &from, &to)?;
        Ok(hops
            .iter()
            .map(|hop| {
                let by = match &hop.edge.by {
                    Way::File => String::new(),
                    Way::Plugin(name) => format!(" by {name}"),
                };
                format!("{:?} to {}{by}", hop.direction, hop.end())
            })
            .collect())
    }

    #[test]
    fn every_hop_goes_the_way_of_the_whole() {
        let edges = [edge("1.0.0", "2.0.0"), edge("2.0.0", "3.0.0")];
        assert_eq!(
            go(&edges, "1.0.0", "3.0.0").unwrap(),
            ["Up to 2.0.0", "Up to 3.0.0"]
        );
        assert_eq!(
            go(&edges, "3.0.0", "1.0.0").unwrap(),
            ["Down to 2.0.0", "Down to 1.0.0"]
        );
        assert!(go(&edges, "2.0.0", "2.0.0").unwrap().is_empty());
    }

    #[test]
    fn the_fewest_migrations_win_and_then_the_longest_first_step() {
        let edges = [
            edge("1.0.0", "1.1.0"),
            edge("1.1.0", "2.0.0"),
            edge("2.0.0", "3.0.0"),
            edge("1.1.0", "3.0.0"),
            edge("1.0.0", "2.0.0"),
        ];
        assert_eq!(
            go(&edges, "1.0.0", "3.0.0").unwrap(),
            ["Up to 2.0.0", "Up to 3.0.0"]
        );
        assert_eq!(
            go(&edges, "3.0.0", "1.0.0").unwrap(),
            ["Down to 1.1.0", "Down to 1.0.0"]
        );
    }

    #[test]
    fn a_component_comes_before_a_file() {
        let named = Edge {
            by: Way::Plugin("mine".into()),
            ..edge("1.0.0", "2.0.0")
        };
        let edges = [edge("1.0.0", "2.0.0"), named];
        assert_eq!(
            go(&edges, "1.0.0", "2.0.0").unwrap(),
            ["Up to 2.0.0 by mine"]
        );
    }

    #[test]
    fn a_gap_is_named_with_the_command_that_fills_it() {
        let edges = [edge("1.0.0", "1.1.0"), edge("2.0.0", "3.0.0")];
        let error = go(&edges, "1.0.0", "3.0.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no way from user 1.0.0 to 3.0.0: nothing leads from 1.1.0 to 2.0.0"
        );
        assert!(
            error
                .help_text()
                .unwrap()
                .starts_with("`dkhost schema generate user 1.1.0 2.0.0`")
        );
        let error = go(&edges, "3.0.0", "1.0.0").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("nothing leads from 2.0.0 to 1.1.0"),
            "{error}"
        );
    }

    #[test]
    fn a_way_that_only_goes_up_is_named() {
        let one_way = Edge {
            reversible: false,
            ..edge("1.0.0", "2.0.0")
        };
        let error = go(&[one_way], "2.0.0", "1.0.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no way from user 2.0.0 to 1.0.0: the migration 1.0.0 to 2.0.0 has no way down"
        );
    }

    #[test]
    fn a_gap_between_ways_that_pass_each_other_is_still_one() {
        let edges = [edge("1.0.0", "3.0.0"), edge("2.0.0", "4.0.0")];
        for (from, to, gap) in [
            ("1.0.0", "4.0.0", "nothing leads from 3.0.0 to 4.0.0"),
            ("4.0.0", "1.0.0", "nothing leads from 2.0.0 to 1.0.0"),
        ] {
            let error = go(&edges, from, to).unwrap_err();
            assert!(error.to_string().ends_with(gap), "{error}");
        }
        let branch = [
            edge("1.0.0", "1.9.0"),
            edge("1.1.0", "2.0.0"),
            edge("1.2.0", "2.0.0"),
        ];
        let error = go(&branch, "1.0.0", "2.0.0").unwrap_err();
        assert!(
            error.to_string().ends_with("from 1.9.0 to 2.0.0"),
            "{error}"
        );
    }

    #[test]
    fn a_migration_to_its_own_version_leads_nowhere() {
        let error = go(&[edge("2.0.0", "2.0.0")], "1.0.0", "2.0.0").unwrap_err();
        assert_eq!(error.code(), "schema::no_way");
    }
}
