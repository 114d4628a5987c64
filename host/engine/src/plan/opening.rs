//! Opening the source: what it is asked to leave out itself, and what is left to do behind it.
//!
//! What selects records (`filter`, `incremental`, `partitions` by values) can only be checked against
//! the source's schema, so a source that selects itself is opened twice: first for its columns,
//! then with the cursor, the parts of the filter that have the form of a [`Predicate`], and only the
//! columns somebody looks at. What it takes is left out of the plan's stages; records that do not
//! pass there are not read, and count nowhere.

use chrono::{DateTime, Utc};
use dkhost_core::{
    Backend, Capabilities, Conflict, Error, Incremental, LogicalType, Lookback, Node, NodeKind,
    OpenSource, Predicate, Result, Schema, Source, SourceCapabilities,
};

use super::known_column;
use crate::expr::{Expression, Scope};
use crate::job::{IncrementalSettings, Job};

/// A source that is open, and what of the job's `[source]` is left to the stages.
pub(super) struct Opened {
    pub source: Box<dyn Source>,
    /// What the source does not check itself.
    pub filter: Option<Expression>,
    /// Parts of the filter the source checks, as they were written.
    pub pushed: Vec<String>,
    /// Whether it yields columns that only the filter or the key needs.
    pub yields_more: bool,
}

/// What a source is opened for.
pub(super) struct Opening<'a> {
    pub job: &'a Job,
    pub backend: &'a dyn Backend,
    pub target: Capabilities,
    pub incremental: Option<Incremental>,
    pub now: DateTime<Utc>,
}

/// What is asked of a source beyond reading everything.
enum Asked<'a> {
    /// To tell its columns.
    Nothing,
    /// What the job says, and these parts of its filter.
    All(&'a [Predicate]),
}

impl Opening<'_> {
    /// Opens the source.
    pub fn open(&self) -> Result<Opened> {
        refuse(self.job, self.backend)?;
        let from = &self.job.source;
        let opened = match from.filter.is_some() || !self.reads_plainly() {
            true => self.selected()?,
            false => Opened {
                source: self.source(self.wanted(), Asked::Nothing)?,
                filter: None,
                pushed: Vec::new(),
                yields_more: false,
            },
        };
        for name in &from.key.0 {
            known_column(name, opened.source.schema(), &from.key.1, "the key")?;
        }
        Ok(opened)
    }

    /// Whether every record is read, in slices of the source's own.
    fn reads_plainly(&self) -> bool {
        self.job.source.incremental.is_none() && self.job.source.partition_by.is_none()
    }

    fn wanted(&self) -> Option<Vec<String>> {
        let columns = self.job.source.columns.as_ref();
        columns.map(|(columns, _)| columns.clone())
    }

    fn source(&self, columns: Option<Vec<String>>, asked: Asked<'_>) -> Result<Box<dyn Source>> {
        let (job, from) = (self.job, &self.job.source);
        let (filter, incremental, by) = match asked {
            Asked::Nothing => (&[][..], None, None),
            Asked::All(filter) => {
                let by = from.partition_by.as_ref().filter(|_| from.limit.is_none());
                (filter, self.incremental.clone(), by)
            }
        };
        let open = OpenSource {
            base: job.base.clone(),
            batch: job.run.batch,
            columns,
            key: from.key.0.clone(),
            partitions: match from.limit {
                Some(_) => 1,
                None => from.partitions.unwrap_or(job.run.parallel),
            },
            explicit_nulls: self.target.documents,
            filter: filter.to_vec(),
            incremental,
            partition_by: by.map(|by| (by.column.0.clone(), by.values.clone())),
            repeatable: matches!(job.target.conflict.0, Conflict::Upsert | Conflict::Skip),
            in_place: job.in_place,
        };
        self.backend
            .open_source(from.options.clone(), &open)
            .map_err(|error| error.at_least(from.backend.1.clone()))
    }

    fn selected(&self) -> Result<Opened> {
        // A filter may look at columns that do not go on; they are left out behind it.
        let source = self.source(None, Asked::Nothing)?;
        self.check_columns(source.as_ref())?;
        let parts = self.parts(source.schema())?;
        let offers: Vec<Option<Predicate>> = match self.backend.source_capabilities() {
            SourceCapabilities { filters: true, .. } => parts
                .iter()
                .map(|part| part.predicate(source.schema()))
                .collect(),
            _ => vec![None; parts.len()],
        };
        if self.reads_plainly() && offers.iter().all(Option::is_none) {
            return Ok(Opened {
                filter: self.remaining(parts, true, source.schema())?,
                source,
                pushed: Vec::new(),
                yields_more: self.wanted().is_some(),
            });
        }
        let schema = source.schema().clone();
        // Two connections to one store may be one too many.
        drop(source);
        self.narrowed(&schema, parts, &offers)
    }

    /// The columns by which is read, among all there are.
    fn check_columns(&self, source: &dyn Source) -> Result<()> {
        let schema = source.schema();
        if let Some(incremental) = &self.job.source.incremental {
            let (name, span) = &incremental.column;
            let cursors = source.cursors();
            let along = match cursors.is_empty() {
                true => schema.clone(),
                false => Schema::new(cursors),
            };
            known_column(name, &along, span, "`incremental`")?;
            if let Some(field) = along.field(name) {
                grows(incremental, &field.logical)?;
            }
        }
        match &self.job.source.partition_by {
            Some(by) => known_column(&by.column.0, schema, &by.column.1, "`partitions`"),
            None => Ok(()),
        }
    }

    /// Opens the source with the parts it may check, and without columns nobody looks at.
    fn narrowed(
        &self,
        whole: &Schema,
        parts: Vec<Expression>,
        offers: &[Option<Predicate>],
    ) -> Result<Opened> {
        let filter: Vec<Predicate> = offers.iter().flatten().cloned().collect();
        let mut left: Vec<bool> = offers.iter().map(Option::is_none).collect();
        loop {
            let columns = self.columns(whole, &parts, &left);
            let source = self.source(columns.clone(), Asked::All(&filter))?;
            same_types(whole, source.schema())?;
            let taken = source.pushed();
            let mut offered = 0..;
            let now_left: Vec<bool> = offers
                .iter()
                .map(|offer| {
                    offer.is_none() || !offered.next().is_some_and(|index| taken.contains(&index))
                })
                .collect();
            if self.columns(whole, &parts, &now_left) != columns && now_left != left {
                // It took less than it was offered, and the rest needs columns of its own.
                left = now_left;
                continue;
            }
            let (kept, gone): (Vec<_>, Vec<_>) = parts
                .into_iter()
                .zip(&now_left)
                .partition(|(_, left)| **left);
            let kept: Vec<Expression> = kept.into_iter().map(|(part, _)| part).collect();
            return Ok(Opened {
                filter: self.remaining(kept, gone.is_empty(), source.schema())?,
                pushed: gone
                    .iter()
                    .map(|(part, _)| part.text().to_owned())
                    .collect(),
                yields_more: columns != self.wanted(),
                source,
            });
        }
    }

    /// The wanted columns, and behind them those that a filter's remaining parts and the key need.
    fn columns(&self, whole: &Schema, parts: &[Expression], left: &[bool]) -> Option<Vec<String>> {
        let mut columns = self.wanted()?;
        if parts.is_empty() {
            return Some(columns);
        }
        let read = parts.iter().zip(left).filter(|(_, left)| **left);
        let read = read.flat_map(|(part, _)| part.columns());
        for name in self.job.source.key.0.iter().chain(read) {
            let is_data = whole.field(name).is_some_and(|field| field.role.is_none());
            if is_data && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        Some(columns)
    }

    fn scope<'a>(&self, input: &'a Schema) -> Scope<'a> {
        Scope::stage("source.filter", input).at(self.now)
    }

    fn parts(&self, input: &Schema) -> Result<Vec<Expression>> {
        match self.filter() {
            Some(node) => Expression::parse_parts(&node, &self.scope(input)),
            None => Ok(Vec::new()),
        }
    }

    /// The stage of the parts that are left; as it was written where those are `all`.
    fn remaining(
        &self,
        parts: Vec<Expression>,
        all: bool,
        input: &Schema,
    ) -> Result<Option<Expression>> {
        match self.filter() {
            Some(node) if all => Expression::parse_condition(&node, &self.scope(input)).map(Some),
            _ => Expression::all_of(&parts, &self.scope(input)),
        }
    }

    fn filter(&self) -> Option<Node> {
        let (filter, span) = self.job.source.filter.as_ref()?;
        Some(Node {
            span: span.clone(),
            kind: NodeKind::Text(filter.clone()),
        })
    }
}

/// Refuses what the backend cannot do, or what would not come out right in this target.
fn refuse(job: &Job, backend: &dyn Backend) -> Result<()> {
    let can = backend.source_capabilities();
    if let Some(by) = &job.source.partition_by
        && !can.partitions_by_values
    {
        return Err(Error::config(
            "plan::no_slices_by_values",
            format!(
                "a {} source cannot be sliced by the values of a column",
                backend.name()
            ),
        )
        .at(by.span.clone(), "not with this source")
        .help("a number or \"auto\" works with every source"));
    }
    let Some(incremental) = &job.source.incremental else {
        return Ok(());
    };
    if !can.incremental {
        return Err(Error::config(
            "plan::not_incremental",
            format!("a {} source cannot tell what changed since the last run", backend.name()),
        )
        .at(incremental.span.clone(), "not with this source")
        .help("leave it out: every run then reads all, and on_conflict = \"upsert\" or \"skip\" takes the records a second time"));
    }
    let why = match job.target.conflict.0 {
        Conflict::Upsert | Conflict::Skip => return Ok(()),
        Conflict::Insert => {
            "records at the cursor are read again, and on_conflict = \"insert\" takes none twice"
        }
        Conflict::ReplaceAll => {
            "on_conflict = \"replace-all\" would leave only what changed in the target"
        }
    };
    Err(Error::config(
        "plan::incremental_conflict",
        format!("`incremental` does not go with this target: {why}"),
    )
    .at(incremental.span.clone(), "reads only what changed")
    .help("use on_conflict = \"upsert\", or \"skip\" where records never change, with a key"))
}

/// Refuses a column without an order that means anything, and a lookback in another measure.
fn grows(incremental: &IncrementalSettings, logical: &LogicalType) -> Result<()> {
    let (name, span) = &incremental.column;
    let is_time = matches!(logical, LogicalType::Date32 | LogicalType::Timestamp(_));
    let is_text = matches!(logical, LogicalType::Utf8 | LogicalType::Uuid);
    if !is_time && !is_text && !logical.is_numeric() {
        return Err(Error::config(
            "plan::incremental_type",
            format!("`{name}` is {logical}, and of such values none is the last"),
        )
        .at(span.clone(), "no cursor")
        .help("name a column that grows with every change: a timestamp, a date, a number"));
    }
    let Some((lookback, span)) = &incremental.lookback else {
        return Ok(());
    };
    let fits = match Lookback::parse(lookback) {
        Some(Lookback::Time(_)) => is_time,
        Some(Lookback::Number(_)) => logical.is_numeric(),
        None => false,
    };
    if fits {
        return Ok(());
    }
    let wanted = match (is_time, logical.is_numeric()) {
        (true, _) => "write it as a length of time: \"10m\", \"2h\", \"1d\"",
        (_, true) => "write it as a number: lookback = 1000",
        _ => "leave it out: nothing can be taken from a text",
    };
    Err(Error::config(
        "plan::incremental_type",
        format!("a lookback of `{lookback}` says nothing about `{name}`, which is {logical}"),
    )
    .at(span.clone(), "of another measure")
    .help(wanted))
}

/// Between two openings somebody may alter the store.
fn same_types(before: &Schema, now: &Schema) -> Result<()> {
    let changed = now.fields.iter().find(|field| {
        field.role.is_none()
            && before
                .field(&field.name)
                .is_none_or(|old| old.logical != field.logical)
    });
    match changed {
        None => Ok(()),
        Some(field) => Err(Error::data(
            "source::changed",
            format!(
                "the column `{}` changed while the plan was made",
                field.name
            ),
        )
        .help("run the same command again")),
    }
}
