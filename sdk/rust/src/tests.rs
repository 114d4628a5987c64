//! Plugins written with the SDK, opened and applied as a host would, without a sandbox between.

use std::borrow::Cow;

use crate::builder::Built;
use crate::export::{
    apply_filter, apply_transform, filter, open_filter, open_transform, transformer,
};
use crate::wit::columnar as raw;
use crate::wit::types;
use crate::*;

mod migrations;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn stage(plugin: &str, config: &str, fields: Fields<'_>) -> types::Stage {
    let field = |(name, ty): &(&str, &str)| types::Field {
        name: (*name).into(),
        type_: (*ty).into(),
        nullable: true,
        hints: Vec::new(),
    };
    let input = types::Schema {
        fields: fields.iter().map(field).collect(),
    };
    types::Stage {
        plugin: plugin.into(),
        config: config.into(),
        input,
        extra: vec![("stage".into(), "1:test".into())],
    }
}

fn text(values: &[Option<&str>]) -> raw::Column {
    let mut text = TextBuilder::with_capacity(values.len(), 0);
    values.iter().for_each(|value| text.push_option(*value));
    Built::from(text).column
}

fn ints(values: &[Option<i64>]) -> raw::Column {
    let mut ints = FixedBuilder::with_capacity(values.len());
    values.iter().for_each(|value| ints.push_option(*value));
    Built::from(ints).column
}

/// Every value of a column, read back through a view.
fn values(ty: Type, column: &raw::Column, rows: u32) -> Vec<Value<'static>> {
    let types = [ty];
    let raw = raw::Batch {
        rows,
        columns: vec![column.clone()],
    };
    let batch = Batch::new(&types, &raw).unwrap();
    let own = |value: Value<'_>| match value {
        Value::Text(text) => Value::Text(text.into_owned().into()),
        Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        Value::Vector(bytes) => Value::Vector(bytes.into_owned().into()),
        Value::Null => Value::Null,
        Value::Bool(v) => Value::Bool(v),
        Value::Int(v) => Value::Int(v),
        Value::UInt(v) => Value::UInt(v),
        Value::Float(v) => Value::Float(v),
        Value::Decimal(v) => Value::Decimal(v),
        Value::Uuid(v) => Value::Uuid(v),
    };
    (0..rows as usize)
        .map(|row| own(batch.view(Read(0)).get(row)))
        .collect()
}

fn computed(output: &raw::Output, at: usize) -> &raw::Column {
    match &output.columns[at] {
        raw::OutputColumn::Computed(column) => column,
        raw::OutputColumn::Carried(from) => panic!("carried from {from}"),
    }
}

#[test]
fn every_type_goes_out_and_comes_in_the_same() {
    for (ty, given) in [
        (Type::Boolean, Value::Bool(true)),
        (Type::Int32, Value::Int(i32::MIN.into())),
        (Type::Date32, Value::Int(-1)),
        (Type::Int64, Value::Int(9_007_199_254_740_993)),
        (Type::UInt64, Value::UInt(u64::MAX)),
        (Type::Float32, Value::Float(0.5)),
        (Type::Float64, Value::Float(0.1)),
        (Type::Decimal(38, 2), Value::Decimal(i128::MIN)),
        (Type::Uuid, Value::Uuid([7; 16])),
        (Type::Utf8, Value::Text("é".into())),
        (Type::Binary, Value::Bytes(vec![0, 255].into())),
        (Type::Vector(2), Value::Vector(vec![1; 8].into())),
    ] {
        let mut builder = AnyBuilder::new(&ty, 11).unwrap();
        // A null in the ninth row: the bitmap begins late, inside its second byte.
        for row in 0..11 {
            assert!(
                builder.push(if row == 8 { &Value::Null } else { &given }),
                "{ty}"
            );
        }
        let built = Built::from(builder);
        let read = values(ty.clone(), &built.column, 11);
        for (row, value) in read.into_iter().enumerate() {
            assert_eq!(
                value,
                if row == 8 { Value::Null } else { given.clone() },
                "{ty} row {row}"
            );
        }
    }
}

#[test]
fn a_value_that_does_not_fit_becomes_a_null_and_is_told() {
    let mut builder = AnyBuilder::new(&Type::Int32, 1).unwrap();
    assert!(!builder.push(&Value::Int(i64::MAX)));
    assert!(!builder.push(&Value::Text("1".into())));
    assert_eq!(
        values(Type::Int32, &Built::from(builder).column, 2),
        [Value::Null, Value::Null]
    );
}

/// Column style: reads, edits, adds, renames, drops, selects, rejects.
struct Everything {
    email: Edit,
    age: Read,
    adult: Write,
}

impl Transformer for Everything {
    type Config = NoConfig;

    fn descriptor() -> Descriptor {
        Descriptor::new("everything", "0.1.0")
    }

    fn open(_: NoConfig, plan: &mut Plan) -> Result<Self, Failure> {
        assert_eq!(plan.stage(), "1:test");
        plan.rename("fullname", "name")?;
        plan.drop("password")?;
        Ok(Everything {
            email: plan.edit("email")?,
            age: plan.read("age")?,
            adult: plan.add(Field::new("adult", Type::Boolean))?,
        })
    }

    fn apply(&mut self, batch: &Batch<'_>) -> Result<Output, Failure> {
        let (emails, ages) = (batch.text(self.email)?, batch.fixed::<i64>(self.age)?);
        let mut lower = TextBuilder::with_capacity(batch.rows(), 64);
        let mut adult = BoolBuilder::default();
        for row in 0..batch.rows() {
            lower.push_option(emails.get(row).map(str::to_lowercase).as_deref());
            adult.push(ages.get(row).map(|age| age >= 18));
        }
        let keep = (0..batch.rows())
            .map(|row| ages.get(row).is_some())
            .collect();
        let mut output = Output::selection(keep)
            .set(self.email, lower)
            .set(self.adult, adult);
        output.reject(0, Reject::new("too-loud", "").column(self.email));
        Ok(output)
    }
}

const PEOPLE: Fields<'_> = &[
    ("fullname", "utf8"),
    ("email", "utf8"),
    ("password", "utf8"),
    ("age", "int64"),
];

#[test]
fn a_plan_says_what_is_read_carried_and_computed() {
    let opened = open_transform(
        &stage("everything", "{}", PEOPLE),
        &[transformer::<Everything>],
    )
    .unwrap();
    let names: Vec<_> = opened
        .output
        .fields
        .iter()
        .map(|f| (f.name.as_str(), f.type_.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("name", "utf8"),
            ("email", "utf8"),
            ("age", "int64"),
            ("adult", "boolean")
        ]
    );
    assert_eq!(opened.reads, [1, 3]);
    assert_eq!(opened.carries, [(0, 0), (3, 2)]);

    let columns = vec![
        text(&[Some("A@B.C"), None, Some("x")]),
        ints(&[Some(7), Some(18), None]),
    ];
    let output = apply_transform(&raw::Batch { rows: 3, columns }).unwrap();
    assert!(
        matches!(&output.rows, raw::Rows::Selection(bits) if bits[0] & 7 == 3),
        "{:?}",
        output.rows
    );
    assert_eq!(
        values(Type::Utf8, computed(&output, 1), 2),
        [Value::from("a@b.c"), Value::Null]
    );
    assert_eq!(
        values(Type::Boolean, computed(&output, 3), 3),
        [Value::Bool(false), Value::Bool(true), Value::Null]
    );
    assert_eq!(
        (output.rejects[0].row, output.rejects[0].column),
        (0, Some(1))
    );
}

#[test]
fn a_missing_column_or_plugin_is_told_by_name() {
    let failure = open_transform(
        &stage("everything", "{}", &PEOPLE[..1]),
        &[transformer::<Everything>],
    )
    .err()
    .unwrap();
    assert_eq!(
        (failure.kind.as_str(), failure.at.as_deref()),
        ("schema", Some("password"))
    );
    assert_eq!(
        failure.message,
        "there is no column `password`; there are fullname"
    );
    let failure = open_transform(&stage("other", "{}", PEOPLE), &[transformer::<Everything>])
        .err()
        .unwrap();
    assert_eq!(failure.kind, "config");
    let config = stage("everything", r#"{"x": 1}"#, PEOPLE);
    assert_eq!(
        open_transform(&config, &[transformer::<Everything>])
            .err()
            .unwrap()
            .kind,
        "config"
    );
}

/// Row style with a derived row: drops, rejects, expands.
#[derive(Row, Clone)]
struct Order<'a> {
    #[row(edit, name = "Product Name")]
    product: Cow<'a, str>,
    count: i64,
    #[row(add)]
    place: i64,
    #[row(add)]
    note: Option<String>,
}

struct Unroll;

impl RowTransformer for Unroll {
    type Config = NoConfig;
    type Row = Order<'static>;

    fn descriptor() -> Descriptor {
        Descriptor::new("unroll", "0.1.0")
    }

    fn open(_: NoConfig, _: &mut Plan) -> Result<Self, Failure> {
        Ok(Unroll)
    }

    fn row(
        &mut self,
        mut order: Order<'_>,
        out: &mut Rows<'_, Order<'static>>,
    ) -> Result<(), Reject> {
        if order.count < 0 {
            return Err(Reject::new("negative", "a count below zero"));
        }
        order.product = order.product.to_uppercase().into();
        for place in 1..=order.count {
            order.place = place;
            out.emit(&order)?;
        }
        Ok(())
    }
}

#[test]
fn a_row_can_be_dropped_repeated_and_refused() {
    type Columnar = ByRow<Transforming<Unroll>>;
    let fields: Fields<'_> = &[("count", "int64"), ("Product Name", "utf8")];
    let opened =
        open_transform(&stage("unroll", "{}", fields), &[transformer::<Columnar>]).unwrap();
    assert_eq!((opened.reads, opened.carries), (vec![1, 0], vec![(0, 0)]));
    let added: Vec<_> = opened.output.fields[2..]
        .iter()
        .map(|f| (f.name.as_str(), f.nullable))
        .collect();
    assert_eq!(added, [("place", false), ("note", true)]);

    let products = text(&[Some("tea"), Some("milk"), Some("cups"), None, Some("jam")]);
    let counts = ints(&[Some(2), Some(0), Some(1), Some(1), Some(-1)]);
    let output = apply_transform(&raw::Batch {
        rows: 5,
        columns: vec![products, counts],
    })
    .unwrap();
    let raw::Rows::Origin(origin) = &output.rows else {
        panic!("{:?}", output.rows)
    };
    assert_eq!(
        *origin,
        [0u32, 0, 2]
            .iter()
            .flat_map(|row| row.to_le_bytes())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        values(Type::Utf8, computed(&output, 1), 3),
        [Value::from("TEA"), "TEA".into(), "CUPS".into()]
    );
    assert_eq!(
        values(Type::Int64, computed(&output, 2), 3),
        [Value::Int(1), Value::Int(2), Value::Int(1)]
    );
    assert_eq!(
        values(Type::Utf8, computed(&output, 3), 3),
        [Value::Null, Value::Null, Value::Null]
    );
    let rejects: Vec<_> = output
        .rejects
        .iter()
        .map(|r| (r.row, r.column, r.code.as_str()))
        .collect();
    assert_eq!(rejects, [(3, Some(1), "null"), (4, None, "negative")]);
}

/// Row style by name: with a plan that says nothing a record has every column.
struct Shout;

impl RowTransformer for Shout {
    type Config = NoConfig;
    type Row = Record<'static>;

    fn descriptor() -> Descriptor {
        Descriptor::new("shout", "0.1.0")
    }

    fn open(_: NoConfig, _: &mut Plan) -> Result<Self, Failure> {
        Ok(Shout)
    }

    fn row(
        &mut self,
        mut record: Record<'_>,
        out: &mut Rows<'_, Record<'static>>,
    ) -> Result<(), Reject> {
        let loud = record.text("name").map(str::to_uppercase);
        record.set("name", loud)?;
        if record.get("age").and_then(Value::as_i64) == Some(0) {
            record.set("age", "zero")?;
        }
        out.emit(&record)
    }
}

#[test]
fn a_record_is_edited_by_name() {
    type Columnar = ByRow<Transforming<Shout>>;
    let fields: Fields<'_> = &[
        ("name", "utf8"),
        ("age", "int64"),
        ("odd", "interval(month)"),
    ];
    let opened = open_transform(&stage("shout", "{}", fields), &[transformer::<Columnar>]).unwrap();
    assert_eq!(
        (opened.reads, opened.carries),
        (vec![0, 1], vec![(2, 2)]),
        "a type nobody knows is carried"
    );
    let columns = vec![text(&[Some("ada"), None]), ints(&[Some(36), Some(0)])];
    let output = apply_transform(&raw::Batch { rows: 2, columns }).unwrap();
    assert!(matches!(output.rows, raw::Rows::All));
    assert_eq!(
        values(Type::Utf8, computed(&output, 0), 2),
        [Value::from("ADA"), Value::Null]
    );
    assert_eq!(
        (output.rejects[0].row, output.rejects[0].code.as_str()),
        (1, "wrong-type")
    );
}

struct Adults;

impl RowFilter for Adults {
    type Config = NoConfig;
    type Row = Record<'static>;

    fn descriptor() -> Descriptor {
        Descriptor::new("adults", "0.1.0")
    }

    fn open(_: NoConfig, inputs: &mut Inputs) -> Result<Self, Failure> {
        inputs.read("age")?;
        Ok(Adults)
    }

    fn keep(&mut self, record: Record<'_>) -> Result<bool, Reject> {
        let age = record
            .get("age")
            .and_then(Value::as_i64)
            .ok_or_else(|| Reject::new("no-age", ""))?;
        Ok(age >= 18)
    }
}

#[test]
fn a_row_filter_answers_with_a_bitmap() {
    type Columnar = ByRow<Filtering<Adults>>;
    let reads = open_filter(&stage("adults", "{}", PEOPLE), &[filter::<Columnar>]).unwrap();
    assert_eq!(reads, [3]);
    let verdict = apply_filter(&raw::Batch {
        rows: 3,
        columns: vec![ints(&[Some(7), Some(70), None])],
    })
    .unwrap();
    assert_eq!(verdict.keep, [0b010]);
    assert_eq!(verdict.rejects[0].row, 2);
}

/// Forgets a column it planned, then gives it too few rows.
struct Sloppy(Write, bool);

impl Transformer for Sloppy {
    type Config = bool;

    fn descriptor() -> Descriptor {
        Descriptor::new("sloppy", "0.1.0")
    }

    fn open(forgets: bool, plan: &mut Plan) -> Result<Self, Failure> {
        Ok(Sloppy(plan.add(Field::new("extra", Type::Int64))?, forgets))
    }

    fn apply(&mut self, _: &Batch<'_>) -> Result<Output, Failure> {
        let output = Output::new();
        Ok(if self.1 {
            output
        } else {
            output.set(self.0, FixedBuilder::<i64>::with_capacity(0))
        })
    }
}

#[test]
fn a_column_that_is_forgotten_or_too_short_is_told_by_name() {
    for (config, says) in [
        ("true", "column `extra` was planned and not given"),
        ("false", "column `extra` has 0 rows instead of 2"),
    ] {
        open_transform(&stage("sloppy", config, PEOPLE), &[transformer::<Sloppy>]).unwrap();
        let failure = apply_transform(&raw::Batch {
            rows: 2,
            columns: Vec::new(),
        })
        .unwrap_err();
        assert_eq!(
            (failure.kind.as_str(), failure.message.as_str()),
            ("internal", says)
        );
    }
}
