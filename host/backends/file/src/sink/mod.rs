//! Writes files.
//!
//! A run never touches the target before it is complete. It grows a hidden file beside it, counts
//! in a log how much of it is committed, and puts it in place with one rename:
//!
//! ```text
//! shape    what is written          place     where, and what may be there already
//! encode   batches to bytes         target    who owns it          part   how far a file is committed
//! writer   one partition            publish   the end of the format, the final name
//! log      the commits, durable     scan      reads back what the target holds
//! stamp    which version of a schema it is of          beside  where text says so
//! ```
//!
//! A single file takes one partition after the other; a folder has a part for each and takes them
//! at once. `upsert` and `skip` need to find a record by its key, which a file cannot.

mod beside;
mod compress;
mod encode;
mod lock;
mod log;
mod manifest;
mod part;
pub mod parts;
mod place;
mod plan;
mod publish;
mod scan;
mod shape;
pub mod stamp;
mod target;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::{
    Capabilities, Claim, Claimed, Conflict, Error, OpenTarget, Partition, Result, Sink, TargetPlan,
    TargetState, Writer,
};

use self::log::State;
use self::place::Place;
use self::shape::Shape;
use self::target::Target;
use self::writer::PartWriter;
use crate::format::Format;
use crate::options::{Layout, TargetOptions};

/// What a target with these options can hold: JSON keeps every document as it is.
pub fn capabilities(options: &TargetOptions) -> Result<Capabilities> {
    let (format, _) = options.file.format_of(options.file.path.as_ref())?;
    let documents = match options.file.layout {
        Layout::Plain => format.is_document(),
        Layout::Dataknobs => format == Format::Json,
    };
    Ok(Capabilities {
        only_one_by_one: false,
        documents,
        evolves: false,
    })
}

pub use self::place::moved_aside;

/// Opens a file or a folder as a target. Nothing is written.
///
/// *Errors* – `target::…` for what cannot become a target: it exists, its folder cannot be written,
/// the conflict mode needs a key.
pub fn open(options: TargetOptions, open: &OpenTarget) -> Result<Box<dyn Sink>> {
    let file = &options.file;
    if matches!(open.conflict, Conflict::Upsert | Conflict::Skip) {
        let word = open.conflict.word();
        return Err(Error::config(
            "target::needs_key_store",
            format!("`on_conflict = \"{word}\"` has to find records by key, and `{}` is a file", file.path),
        )
        .at(file.path_span.clone(), "a file")
        .help("write to `backend = \"sqlite\"`, or say `on_conflict = \"replace-all\"` to write the file anew"));
    }
    let shape = Shape::of(file, open.nulls)?;
    let place = Place::find(&file.path, &open.base, file.path_span.clone())?;
    let mut target = Target::new(
        place,
        shape,
        open.schema.clone(),
        open.conflict,
        open.create,
    );
    target.reshape = open.reshape.clone();
    // A log that cannot be read is reported by `inspect`, when the run that left it matters.
    let left = State::read(&target.place.log()).ok().flatten();
    let ours = left.is_some_and(|state| state.owner.job == open.job && target.is_published(&state));
    target.place.check(open.conflict, open.create, ours)?;
    let plan = plan::plan(&target, open)?;
    Ok(Box::new(FileSink {
        target: Arc::new(target),
        plan,
    }))
}

/// A file or folder that is planned.
struct FileSink {
    target: Arc<Target>,
    plan: TargetPlan,
}

impl Sink for FileSink {
    fn plan(&self) -> &TargetPlan {
        &self.plan
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        self.target.inspect(job)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.target.claim(claim)
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        Ok(Box::new(PartWriter::open(
            self.target.clone(),
            partition.index,
        )?))
    }

    fn count(&self) -> Result<u64> {
        self.make_durable()?;
        scan::count(&self.target)
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        self.make_durable()?;
        scan::scan(&self.target, each)
    }

    fn publish(&self) -> Result<()> {
        publish::publish(&self.target)
    }

    fn retire(&self) -> Result<()> {
        publish::retire(&self.target)
    }
}

impl FileSink {
    fn make_durable(&self) -> Result<()> {
        if self.target.held().is_none() {
            return Ok(());
        }
        self.target.flush()
    }
}
