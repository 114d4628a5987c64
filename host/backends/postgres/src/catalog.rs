//! What a database says about its tables: columns and their types, keys, unique indexes, sizes.
//!
//! Everything is asked once, with plain queries that need no right beyond that of seeing the
//! catalogue, and told in our own words; nobody else reads `pg_catalog`. What a type becomes is
//! not decided here (see [`crate::kind`]).
//!
//! *Source* – "System Catalogs" (pg_class, pg_attribute, pg_type, pg_index, pg_collation).

mod names;
mod types;

use dkhost_core::{Error, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::name::quote;
use crate::session::Session;

pub(crate) use names::{Name, no_table};
pub(crate) use types::{TypeDef, types};

/// The schema our checkpoints are in; never offered as a source or target.
pub(crate) const OUR_SCHEMA: &str = "dkhost";

/// What kind of relation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Partitioned,
    View,
    Materialized,
    Foreign,
}

impl Kind {
    /// For people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Table | Kind::Partitioned => "table",
            Kind::View => "view",
            Kind::Materialized => "materialized view",
            Kind::Foreign => "foreign table",
        }
    }
}

/// How the texts of a column are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collation {
    /// Its name; `default` for the database's.
    pub name: String,
    /// Whether only equal bytes are equal.
    pub deterministic: bool,
    /// Whether texts are ordered by their bytes, as `COLLATE "C"` does.
    pub bytewise: bool,
}

/// A column as declared.
#[derive(Debug, Clone)]
pub(crate) struct ColumnDef {
    pub name: String,
    pub ty: TypeDef,
    /// `None` for types that have none.
    pub collation: Option<Collation>,
    pub not_null: bool,
    pub has_default: bool,
    /// `GENERATED … AS IDENTITY`.
    pub identity: Option<Identity>,
    /// `GENERATED ALWAYS AS (…)`: computed, cannot be written.
    pub generated: bool,
    pub has_comment: bool,
}

impl ColumnDef {
    /// What a column of the same type and name would not have, in a word each.
    pub(crate) fn beside_its_type(&self) -> Vec<String> {
        let collation = self.collation.as_ref();
        let own = collation
            .filter(|own| own.name != "default" && !crate::kind::is_name(self.ty.bottom()));
        let all = [
            self.has_default.then(|| "default".to_owned()),
            self.identity.map(|_| "identity".to_owned()),
            self.generated.then(|| "generated expression".to_owned()),
            own.map(|own| format!("collation \"{}\"", own.name)),
            self.has_comment.then(|| "comment".to_owned()),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Whether an identity column takes a value that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Only with `OVERRIDING SYSTEM VALUE`.
    Always,
    ByDefault,
}

/// A valid unique index.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    /// The columns in key order; `None` where it is an expression.
    pub columns: Vec<Option<String>>,
    /// Whether each column is compared by bytes or by a deterministic collation, so that the index
    /// tells apart whatever is different.
    pub exact: bool,
    pub primary: bool,
    /// It holds for some rows only.
    pub partial: bool,
    /// Checked at the end of a transaction: no arbiter of `ON CONFLICT`.
    pub deferrable: bool,
}

impl Unique {
    /// The columns, if it is a plain key of columns that holds for every row.
    pub(crate) fn plain(&self) -> Option<Vec<&str>> {
        match self.partial {
            true => None,
            false => self.columns.iter().map(Option::as_deref).collect(),
        }
    }

    /// Whether it is a plain key over exactly `names`, in any order.
    pub(crate) fn is_over(&self, names: &[&str]) -> bool {
        self.plain().is_some_and(|columns| {
            columns.len() == names.len() && columns.iter().all(|column| names.contains(column))
        })
    }
}

/// A table, view, materialized view or foreign table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: Kind,
    pub columns: Vec<ColumnDef>,
    /// Valid unique indexes, the primary key first.
    pub unique: Vec<Unique>,
    /// Rows as the server last counted them; `None` when it never did. Of a partitioned table all
    /// partitions together.
    pub rows: Option<u64>,
    /// Blocks as the server last counted them, partitions included.
    pub pages: u64,
    /// Bytes of a block.
    pub page_bytes: u64,
    /// The file its rows are in; changes when it is rewritten. 0 for what has none.
    pub filenode: u32,
    /// Triggers that are not the server's own.
    pub triggers: u32,
    /// Tables that inherit from it or are its partitions.
    pub children: u32,
    /// Whether row security hides rows from whoever is connected.
    pub row_security: bool,
    /// The name in SQL of what a crash of the server empties: the table itself if it is `UNLOGGED`,
    /// or the first such partition.
    pub unlogged: Option<String>,
}

impl Table {
    /// The relation called `name`; `None` when there is none.
    ///
    /// *Errors* – what the server says; never that it is absent.
    pub(crate) fn find(session: &mut Session, name: &Name) -> Result<Option<Self>> {
        match name.resolve(session)? {
            Some(oid) => Self::by_oid(session, oid),
            None => Ok(None),
        }
    }

    /// The relation with this oid; `None` when it is gone.
    pub(crate) fn by_oid(session: &mut Session, oid: u32) -> Result<Option<Self>> {
        let rows = session.rows(DOING, TABLE_SQL, &[(&i64::from(oid), Type::INT8)])?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut table = head(row)?;
        table.columns = columns(session, oid)?;
        table.unique = unique(session, oid)?;
        Ok(Some(table))
    }

    /// The column called exactly so.
    pub(crate) fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The primary key's columns, in key order; empty without one.
    pub(crate) fn primary_key(&self) -> Vec<&str> {
        let primary = self.unique.iter().find(|unique| unique.primary);
        primary.and_then(Unique::plain).unwrap_or_default()
    }

    /// A plain unique index over exactly `names`, in any order; one that `ON CONFLICT` takes first.
    pub(crate) fn unique_on(&self, names: &[&str]) -> Option<&Unique> {
        let over = || self.unique.iter().filter(|unique| unique.is_over(names));
        over().find(|unique| !unique.deferrable).or(over().next())
    }

    /// The name as it stands in SQL: `"crm"."customers"`.
    pub(crate) fn sql(&self) -> Result<String> {
        Ok(format!("{}.{}", quote(&self.schema)?, quote(&self.name)?))
    }

    /// For people: "table `crm.customers`".
    pub(crate) fn label(&self) -> String {
        match self.schema.as_str() {
            "public" => format!("{} `{}`", self.kind.word(), self.name),
            schema => format!("{} `{schema}.{}`", self.kind.word(), self.name),
        }
    }
}

const DOING: &str = "read the catalogue";

/// `to_jsonb(…) ->>` asks for columns that older servers do not have.
const TABLE_SQL: &str = "\
WITH RECURSIVE tree(oid) AS (
    SELECT $1::oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree t ON t.oid = i.inhparent
)
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
       (SELECT sum(l.reltuples) FILTER (WHERE l.reltuples > 0 OR (l.reltuples = 0 AND l.relpages > 0))::float8
          FROM tree JOIN pg_catalog.pg_class l USING (oid)),
       (SELECT coalesce(sum(l.relpages), 0)::int8 FROM tree JOIN pg_catalog.pg_class l USING (oid)),
       current_setting('block_size')::int8, c.relfilenode::int8,
       (SELECT count(*) FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
       (SELECT count(*) - 1 FROM tree),
       pg_catalog.row_security_active(c.oid),
       (SELECT min(quote_ident(s.nspname) || '.' || quote_ident(l.relname))
          FROM tree JOIN pg_catalog.pg_class l USING (oid) JOIN pg_catalog.pg_namespace s ON s.oid = l.relnamespace
         WHERE l.relpersistence = 'u' AND l.relkind = 'r' AND (c.relkind = 'p' OR l.oid = c.oid))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = $1::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

const COLUMNS_SQL: &str = "\
SELECT a.attname::text, a.atttypid::int8, a.atttypmod, l.collname::text,
       coalesce((to_jsonb(l) ->> 'collisdeterministic')::bool, true),
       l.collname IN ('C', 'POSIX', 'ucs_basic')
         OR (l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
             AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'),
       a.attnotnull, a.atthasdef, coalesce(to_jsonb(a) ->> 'attidentity', ''),
       coalesce(to_jsonb(a) ->> 'attgenerated', ''), pg_catalog.col_description(a.attrelid, a.attnum) IS NOT NULL
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_database d ON d.datname = current_database()
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum";

const UNIQUE_SQL: &str = "\
SELECT x.relname::text, i.indisprimary, i.indpred IS NOT NULL, NOT i.indimmediate,
       k.at::int4, a.attname::text, coalesce((to_jsonb(l) ->> 'collisdeterministic')::bool, true)
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
 CROSS JOIN LATERAL generate_series(0, coalesce((to_jsonb(i) ->> 'indnkeyatts')::int4, i.indnatts::int4) - 1) AS k(at)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.at] AND i.indkey[k.at] <> 0
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = i.indcollation[k.at]
 WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indisready
 ORDER BY i.indisprimary DESC, x.relname, k.at";

/// A value of a row; that its type is another is our mistake.
fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    row.try_get(column)
        .map_err(|cause| Error::bug("the catalogue answers in another type").caused_by(cause))
}

fn oid(row: &Row, column: usize) -> Result<u32> {
    Ok(get::<i64>(row, column)? as u32)
}

fn head(row: &Row) -> Result<Table> {
    let kind = match get::<&str>(row, 3)? {
        "p" => Kind::Partitioned,
        "v" => Kind::View,
        "m" => Kind::Materialized,
        "f" => Kind::Foreign,
        _ => Kind::Table,
    };
    Ok(Table {
        oid: oid(row, 0)?,
        schema: get(row, 1)?,
        name: get(row, 2)?,
        kind,
        columns: Vec::new(),
        unique: Vec::new(),
        rows: get::<Option<f64>>(row, 4)?.map(|rows| rows as u64),
        pages: get::<i64>(row, 5)?.max(0) as u64,
        page_bytes: get::<i64>(row, 6)?.max(1) as u64,
        filenode: oid(row, 7)?,
        triggers: get::<i64>(row, 8)? as u32,
        children: get::<i64>(row, 9)? as u32,
        row_security: get(row, 10)?,
        unlogged: get(row, 11)?,
    })
}

fn columns(session: &mut Session, oid: u32) -> Result<Vec<ColumnDef>> {
    let rows = session.rows(DOING, COLUMNS_SQL, &[(&i64::from(oid), Type::INT8)])?;
    let wanted: Vec<(u32, i32)> = rows
        .iter()
        .map(|row| Ok((self::oid(row, 1)?, get(row, 2)?)))
        .collect::<Result<_>>()?;
    let types = types(session, &wanted)?;
    rows.iter()
        .zip(types)
        .map(|(row, ty)| column(row, ty))
        .collect()
}

fn column(row: &Row, ty: TypeDef) -> Result<ColumnDef> {
    let collation = match get::<Option<String>>(row, 3)? {
        None => None,
        Some(name) => Some(Collation {
            name,
            deterministic: get(row, 4)?,
            bytewise: get(row, 5)?,
        }),
    };
    let generated = !get::<&str>(row, 9)?.is_empty();
    Ok(ColumnDef {
        name: get(row, 0)?,
        ty,
        collation,
        not_null: get(row, 6)?,
        has_default: get::<bool>(row, 7)? && !generated,
        identity: match get::<&str>(row, 8)? {
            "a" => Some(Identity::Always),
            "d" => Some(Identity::ByDefault),
            _ => None,
        },
        generated,
        has_comment: get(row, 10)?,
    })
}

fn unique(session: &mut Session, oid: u32) -> Result<Vec<Unique>> {
    let rows = session.rows(DOING, UNIQUE_SQL, &[(&i64::from(oid), Type::INT8)])?;
    let mut found: Vec<Unique> = Vec::new();
    for row in &rows {
        if get::<i32>(row, 4)? == 0 {
            found.push(Unique {
                columns: Vec::new(),
                exact: true,
                primary: get(row, 1)?,
                partial: get(row, 2)?,
                deferrable: get(row, 3)?,
            });
        }
        if let Some(unique) = found.last_mut() {
            unique.columns.push(get(row, 5)?);
            unique.exact &= get::<bool>(row, 6)?;
        }
    }
    Ok(found)
}
