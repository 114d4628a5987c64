//! A store brought to another version of its schema, where it stands.
//!
//! The store is the one that a job's `[target]` names. It is read and written in one run: the new
//! records are staged beside it and swapped in at the end, so that a crash at any moment leaves the
//! old store or the new one. A store whose records can only be replaced one by one gets them one by
//! one, each with its version, so that a resumed run knows which are done.

use dkhost_core::{
    Backend, Conflict, Error, LogicalType, Node, NodeKind, OpenSource, Options, Result, Stamp,
};
use dkhost_schema::{Registry as Schemas, SchemaVersion};
use semver::Version;

use crate::job::{Job, SourceSection, StepSpec};
use crate::registry::Registry;

/// What is asked of a job's target.
#[derive(Debug, Clone)]
pub struct Request {
    /// The schema.
    pub schema: String,
    /// The version its records are of; what the store says of itself where this is `None`.
    pub from: Option<Version>,
    /// The version they are brought to.
    pub to: Version,
}

/// The run that an application is.
pub struct Applied {
    /// What is run: source and target are the store.
    pub job: Job,
    /// Whether the store says that it is there already, and no record of it could say otherwise.
    pub is_there: bool,
}

/// The job that brings the target of `job` to another version.
///
/// *Errors* – `schema::other_schema`, `schema::wrong_id` if the store says another schema or no
/// version; `schema::other_version` if it says neither the version that was given nor the one that
/// is asked for, and what opening the store may say. That nobody says a version is found
/// by whoever makes the plan: `schema::no_version`.
pub fn job_for(job: &Job, registry: &Registry, request: &Request) -> Result<Applied> {
    let backend = registry.backend(&job.target.backend.0, &job.target.backend.1)?;
    let stamp = backend.stamp(job.target.options.clone(), &job.base)?;
    let capabilities = backend.target_capabilities(&job.target.options)?;
    if let Some(other) = stamp
        .as_ref()
        .filter(|stamp| stamp.schema != request.schema)
    {
        return Err(other_schema(request, other).at_least(job.target.backend.1.clone()));
    }
    let said = stamp.as_ref().map(said).transpose();
    let said = said.map_err(|error| error.at_least(job.target.backend.1.clone()))?;
    let is_there = said.as_ref() == Some(&request.to) && !capabilities.documents;
    let from = starting_version(request, said, capabilities.documents, job)?;
    let versions = versions(job, &request.schema)?;
    let source = source(job, backend.as_ref(), &versions, capabilities.documents)?;
    let mut target = job.target.clone();
    target.create = false;
    target.conflict.0 = match capabilities.only_one_by_one {
        true => Conflict::Upsert,
        false => Conflict::ReplaceAll,
    };
    let step = step(request, from.as_ref());
    let mut canonical = job.canonical.clone();
    canonical["source"] = canonical["target"].clone();
    canonical["steps"] = serde_json::json!([step.node.to_json()]);
    let job = Job {
        name: format!("{}.{}", job.name, request.schema),
        source,
        steps: vec![step],
        target,
        stamps: capabilities.documents,
        reshapes: !capabilities.only_one_by_one,
        in_place: !capabilities.only_one_by_one,
        canonical,
        ..job.clone()
    };
    Ok(Applied { job, is_there })
}

fn other_schema(request: &Request, said: &Stamp) -> Error {
    let (schema, version) = (&said.schema, &said.version);
    Error::config(
        "schema::other_schema",
        format!(
            "the store says that its records are of {schema} {version}, and not of {}",
            request.schema
        ),
    )
    .help(format!(
        "name the schema `{schema}`, or the job of another store"
    ))
}

/// The version that a store says its records are of.
fn said(stamp: &Stamp) -> Result<Version> {
    Version::parse(&stamp.version).map_err(|cause| {
        let Stamp {
            schema, version, ..
        } = stamp;
        Error::config(
            "schema::wrong_id",
            format!("the store says that its records are of {schema} `{version}`, which is no version: {cause}"),
        )
        .help("put right what somebody wrote where the store says it; `dkhost schema history` knows what was applied")
    })
}

/// The version of the records, or, where records say their own, of those that do not.
fn starting_version(
    request: &Request,
    said: Option<Version>,
    documents: bool,
    job: &Job,
) -> Result<Option<Version>> {
    match (&request.from, said) {
        // Somebody may have added documents since, that do not say what they are.
        (Some(from), Some(said)) if said == request.to && documents => Ok(Some(from.clone())),
        // The same command again, perhaps after it was killed when all but its last words was done.
        (Some(_), Some(said)) if said == request.to => Ok(Some(said)),
        (Some(from), Some(said)) if *from != said => Err(Error::config(
            "schema::other_version",
            format!(
                "the store says that its records are of {} {said}, not {from}",
                request.schema
            ),
        )
        .help("leave out --from, or give the version it says; the store is never migrated twice")
        .at_least(job.target.backend.1.clone())),
        (Some(from), _) => Ok(Some(from.clone())),
        (None, said) => Ok(said),
    }
}

fn versions(job: &Job, schema: &str) -> Result<Vec<SchemaVersion>> {
    let schemas = Schemas::open(&job.schemas)?;
    let versions = schemas.versions(schema)?.into_iter();
    versions
        .map(|version| {
            schemas.version(&dkhost_schema::SchemaId {
                name: schema.to_owned(),
                version,
            })
        })
        .collect()
}

/// The target, as it is read: with the types that the versions give its fields, where it has none of
/// its own.
fn source(
    job: &Job,
    backend: &dyn Backend,
    versions: &[SchemaVersion],
    documents: bool,
) -> Result<SourceSection> {
    let known = backend.source_options();
    let mut options = job.target.options.shared_with("[target]", known);
    let takes_types = known.iter().any(|spec| spec.name == "fields");
    if takes_types && options.get("layout").is_none() {
        let declared = declared(job, backend, &options, versions, documents)?;
        if !declared.is_empty() {
            options.put("fields", Node::new(NodeKind::Table(declared)));
        }
    }
    Ok(SourceSection {
        backend: job.target.backend.clone(),
        options,
        columns: None,
        key: job.target.key.clone().unwrap_or_default(),
        filter: None,
        incremental: None,
        partitions: Some(1),
        partition_by: None,
        limit: None,
    })
}

/// Types of the fields that the store has none for, or another.
fn declared(
    job: &Job,
    backend: &dyn Backend,
    options: &Options,
    versions: &[SchemaVersion],
    documents: bool,
) -> Result<Vec<(String, dkhost_core::Span, Node)>> {
    let open = OpenSource {
        base: job.base.clone(),
        partitions: 1,
        explicit_nulls: documents,
        ..OpenSource::default()
    };
    let source = backend
        .open_source(options.clone(), &open)
        .map_err(|error| error.at_least(job.target.backend.1.clone()))?;
    let found = source.schema();
    let mut declared: Vec<(String, LogicalType)> = Vec::new();
    for field in versions.iter().flat_map(|version| &version.fields) {
        match declared.iter_mut().find(|(name, _)| *name == field.name) {
            // Of several types, each record is converted to its own.
            Some((_, logical)) if *logical != field.logical => {
                *logical = match documents {
                    true => LogicalType::Json,
                    false => LogicalType::Utf8,
                }
            }
            Some(_) => (),
            None => declared.push((field.name.clone(), field.logical.clone())),
        }
    }
    let differs = |(name, logical): &(String, LogicalType)| {
        found
            .field(name)
            .is_some_and(|field| field.logical != *logical)
    };
    Ok(declared
        .into_iter()
        .filter(differs)
        .map(|(name, logical)| {
            let logical = Node::new(NodeKind::Text(logical.to_string()));
            (name, 0..0, logical)
        })
        .collect())
}

fn step(request: &Request, from: Option<&Version>) -> StepSpec {
    let text = |text: String| Node::new(NodeKind::Text(text));
    let entry = |name: &str, value: String| (name.to_owned(), 0..0, text(value));
    let mut entries = vec![
        entry("schema", request.schema.clone()),
        entry("to", request.to.to_string()),
    ];
    entries.extend(from.map(|from| entry("from", from.to_string())));
    StepSpec {
        name: None,
        verb: "migrate".to_owned(),
        node: Node::new(NodeKind::Table(entries)),
        config: None,
        coerce: false,
        on_error: None,
        span: 0..0,
    }
}
