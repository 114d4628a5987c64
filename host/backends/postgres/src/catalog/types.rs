//! Types as the catalogue has them: a domain's base, an array's element, how one is spelled.

use dkhost_core::{Error, Result};
use tokio_postgres::types::Type;

use super::{DOING, get, oid};
use crate::session::Session;

/// A type with its modifier, such as `numeric(10,2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeDef {
    pub oid: u32,
    /// The modifier as `atttypmod` has it; -1 for none.
    pub modifier: i32,
    /// As `format_type()` spells it: `character varying(30)`, `int4range`, `mood`.
    pub spelled: String,
    /// The type's schema: `pg_catalog`.
    pub schema: String,
    /// The type's own name: `varchar`, `_int4`.
    pub name: String,
    /// `typtype`: b base, c composite, d domain, e enum, p pseudo, r range, m multirange.
    pub kind: char,
    /// `typcategory`: A array, B boolean, N numeric, S string …
    pub category: char,
    /// The element of an array, else `None`.
    pub element: Option<u32>,
    /// Of a domain the type at its bottom, which is no domain.
    pub base: Option<Box<TypeDef>>,
    /// Whether values can be given as text and come as text (a shell type's cannot).
    pub defined: bool,
    /// Whether it has a binary form.
    pub binary: bool,
    /// Whether its values are texts that a collation orders.
    pub collatable: bool,
}

impl TypeDef {
    /// The type itself, or what a domain is made of.
    pub(crate) fn bottom(&self) -> &TypeDef {
        self.base.as_deref().unwrap_or(self)
    }
}

const SQL: &str = "\
WITH RECURSIVE chain(at, level, oid, typmod) AS (
    SELECT u.at, 0, u.oid::oid, u.typmod FROM unnest($1::int8[], $2::int4[]) WITH ORDINALITY AS u(oid, typmod, at)
  UNION ALL
    SELECT c.at, c.level + 1, t.typbasetype, CASE WHEN t.typtypmod <> -1 THEN t.typtypmod ELSE c.typmod END
      FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid WHERE t.typtype = 'd'
)
SELECT c.at, c.level, t.oid::int8, c.typmod, pg_catalog.format_type(t.oid, c.typmod), n.nspname::text,
       t.typname::text, t.typtype::text, t.typcategory::text,
       (CASE WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem ELSE 0 END)::int8,
       t.typisdefined, t.typsend <> 0 AND t.typreceive <> 0, t.typcollation <> 0
  FROM chain c JOIN pg_catalog.pg_type t ON t.oid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE c.level = 0 OR t.typtype <> 'd'
 ORDER BY c.at, c.level";

/// The types with these oids and modifiers, in order.
pub(crate) fn types(session: &mut Session, wanted: &[(u32, i32)]) -> Result<Vec<TypeDef>> {
    let oids: Vec<i64> = wanted.iter().map(|(oid, _)| i64::from(*oid)).collect();
    let modifiers: Vec<i32> = wanted.iter().map(|(_, modifier)| *modifier).collect();
    let rows = session.rows(
        DOING,
        SQL,
        &[(&oids, Type::INT8_ARRAY), (&modifiers, Type::INT4_ARRAY)],
    )?;
    let mut found: Vec<TypeDef> = Vec::with_capacity(wanted.len());
    for row in &rows {
        let letter = |column| Ok::<_, Error>(get::<&str>(row, column)?.chars().next());
        let ty = TypeDef {
            oid: oid(row, 2)?,
            modifier: get(row, 3)?,
            spelled: get(row, 4)?,
            schema: get(row, 5)?,
            name: get(row, 6)?,
            kind: letter(7)?.unwrap_or('b'),
            category: letter(8)?.unwrap_or('X'),
            element: Some(oid(row, 9)?).filter(|element| *element != 0),
            base: None,
            defined: get(row, 10)?,
            binary: get(row, 11)?,
            collatable: get(row, 12)?,
        };
        match (get::<i32>(row, 1)?, found.last_mut()) {
            (0, _) | (_, None) => found.push(ty),
            (_, Some(domain)) => domain.base = Some(Box::new(ty)),
        }
    }
    match found.len() == wanted.len() {
        true => Ok(found),
        false => Err(Error::infrastructure(
            "postgres::type_gone",
            "a column's type was dropped while the catalogue was read",
        )),
    }
}
