//! What a migration makes of a table: its columns, the rules it checks itself, its stamp.
//!
//! All of it is decided from the catalogue when the plan is made, tried on a temporary copy, and
//! told in the plan statement by statement. Rows are collected in a table that has the new shape
//! already; the table itself is altered when it is emptied, in the transaction that fills it again
//! ([`super::publish`]), so that there is the old table or the new one, whole.
//!
//! | part | what it decides |
//! |---|---|
//! | [`changes`] | which columns are dropped, renamed, retyped, added |
//! | [`rules`] | which constraints go and come |
//! | [`hanging`] | what hangs on the columns: is told, or refuses the migration |
//!
//! *Source* – PostgreSQL 15, "ALTER TABLE", "Dependency Tracking".

mod changes;
mod hanging;
mod rules;

use dkhost_core::{Error, OpenTarget, Reshape, Result, Stamp};

use super::plan::LOOKING;
use super::{Target, sql};
use crate::catalog::Table;
use crate::name::{literal, quote};
use crate::session::Session;
use changes::Change;
use rules::{Known, Rule};

/// What publishing makes of a table beside its rows.
pub(super) struct Reshaped {
    schema: String,
    version: String,
    /// Constraints of an earlier version, which go.
    gone: Vec<Known>,
    /// What is altered, in order.
    changes: Vec<Change>,
    /// Constraints that come.
    rules: Vec<Rule>,
    /// Constraints of ours that stay as they are.
    kept: Vec<String>,
    /// What else goes with dropped columns, in words.
    goes_along: Vec<String>,
    /// For the plan: what is not done, and what is to be known.
    pub notes: Vec<String>,
}

impl Reshaped {
    /// Only another stamp: the records of a store are documents.
    pub(super) fn of_documents(reshape: &Reshape) -> Self {
        let mut reshaped = Reshaped::nothing(reshape);
        if !reshape.constraints.is_empty() {
            reshaped.notes.push(
                "the table does not check the schema's rules itself, as its records are documents"
                    .to_owned(),
            );
        }
        reshaped
    }

    fn nothing(reshape: &Reshape) -> Self {
        Reshaped {
            schema: reshape.schema.clone(),
            version: reshape.version.clone(),
            gone: Vec::new(),
            changes: Vec::new(),
            rules: Vec::new(),
            kept: Vec::new(),
            goes_along: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What becomes of a table that is there, and how it looks afterwards.
    ///
    /// *Errors* – what cannot be kept is named: `postgres::depends`, `postgres::inherits`,
    /// `postgres::name_taken`, `postgres::cannot_alter`, `postgres::denied`.
    pub(super) fn of_table(
        session: &mut Session,
        table: &Table,
        reshape: &Reshape,
        open: &OpenTarget,
    ) -> Result<(Self, Table)> {
        let mut reshaped = Reshaped::nothing(reshape);
        let columns = changes::find(session, table, reshape, open)?;
        let known = rules::known(session, table, &reshape.schema)?;
        let wanted = rules::wanted(table, &columns, reshape, open, &mut reshaped.notes)?;
        reshaped.goes_along = hanging::check(session, table, &columns)?;
        reshaped.changes = columns.changes;
        reshaped.sort_out(known, wanted, table)?;
        hanging::check_names(session, table, &reshaped.rules, &reshaped.gone)?;
        if reshaped.alters() {
            hanging::check_owner(session, table, reshaped.rules.iter().any(Rule::is_unique))?;
        }
        if table.triggers > 0 && !reshaped.changes.is_empty() {
            reshaped.notes.push(format!(
                "functions of the triggers of {} are not looked into: see that they know the columns by their new names",
                table.label()
            ));
        }
        let after = reshaped.draft(session, table)?;
        Ok((reshaped, after))
    }

    /// What is made beside a table that is not there yet: the rules it checks itself.
    pub(super) fn of_new(reshape: &Reshape, open: &OpenTarget) -> Result<Self> {
        let mut reshaped = Reshaped::nothing(reshape);
        reshaped.rules = rules::for_new(reshape, open, &mut reshaped.notes)?;
        Ok(reshaped)
    }

    /// Which constraints go, come and stay.
    fn sort_out(&mut self, known: Vec<Known>, wanted: Vec<Rule>, table: &Table) -> Result<()> {
        for rule in wanted {
            match known.iter().find(|known| known.name == rule.name) {
                Some(there) if !there.is_ours => return Err(rules::taken(table, &rule.name)),
                Some(there) if there.definition == rule.definition => self.kept.push(rule.name),
                _ => self.rules.push(rule),
            }
        }
        let ours = known.into_iter().filter(|known| known.is_ours);
        self.gone = ours
            .filter(|known| !self.kept.contains(&known.name))
            .collect();
        Ok(())
    }

    /// Whether the table is altered at all.
    fn alters(&self) -> bool {
        !(self.gone.is_empty() && self.changes.is_empty() && self.rules.is_empty())
    }

    /// The rules of a new table, as they stand in CREATE TABLE.
    pub(super) fn in_create(&self) -> Result<String> {
        let lines = self.rules.iter().map(|rule| match rule.is_unique() {
            // Its index would have the name in the schema of the table that rows are collected in.
            true => Ok(format!(", {}", rule.definition)),
            false => Ok(format!(
                ", CONSTRAINT {} {}",
                quote(&rule.name)?,
                rule.definition
            )),
        });
        Ok(lines.collect::<Result<Vec<String>>>()?.concat())
    }

    /// The table as it will be, tried out on a temporary copy.
    fn draft(&self, session: &mut Session, table: &Table) -> Result<Table> {
        let create = format!(
            "BEGIN; CREATE TEMPORARY TABLE dkhost_draft (LIKE {} INCLUDING ALL EXCLUDING COMMENTS EXCLUDING STATISTICS) ON COMMIT DROP",
            table.sql()?
        );
        let drafted = session
            .run(
                &format!("copy the definition of {}", table.label()),
                &create,
            )
            .and_then(|()| self.apply(session, "pg_temp.dkhost_draft", &table.label()))
            .and_then(|()| {
                let sql = "SELECT 'pg_temp.dkhost_draft'::regclass::oid::int8";
                let rows = session.rows(LOOKING, sql, &[])?;
                let oid = rows.first().map_or(0, |row| row.get::<_, i64>(0));
                Table::by_oid(session, oid as u32)
            });
        session.run(LOOKING, "ROLLBACK")?;
        let drafted =
            drafted?.ok_or_else(|| Error::bug("a table that was just created is not there"))?;
        Ok(Table {
            columns: drafted.columns,
            unique: drafted.unique,
            ..table.clone()
        })
    }

    /// Alters a copy of the table, which is empty and in a schema of its own.
    ///
    /// *Errors* – `postgres::cannot_alter`, with what was refused and why.
    pub(super) fn apply(&self, session: &mut Session, copy: &str, label: &str) -> Result<()> {
        for known in &self.gone {
            let drop = match known.columns.as_deref() {
                None => format!("DROP CONSTRAINT {}", quote(&known.name)?),
                // Of a copy the server made up another name.
                Some(columns) => match rules::unique_on(session, copy, columns)? {
                    Some(name) => format!("DROP CONSTRAINT {}", quote(&name)?),
                    None => continue,
                },
            };
            alter(session, copy, label, &drop, &drop)?;
        }
        for change in &self.changes {
            alter(session, copy, label, &change.clause, &change.told)?;
        }
        for rule in &self.rules {
            let add = match rule.is_unique() {
                true => format!("ADD {}", rule.definition),
                false => format!("ADD CONSTRAINT {} {}", quote(&rule.name)?, rule.definition),
            };
            alter(session, copy, label, &add, &rule.told())?;
        }
        Ok(())
    }

    /// Alters the table itself, which was emptied in the same transaction.
    pub(super) fn alter(&self, session: &mut Session, doing: &str, table: &str) -> Result<()> {
        let mut statements = Vec::new();
        for known in &self.gone {
            statements.push(format!(
                "ALTER TABLE {table} DROP CONSTRAINT {}",
                quote(&known.name)?
            ));
        }
        for change in &self.changes {
            statements.push(format!("ALTER TABLE {table} {}", change.clause));
        }
        for rule in &self.rules {
            let not_valid = if rule.is_unique() { "" } else { " NOT VALID" };
            statements.push(format!(
                "ALTER TABLE {table} ADD CONSTRAINT {} {}{not_valid}",
                quote(&rule.name)?,
                rule.definition
            ));
            statements.push(self.comment(table, rule)?);
        }
        statements
            .iter()
            .try_for_each(|statement| session.run(doing, statement))
    }

    /// Gives the constraints of a table that was just renamed from `staged` their names.
    pub(super) fn adopt(&self, session: &mut Session, doing: &str, table: &str) -> Result<()> {
        for rule in &self.rules {
            if rule.is_unique()
                && let Some(name) =
                    rules::unique_on(session, table, std::slice::from_ref(&rule.column))?
            {
                let rename = format!(
                    "ALTER TABLE {table} RENAME CONSTRAINT {} TO {}",
                    quote(&name)?,
                    quote(&rule.name)?
                );
                session.run(doing, &rename)?;
            }
            session.run(doing, &self.comment(table, rule)?)?;
        }
        Ok(())
    }

    /// By which the constraint is known as one that we made.
    fn comment(&self, table: &str, rule: &Rule) -> Result<String> {
        Ok(format!(
            "COMMENT ON CONSTRAINT {} ON {table} IS {}",
            quote(&rule.name)?,
            literal(&rules::comment(&rule.definition))
        ))
    }

    /// What the run leaves beside the table.
    pub(super) fn stamp(&self, run: &str) -> Stamp {
        Stamp {
            schema: self.schema.clone(),
            version: self.version.clone(),
            run: run.to_owned(),
        }
    }

    /// What the plan says will be done to table `name`, in order.
    pub(super) fn effects(&self, name: &str, is_new: bool) -> Vec<String> {
        let mut told = Vec::new();
        let mut alter = |what: String| told.push(format!("ALTER TABLE {name} {what}"));
        for known in &self.gone {
            alter(format!("DROP CONSTRAINT {}", changes::plain(&known.name)));
        }
        for change in self.changes.iter().filter(|change| change.is_told()) {
            alter(change.told.clone());
        }
        for rule in &self.rules {
            let not_valid = if is_new || rule.is_unique() {
                ""
            } else {
                " NOT VALID"
            };
            alter(format!("{}{not_valid}", rule.told()));
        }
        told.extend(self.goes_along.iter().cloned());
        told.push(format!(
            "writes into {} that the records of table {name} are {}@{}",
            super::stamps::LABEL,
            self.schema,
            self.version
        ));
        if !is_new {
            let checked = self.rules.iter().filter(|rule| !rule.is_unique());
            told.extend(checked.map(|rule| {
                format!(
                    "ALTER TABLE {name} VALIDATE CONSTRAINT {}, in a transaction of its own at the very end",
                    changes::plain(&rule.name)
                )
            }));
        }
        told
    }
}

/// Runs a clause of ALTER TABLE on a copy.
fn alter(session: &mut Session, copy: &str, label: &str, clause: &str, told: &str) -> Result<()> {
    let statement = format!("ALTER TABLE {copy} {clause}");
    session.run(&format!("alter a copy of {label}"), &statement).map_err(|error| {
        match crate::fault::refusal(&error) {
            Some(said) => Error::config(
                "postgres::cannot_alter",
                format!("{label} cannot be brought to the new version: the server refuses `{told}`: {said}"),
            )
            .help("drop or change by hand what stands in the way: it is of the table and not of the schema"),
            None => error,
        }
    })
}

/// Sees that the rows there satisfy the rules that were added without looking at them, each in a
/// transaction of its own which keeps nobody from reading and writing. Repeating it changes nothing.
pub(super) fn validate(target: &Target, session: &mut Session, doing: &str) -> Result<()> {
    let table = sql(&target.name)?;
    for name in rules::unchecked(session, &table)? {
        let validate = format!(
            "BEGIN; {}; ALTER TABLE {table} VALIDATE CONSTRAINT {}; COMMIT",
            target.server.settings(),
            quote(&name)?
        );
        session.run(doing, &validate)?;
    }
    Ok(())
}
