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
    pub fn between(from: &Version, to: &Version) -> Bump {
        let (first, second) = match from.major == 0 && to.major == 0 {
            true => (Bump::Major, Bump::Minor),
            false => (Bump::Minor, Bump::Patch),
        };
        match (from.major == to.major, from.minor == to.minor) {
            (false, _) => Bump::Major,
            (true, false) => first,
            (true, true) => second,
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
