//! Migrations opened by index and direction, in both styles, as a host would.

use super::*;
use crate::export::{
    OpenMigration, describe_migration, each_once, migration, migration_step, open_migration,
};

/// `user` 1.0.0 to 1.1.0, in row style: the years of age from the year of birth.
struct Ages;

impl Migration for Ages {
    const SCHEMA: &'static str = "user";
    const FROM: &'static str = "1.0.0";
    const TO: &'static str = "1.1.0";
    const LOSSLESS: bool = true;
    type Up = PerRow<Older>;
    type Down = PerRow<Younger>;
}

struct Older;

#[derive(Row)]
struct Born {
    born: Option<i64>,
    #[row(add)]
    age: Option<i64>,
}

impl RowTransformer for Older {
    type Config = NoConfig;
    type Row = Born;

    fn descriptor() -> Descriptor {
        Descriptor::new("users", "0.1.0")
    }

    fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
        plan.drop("born")?;
        Ok(Older)
    }

    fn row(&mut self, mut user: Born, out: &mut Rows<'_, Born>) -> Result<(), Reject> {
        user.age = user.born.map(|born| 2026 - born);
        out.emit(&user)
    }
}

struct Younger;

#[derive(Row)]
struct Aged {
    age: Option<i64>,
    #[row(add)]
    born: Option<i64>,
}

impl RowTransformer for Younger {
    type Config = NoConfig;
    type Row = Aged;

    fn descriptor() -> Descriptor {
        Descriptor::new("users", "0.1.0")
    }

    fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
        plan.drop("age")?;
        Ok(Younger)
    }

    fn row(&mut self, mut user: Aged, out: &mut Rows<'_, Aged>) -> Result<(), Reject> {
        user.born = user.age.map(|age| 2026 - age);
        out.emit(&user)
    }
}

/// `user` 1.1.0 to 2.0.0, in column style, and no way back.
struct Known;

impl Migration for Known {
    const SCHEMA: &'static str = "user";
    const FROM: &'static str = "1.1.0";
    const TO: &'static str = "2.0.0";
    const LOSSLESS: bool = true;
    type Up = Fill;
    type Down = Irreversible;
}

struct Fill(Edit);

impl Transformer for Fill {
    type Config = NoConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new("users", "0.1.0")
    }

    fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
        Ok(Fill(plan.edit("age")?))
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        let ages = batch.fixed::<i64>(self.0)?;
        let mut filled = FixedBuilder::with_capacity(batch.rows());
        (0..batch.rows()).for_each(|row| filled.push(ages.get(row).unwrap_or(-1)));
        Ok(Output::new().set(self.0, filled))
    }
}

const STEPS: &[OpenMigration] = &[migration::<Ages>, migration::<Known>];

fn apply(column: raw::Column, rows: u32) -> raw::Output {
    let columns = vec![column];
    apply_transform(&raw::Batch { rows, columns }).unwrap()
}

#[test]
fn a_record_goes_up_and_comes_back_as_it_was() {
    let went = ints(&[Some(1815), None]);
    let stage_of = |column| stage("users", "{}", column);
    let up = open_migration(0, true, &stage_of(&[("born", "int64")]), STEPS).unwrap();
    assert_eq!(up.output.fields[0].name, "age");
    let there = apply(went.clone(), 2);
    let ages = computed(&there, 0).clone();
    assert_eq!(
        values(Type::Int64, &ages, 2),
        [Value::Int(211), Value::Null]
    );
    let down = open_migration(0, false, &stage_of(&[("age", "int64")]), STEPS).unwrap();
    assert_eq!(down.output.fields[0].name, "born");
    let back = apply(ages, 2);
    assert_eq!(
        values(Type::Int64, computed(&back, 0), 2),
        values(Type::Int64, &went, 2)
    );
}

#[test]
fn steps_of_one_history_are_told_one_by_one_and_their_plugin_once() {
    let described = each_once(vec![
        describe_migration::<Ages>(),
        describe_migration::<Known>(),
    ]);
    let names: Vec<_> = described.iter().map(|d| (&*d.name, &*d.kind)).collect();
    assert_eq!(names, [("users", "migration")]);
    let (ages, known) = (migration_step::<Ages>(), migration_step::<Known>());
    assert_eq!((ages.from, ages.to), ("1.0.0", "1.1.0"));
    assert!(ages.reversible && ages.lossless);
    // Whatever it says: without a way down nothing comes back.
    assert!(!known.reversible && !known.lossless);
}

#[test]
fn a_way_or_step_that_is_not_there_is_told() {
    let stage = stage("users", "{}", &[("age", "int64")]);
    assert!(open_migration(1, true, &stage, STEPS).is_ok());
    let why = |step, up| {
        open_migration(step, up, &stage, STEPS)
            .err()
            .unwrap()
            .message
    };
    assert_eq!(why(1, false), "there is no way down");
    assert_eq!(why(2, true), "this component has no migration 2");
}

#[test]
fn fields_added_to_documents_may_be_missing_and_columns_added_to_tables_may_not() {
    let hints_of = |stage: &types::Stage| {
        let opened = open_migration(0, true, stage, STEPS).unwrap();
        let age = opened.output.fields.into_iter().find(|f| f.name == "age");
        age.unwrap().hints
    };
    let table = stage("users", "{}", &[("born", "int64")]);
    assert_eq!(hints_of(&table), []);
    let mut document = stage("users", "{}", &[("born", "int64"), ("_rest", "json")]);
    let absent = ("null".to_owned(), "absent".to_owned());
    document.input.fields[0].hints.push(absent.clone());
    document.input.fields[1]
        .hints
        .push(("role".into(), "rest".into()));
    assert_eq!(hints_of(&document), [absent]);
}
