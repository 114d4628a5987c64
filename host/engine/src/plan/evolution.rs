//! Steps whose meaning stands in the folder of schemas: `validate` and `migrate`.

use std::path::Path;

use chrono::{DateTime, Utc};
use dkhost_core::{
    Error, Node, NodeKind, OptionSpec, OptionType, Options, Reshape, Result, Schema, Span, Step,
};
use dkhost_schema::{Direction, Registry, SchemaId};
use semver::Version;

use super::reshape;
use super::ways::{Offer, digest, ways};
use crate::expr::Scope;
use crate::history::Hop;
use crate::job::StepSpec;
use crate::steps::{self, migrate};

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
pub(super) struct Asked {
    pub schema: String,
    pub to: Version,
    pub from: Option<Version>,
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
            span: node.span.clone(),
        })
    }
}

/// `migrate = { schema = "user", to = "2.0.0" }`; with `stamps`, records get a field for their version
/// where they have no place for it.
pub(super) fn migrate(
    folder: &Path,
    offers: &[Offer],
    node: &Node,
    name: &str,
    input: &Schema,
    now: DateTime<Utc>,
    stamps: bool,
) -> Result<Bound> {
    let asked = Asked::read(node)?;
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
    let files = match stamps && only.is_some() {
        true => find(None)?.digest,
        false => ways.digest,
    };
    let to = &ways.to;
    let wanted = migrate::Wanted {
        to,
        ways: &ways.ways,
        from: asked.from.as_ref(),
        stamps,
        span: &asked.span,
    };
    let step = migrate::build(&wanted, &Scope::stage(name, input).at(now))?;
    let direction = match &asked.from {
        Some(from) if *from > asked.to => Direction::Down,
        _ => Direction::Up,
    };
    let evolution = Evolution {
        reshape: reshape::reshape(to, &ways.ways, asked.from.as_ref(), input, step.output()),
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
