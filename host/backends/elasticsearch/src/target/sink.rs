//! The target as a whole: counted, scanned, retired. How it is claimed is in [`super::claim`], how
//! published in [`super::swap`].

use std::sync::Arc;

use arrow::array::RecordBatch;
use dkhost_core::takeover::LastLook;
use dkhost_core::{Claim, Claimed, Partition, Result, Sink, TargetPlan, TargetState, Writer, fail};
use serde_json::{Value as Json, json};

use super::answers::page;
use super::store::Owner;
use super::writer::ElasticsearchWriter;
use super::{Target, claim, place, swap};
use crate::client::{Client, Request};

/// Documents of a page.
const PAGE: usize = 1000;
/// Rows given on together; fewer where they are large.
const ROWS: usize = 8192;
const BYTES: usize = 8 << 20;
/// How long the server keeps what a scan sees, from page to page.
const KEPT: &str = "10m";

/// An open target.
pub(super) struct ElasticsearchSink {
    target: Arc<Target>,
    seen: LastLook,
}

impl ElasticsearchSink {
    pub(super) fn new(target: Target) -> Self {
        ElasticsearchSink {
            target: Arc::new(target),
            seen: LastLook::default(),
        }
    }

    /// The index to read back from, every document of it visible.
    fn visible(&self) -> Result<String> {
        let target = &self.target;
        let held = target.held()?;
        if let Some((owner, _)) = target.store.owner()?
            && (&owner.run, owner.epoch) != (&held.run, held.epoch)
        {
            return Err(target.store.fenced(&held.run, held.epoch));
        }
        place::refresh(&target.client, &held.index)?;
        Ok(held.index)
    }

    fn read(&self, index: &str, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let client = &self.target.client;
        let mut pages = Pages {
            client,
            doing: format!("read back index {index}"),
            next: None,
        };
        let mut back = self.target.layout.back();
        loop {
            let found = pages.next(index, &mut |id, text| back.push(id, text.as_bytes()))?;
            let full = back.rows() + PAGE > ROWS || back.bytes() > BYTES;
            if back.rows() > 0 && (full || found == 0) {
                each(back.finish()?)?;
            }
            if found == 0 {
                return Ok(());
            }
        }
    }
}

/// Pages of all documents as they are at the first.
struct Pages<'a> {
    client: &'a Client,
    doing: String,
    next: Option<String>,
}

impl Pages<'_> {
    /// Gives the next documents to `each` and says how many there were.
    fn next(
        &mut self,
        index: &str,
        each: &mut dyn FnMut(&str, &str) -> Result<()>,
    ) -> Result<usize> {
        let request = match &self.next {
            None => Request::post(
                &self.doing,
                format!("{}/_search", crate::client::segment(index)),
            )
            .with("scroll", KEPT)
            .json(&json!({"size": PAGE, "sort": ["_doc"], "query": {"match_all": {}}})),
            Some(next) => Request::post(&self.doing, "_search/scroll")
                .json(&json!({"scroll": KEPT, "scroll_id": next})),
        };
        let answer = self.client.ask(&request)?;
        let (found, next) = page(&answer, &self.doing, each)?;
        self.next = next.or(self.next.take());
        Ok(found)
    }
}

impl Drop for Pages<'_> {
    fn drop(&mut self) {
        // The server forgets it on its own, later.
        if let Some(next) = &self.next {
            let request = Request::delete(&self.doing, "_search/scroll");
            let _ = self
                .client
                .send(&request.json(&json!({"scroll_id": [next]})));
        }
    }
}

impl Sink for ElasticsearchSink {
    fn plan(&self) -> &TargetPlan {
        self.target.plan()
    }

    fn inspect(&self, job: &str) -> Result<Option<TargetState>> {
        let _ = job;
        let mut state = self.target.store.state()?;
        if let Some(state) = state.as_mut().filter(|state| !state.published) {
            let owner = swap::owner(&self.target)?;
            state.published = owner.is_some_and(|(owner, _)| owner.published);
        }
        self.seen.note(state.as_ref());
        Ok(state)
    }

    fn claim(&self, claim: &Claim) -> Result<Claimed> {
        claim::claim(&self.target, &self.seen, claim)
    }

    fn writer(&self, partition: &Partition) -> Result<Box<dyn Writer>> {
        let writer = ElasticsearchWriter::open(Arc::clone(&self.target), partition.index)?;
        Ok(Box::new(writer))
    }

    fn count(&self) -> Result<u64> {
        let index = self.visible()?;
        place::count(&self.target.client, &index)
    }

    fn scan(&self, each: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let index = self.visible()?;
        self.read(&index, each)
    }

    fn publish(&self) -> Result<()> {
        swap::publish(&self.target)
    }

    fn retire(&self) -> Result<()> {
        let target = &self.target;
        let claimed = target.held().ok();
        let is_ours = |owner: &Owner| match &claimed {
            Some(held) => (&owner.run, owner.epoch) == (&held.run, held.epoch),
            None => owner.published,
        };
        let Some((owner, seat)) = swap::owner(target)?.filter(|(owner, _)| is_ours(owner)) else {
            return Ok(());
        };
        // The run is forgotten last: until then the next one knows what to sweep.
        if !owner.published {
            place::put_settings(
                &target.client,
                &owner.index,
                &Json::Object(owner.before.clone()),
            )?;
        }
        fail::point("elasticsearch.retire.settings-back")?;
        claim::drop_aliases(target, &owner.index)?;
        for (part, _) in target.store.parts()? {
            target.store.forget_part(part.partition)?;
        }
        target.store.sweep_pages()?;
        fail::point("elasticsearch.retire.parts-forgotten")?;
        target.store.forget_owner(seat)?;
        fail::point("elasticsearch.retire.forgotten")
    }
}
