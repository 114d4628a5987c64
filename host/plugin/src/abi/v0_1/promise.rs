//! What a plugin promises when it is opened, verified; every batch is later held to it.
//!
//! Also the way there and back between our schema and the contract's: a column's role, key, source
//! type and the meaning of its nulls travel as hints, and come back on the columns that are kept.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use dkhost_core::{Field, LogicalType, Role, Schema};

use super::bindings::dkhost::plugin::types::{FieldParam, FieldResult, SchemaParam};
use crate::limits::Limits;
use crate::log::in_an_error;

type Verified<T> = Result<T, String>;

/// Bytes of a column's name, and of what a hint says.
const NAME_MAX: usize = 1024;
/// Bytes of a type's name.
const TYPE_MAX: usize = 128;

/// What a stage's `open` promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The columns the stage is given.
    pub(crate) input: Schema,
    /// The columns it returns.
    pub(crate) output: Schema,
    /// The same for Arrow.
    pub(crate) arrow: SchemaRef,
    /// Indices of the input columns that are sent, in that order.
    pub(crate) reads: Vec<usize>,
    /// For each output column the input column it always carries.
    pub(crate) carried: Vec<Option<usize>>,
}

impl Promise {
    /// What a filter promises: the columns it reads. `Err` says what is wrong.
    pub(crate) fn filter(input: Schema, reads: &[u32]) -> Verified<Promise> {
        let carried = (0..input.fields.len()).map(Some).collect();
        let reads = places(&input, reads)?;
        Ok(Promise {
            output: input.clone(),
            arrow: input.to_arrow(),
            input,
            reads,
            carried,
        })
    }

    /// What a transform promises. `Err` says what is wrong.
    pub(crate) fn transform(
        input: Schema,
        output: Vec<FieldResult>,
        reads: &[u32],
        carries: &[(u32, u32)],
        limits: &Limits,
    ) -> Verified<Promise> {
        if output.len() > limits.output_fields {
            return Err(format!(
                "{} columns, and {} are allowed",
                output.len(),
                limits.output_fields
            ));
        }
        let reads = places(&input, reads)?;
        let mut carried = vec![None; output.len()];
        for (from, to) in carries {
            let place = carried
                .get_mut(*to as usize)
                .ok_or_else(|| format!("to carry into column {to}, which it does not have"))?;
            if *from as usize >= input.fields.len() {
                return Err(format!(
                    "to carry column {from}, which its input does not have"
                ));
            }
            if place.replace(*from as usize).is_some() {
                return Err(format!("to carry two columns into column {to}"));
            }
        }
        let mut fields: Vec<Field> = Vec::with_capacity(output.len());
        for (promised, carried) in output.into_iter().zip(&carried) {
            let field = match carried {
                Some(from) => carried_field(&input.fields[*from], promised)?,
                None => computed_field(promised)?,
            };
            fields.push(unambiguous(field, &fields)?);
        }
        let output = Schema::new(fields);
        Ok(Promise {
            arrow: output.to_arrow(),
            input,
            output,
            reads,
            carried,
        })
    }
}

/// Indices into the input, each there and none twice.
fn places(input: &Schema, reads: &[u32]) -> Verified<Vec<usize>> {
    let mut seen = vec![false; input.fields.len()];
    for read in reads {
        match seen.get_mut(*read as usize) {
            Some(seen) if !*seen => *seen = true,
            Some(_) => return Err(format!("to read column {read} twice")),
            None => {
                return Err(format!(
                    "to read column {read}, which its input does not have"
                ));
            }
        }
    }
    Ok(reads.iter().map(|read| *read as usize).collect())
}

fn named(promised: &FieldResult) -> Verified<(String, LogicalType)> {
    let name = &promised.name;
    if name.is_empty() || name.len() > NAME_MAX || name.contains('\0') {
        return Err(format!(
            "a column with the name `{}`",
            name.chars().take(80).collect::<String>().escape_debug()
        ));
    }
    if promised.type_.len() > TYPE_MAX {
        return Err(format!(
            "column `{}` of a type whose name has {} bytes",
            name.escape_debug(),
            promised.type_.len()
        ));
    }
    let logical = promised.type_.parse().map_err(|why: String| {
        format!(
            "column `{}` of an {}",
            name.escape_debug(),
            in_an_error(&why)
        )
    })?;
    Ok((name.clone(), logical))
}

/// A carried column keeps everything about it; only its name is the plugin's.
fn carried_field(from: &Field, promised: FieldResult) -> Verified<Field> {
    let (name, logical) = named(&promised)?;
    if logical != from.logical {
        return Err(format!(
            "to carry column `{}` of type {} as {logical}",
            from.name.escape_debug(),
            from.logical
        ));
    }
    if from.nullable && !promised.nullable {
        return Err(format!(
            "column `{}` without nulls, and it carries one that may have some",
            name.escape_debug()
        ));
    }
    Ok(Field {
        name,
        nullable: promised.nullable,
        ..from.clone()
    })
}

fn computed_field(promised: FieldResult) -> Verified<Field> {
    let (name, logical) = named(&promised)?;
    let mut field = Field {
        nullable: promised.nullable,
        ..Field::new(name, logical)
    };
    for (hint, value) in promised.hints {
        match (hint.as_str(), value.as_str()) {
            ("role", "id") => field.role = Some(Role::Id),
            ("role", "meta") => field.role = Some(Role::Meta),
            ("role", "rest") => field.role = Some(Role::Rest),
            ("key", place) => field.key = place.parse().ok(),
            ("source-type", _) if value.len() <= NAME_MAX => field.source_type = Some(value),
            ("null", "absent") => field.null_is_absent = true,
            // Hints are open: what we do not know is for others.
            _ => {}
        }
    }
    if let Some(role) = field.role {
        let needed = Field::reserved(role).logical;
        if field.logical != needed {
            return Err(format!(
                "column `{}` in a role that needs the type {needed}",
                field.name.escape_debug()
            ));
        }
    }
    Ok(field)
}

/// Names are unique, and so are roles and places in the key: a second copy is an ordinary column.
fn unambiguous(mut field: Field, before: &[Field]) -> Verified<Field> {
    if before.iter().any(|other| other.name == field.name) {
        return Err(format!(
            "two columns with the name `{}`",
            field.name.escape_debug()
        ));
    }
    if before
        .iter()
        .any(|other| other.role.is_some() && other.role == field.role)
    {
        field.role = None;
    }
    if before
        .iter()
        .any(|other| other.key.is_some() && other.key == field.key)
    {
        field.key = None;
    }
    Ok(field)
}

/// A schema in the words of the contract, kept while calls borrow it.
#[derive(Debug, Clone)]
pub(crate) struct SchemaText {
    fields: Arc<[FieldText]>,
}

#[derive(Debug)]
struct FieldText {
    name: String,
    logical: String,
    nullable: bool,
    hints: Vec<(&'static str, String)>,
}

impl SchemaText {
    pub(crate) fn of(schema: &Schema) -> Self {
        let fields = schema.fields.iter().map(|field| FieldText {
            name: field.name.clone(),
            logical: field.logical.to_string(),
            nullable: field.nullable,
            hints: hints(field),
        });
        SchemaText {
            fields: fields.collect(),
        }
    }

    /// Lends the schema as the contract's record.
    pub(crate) fn lend<R>(&self, call: impl FnOnce(SchemaParam<'_>) -> R) -> R {
        let hints: Vec<Vec<(&str, &str)>> = self
            .fields
            .iter()
            .map(|field| {
                field
                    .hints
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect()
            })
            .collect();
        let fields: Vec<FieldParam<'_>> = self
            .fields
            .iter()
            .zip(&hints)
            .map(|(field, hints)| FieldParam {
                name: &field.name,
                type_: &field.logical,
                nullable: field.nullable,
                hints,
            })
            .collect();
        call(SchemaParam { fields: &fields })
    }
}

fn hints(field: &Field) -> Vec<(&'static str, String)> {
    let role = match field.role {
        Some(Role::Id) => Some("id"),
        Some(Role::Meta) => Some("meta"),
        Some(Role::Rest) => Some("rest"),
        None => None,
    };
    [
        ("role", role.map(str::to_owned)),
        ("key", field.key.map(|key| key.to_string())),
        ("source-type", field.source_type.clone()),
        ("null", field.null_is_absent.then(|| "absent".to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Schema {
        let mut id = Field::new("id", LogicalType::Int64);
        (id.key, id.nullable) = (Some(0), false);
        let mut email = Field::new("email", LogicalType::Utf8);
        (email.null_is_absent, email.source_type) = (true, Some("varchar(30)".into()));
        Schema::new(vec![id, email, Field::reserved(Role::Rest)])
    }

    /// The input's fields as a plugin that hands on everything sends them back.
    fn echoed() -> Vec<FieldResult> {
        SchemaText::of(&input()).lend(|schema| {
            let owned = |f: &FieldParam<'_>| FieldResult {
                name: f.name.into(),
                type_: f.type_.into(),
                nullable: f.nullable,
                hints: f
                    .hints
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
            };
            schema.fields.iter().map(owned).collect()
        })
    }

    fn promise(output: Vec<FieldResult>, carries: &[(u32, u32)]) -> Verified<Promise> {
        Promise::transform(input(), output, &[1], carries, &Limits::default())
    }

    #[test]
    fn everything_about_a_column_survives_the_way_there_and_back() {
        assert_eq!(promise(echoed(), &[]).unwrap().output, input());
        assert_eq!(
            promise(echoed(), &[(0, 0), (2, 2)]).unwrap().output,
            input()
        );
    }

    #[test]
    fn a_carried_column_keeps_its_key_and_role_under_another_name() {
        let mut output = echoed();
        output[0].name = "number".into();
        output[0].hints.clear();
        output[2].hints.clear();
        let promise = promise(output, &[(0, 0), (2, 2)]).unwrap();
        assert_eq!(promise.output.fields[0].name, "number");
        assert_eq!(promise.output.key(), [0]);
        assert_eq!(promise.output.role(Role::Rest), Some(2));
        assert_eq!(promise.carried, [Some(0), None, Some(2)]);
    }

    #[test]
    fn a_second_copy_of_a_key_or_rest_is_an_ordinary_column() {
        let mut output = echoed();
        output.extend(echoed());
        for field in &mut output[3..] {
            field.name.push('2');
        }
        let promise = promise(output, &[(2, 2), (2, 5)]).unwrap();
        assert_eq!(promise.output.key(), [0]);
        assert_eq!(promise.output.fields[5].role, None);
    }

    #[test]
    fn promises_that_cannot_be_kept_are_refused() {
        let change = |at: usize, change: fn(&mut FieldResult)| {
            let mut output = echoed();
            change(&mut output[at]);
            output
        };
        for (output, carries, says) in [
            (
                change(1, |f| f.name.clear()),
                &[][..],
                "a column with the name ``",
            ),
            (
                change(1, |f| f.name = "id".into()),
                &[],
                "two columns with the name `id`",
            ),
            (
                change(1, |f| f.type_ = "text".into()),
                &[],
                "unknown type `text`; did you mean `utf8`?",
            ),
            (
                change(2, |f| f.type_ = "utf8".into()),
                &[],
                "in a role that needs the type json",
            ),
            (
                change(1, |f| f.nullable = false),
                &[(1, 1)],
                "without nulls, and it carries one that may have some",
            ),
            (
                echoed(),
                &[(0, 1)],
                "to carry column `id` of type int64 as utf8",
            ),
            (echoed(), &[(9, 1)], "to carry column 9"),
            (echoed(), &[(0, 9)], "to carry into column 9"),
            (
                echoed(),
                &[(0, 0), (1, 0)],
                "to carry two columns into column 0",
            ),
        ] {
            let why = promise(output, carries).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
        assert!(
            Promise::filter(input(), &[0, 0])
                .unwrap_err()
                .contains("to read column 0 twice")
        );
        let few = Limits {
            output_fields: 2,
            ..Limits::default()
        };
        assert!(
            Promise::transform(input(), echoed(), &[], &[], &few)
                .unwrap_err()
                .contains("3 columns, and 2")
        );
    }
}
