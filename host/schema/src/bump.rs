//! Which part of a version number a change must raise.

use std::fmt;

use dkhost_core::{Error, Result};
use semver::Version;

use crate::difference::{Difference, Kind, Verdict};
use crate::version::SchemaId;

/// A part of a version number, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bump {
    /// Nothing but words changed.
    Patch,
    /// All records stay what they were, and so do readers.
    Minor,
    /// Records may be refused or lose values, or readers find a field under no or another name,
    /// without a value or of another type.
    Major,
}

impl fmt::Display for Bump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bump::Patch => "patch",
            Bump::Minor => "minor",
            Bump::Major => "major",
        })
    }
}

impl Bump {
    /// What these differences deserve.
    pub fn deserved(differences: &[Difference]) -> Bump {
        let each = differences.iter().map(|difference| match difference.kind {
            _ if difference.verdict != Verdict::Safe => Bump::Major,
            Kind::Removed | Kind::Renamed | Kind::Type(_) | Kind::Optional | Kind::Key => {
                Bump::Major
            }
            Kind::Description => Bump::Patch,
            _ => Bump::Minor,
        });
        each.max().unwrap_or(Bump::Patch)
    }

    /// What lies between two versions; below 1.0.0 a minor version may break what a major one may.
    /// Of a pre-release and its release, or another pre-release, it is what the release is itself.
    ///
    /// *Source* – Semantic Versioning 2.0.0, items 4, 6 to 9.
    pub fn between(from: &Version, to: &Version) -> Bump {
        let (minor, patch) = match from.major == 0 && to.major == 0 {
            true => (Bump::Major, Bump::Minor),
            false => (Bump::Minor, Bump::Patch),
        };
        let is_same = (from.major, from.minor, from.patch) == (to.major, to.minor, to.patch);
        match is_same && !from.pre.is_empty() {
            true if to.patch > 0 => patch,
            true if to.minor > 0 => minor,
            true => Bump::Major,
            false if from.major != to.major => Bump::Major,
            false if from.minor != to.minor => minor,
            false => patch,
        }
    }

    /// Refuses a version number that promises more than the differences hold.
    ///
    /// *Errors* – `schema::too_small_bump`; `schema::order` where `to` is not the newer one.
    pub fn check(from: &SchemaId, to: &SchemaId, differences: &[Difference]) -> Result<()> {
        if to.version <= from.version {
            return Err(Error::config(
                "schema::order",
                format!("{to} is not newer than {from}"),
            ));
        }
        let (deserved, given) = (
            Bump::deserved(differences),
            Bump::between(&from.version, &to.version),
        );
        if given >= deserved {
            return Ok(());
        }
        Err(Error::config(
            "schema::too_small_bump",
            format!("{to} is a {given} version after {from}, and its differences are of a {deserved} one"),
        )
        .help(format!("call it {}", next(&from.version, deserved))))
    }
}

fn next(version: &Version, bump: Bump) -> Version {
    let Version {
        major,
        minor,
        patch,
        ..
    } = *version;
    match (bump, major) {
        (Bump::Major, 1..) => Version::new(major + 1, 0, 0),
        (Bump::Minor, 1..) | (Bump::Major, 0) => Version::new(major, minor + 1, 0),
        _ => Version::new(major, minor, patch + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_that_differs_says_what_lies_between() {
        for (from, to, bump) in [
            ("1.2.3", "1.2.4", Bump::Patch),
            ("1.2.3", "1.3.0", Bump::Minor),
            ("1.2.3", "2.0.0", Bump::Major),
            ("0.2.3", "0.2.4", Bump::Minor),
            ("0.2.3", "0.3.0", Bump::Major),
            ("0.2.3", "1.0.0", Bump::Major),
        ] {
            let [from, to] = [from, to].map(|version| version.parse().unwrap());
            assert_eq!(Bump::between(&from, &to), bump, "{from} to {to}");
        }
    }

    #[test]
    fn what_a_release_may_change_its_pre_releases_may() {
        for (from, to, bump) in [
            ("2.0.0-beta.1", "2.0.0-beta.2", Bump::Major),
            ("2.0.0-rc.1", "2.0.0", Bump::Major),
            ("1.3.0-rc.1", "1.3.0", Bump::Minor),
            ("1.2.4-rc.1", "1.2.4", Bump::Patch),
            ("0.3.0-rc.1", "0.3.0", Bump::Major),
            ("2.0.0-rc.1", "2.0.1", Bump::Patch),
        ] {
            let [from, to] = [from, to].map(|version| version.parse().unwrap());
            assert_eq!(Bump::between(&from, &to), bump, "{from} to {to}");
        }
    }
}
