//! What a memory target holds: a table by name, the one being built beside it, and the run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::{Checkpoint, Field, Result, Schema};

/// A named store, shared by everyone in the process who opens it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Mutex<State>>);

/// Everything a store holds.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What readers see; `None` before the table is created.
    pub visible: Option<Table>,
    /// Under `replace-all`, what will be visible.
    pub staged: Option<Table>,
    pub run: Option<Run>,
    /// Highest epoch ever claimed.
    pub epoch: u64,
}

/// The run that owns the store.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub job: String,
    pub run: String,
    pub plan_hash: String,
    pub checkpoints: BTreeMap<u32, Checkpoint>,
    pub published: bool,
    /// Whether the table held nothing of anybody else when the run began.
    pub fresh: bool,
}

impl Store {
    /// The store of this name; made if there is none.
    pub fn open(name: &str) -> Self {
        static STORES: OnceLock<Mutex<HashMap<String, Store>>> = OnceLock::new();
        let stores = STORES.get_or_init(Mutex::default);
        let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores
            .entry(name.to_owned())
            .or_insert_with(|| Store(Arc::default()))
            .clone()
    }

    /// The rows a reader sees, in the order written; `None` if there is no table.
    pub fn rows(&self) -> Result<Option<RecordBatch>> {
        self.state()
            .visible
            .as_ref()
            .map(Table::records)
            .transpose()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half-done under the lock: a commit replaces whole values.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows, one batch each: slow, plain, and obviously right.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub schema: Schema,
    arrow: SchemaRef,
    rows: Vec<RecordBatch>,
    /// Where the row with a key is.
    keys: HashMap<OwnedRow, usize>,
}

impl Table {
    pub fn new(schema: &Schema) -> Self {
        Table {
            schema: schema.clone(),
            arrow: schema.to_arrow(),
            rows: Vec::new(),
            keys: HashMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn records(&self) -> Result<RecordBatch> {
        Ok(concat_batches(&self.arrow, &self.rows)?)
    }

    /// The same rows under another key: that of the plan at hand.
    pub fn keyed(mut self, key: &[String]) -> Result<Self> {
        for field in &mut self.schema.fields {
            field.key = key
                .iter()
                .position(|name| *name == field.name)
                .map(|place| place as u32);
        }
        self.arrow = self.schema.to_arrow();
        self.keys.clear();
        for (place, row) in self.rows.iter_mut().enumerate() {
            *row = row.clone().with_schema(self.arrow.clone())?;
            if let Some(Some(key)) = keys_of(&self.schema, row)?.pop() {
                self.keys.insert(key, place);
            }
        }
        Ok(self)
    }

    pub fn find(&self, key: Option<&OwnedRow>) -> Option<&RecordBatch> {
        self.keys.get(key?).map(|place| &self.rows[*place])
    }

    pub fn append(&mut self, key: Option<OwnedRow>, row: RecordBatch) {
        if let Some(key) = key {
            self.keys.insert(key, self.rows.len());
        }
        self.rows.push(row);
    }

    pub fn replace(&mut self, key: &OwnedRow, row: RecordBatch) {
        if let Some(place) = self.keys.get(key) {
            self.rows[*place] = row;
        }
    }

    /// Adds columns that are not there yet, null in every row.
    pub fn add_columns(&mut self, columns: &[Field]) -> Result<()> {
        let new = columns
            .iter()
            .filter(|column| self.schema.index_of(&column.name).is_none());
        let fields: Vec<Field> = self.schema.fields.iter().chain(new).cloned().collect();
        self.schema = Schema::new(fields);
        self.arrow = self.schema.to_arrow();
        for row in &mut self.rows {
            let nulls = self.arrow.fields().iter().skip(row.num_columns());
            let nulls: Vec<ArrayRef> = nulls
                .map(|field| new_null_array(field.data_type(), 1))
                .collect();
            let columns = row.columns().iter().cloned().chain(nulls).collect();
            *row = RecordBatch::try_new(self.arrow.clone(), columns)?;
        }
        Ok(())
    }
}

/// The key of every row; `None` without a key and where a part of it is null.
pub(super) fn keys_of(schema: &Schema, records: &RecordBatch) -> Result<Vec<Option<OwnedRow>>> {
    let columns: Vec<ArrayRef> = schema
        .key()
        .into_iter()
        .map(|i| records.column(i).clone())
        .collect();
    if columns.is_empty() {
        return Ok(vec![None; records.num_rows()]);
    }
    let sort_fields = columns
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let keys = RowConverter::new(sort_fields.collect())?.convert_columns(&columns)?;
    let key = |row| {
        columns
            .iter()
            .all(|column| column.is_valid(row))
            .then(|| keys.row(row).owned())
    };
    Ok((0..records.num_rows()).map(key).collect())
}
