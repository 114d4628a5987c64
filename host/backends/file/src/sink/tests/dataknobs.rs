//! Stores as the Python package writes them.

use dkhost_core::Role;
use expect_test::expect;

use super::*;

fn schema() -> Schema {
    let declared = |name: &str, logical: LogicalType, declared: &str| Field {
        source_type: Some(format!("dataknobs:{declared}")),
        null_is_absent: true,
        ..Field::new(name, logical)
    };
    Schema::new(vec![
        Field::reserved(Role::Id),
        declared("name", LogicalType::Utf8, "string"),
        declared("count", LogicalType::Int64, "integer"),
        declared("active", LogicalType::Boolean, "boolean"),
        declared("created", LogicalType::Utf8, "datetime"),
        declared("tags", LogicalType::Json, "json"),
        Field::reserved(Role::Meta),
        Field::reserved(Role::Rest),
    ])
}

fn records(schema: &Schema) -> RecordBatch {
    let cells = |cells: &[&str]| -> Vec<Option<String>> {
        cells
            .iter()
            .map(|c| (*c != "-").then(|| c.to_string()))
            .collect()
    };
    batch_of(
        schema,
        &[
            cells(&["rec-1", "ïd 2", "c"]),
            cells(&["Ünï, \"x\"", "", "[1, 2]"]),
            cells(&["1", "-2", "-"]),
            cells(&["true", "false", "-"]),
            cells(&["2024-02-02T01:30:00Z", "-", "-"]),
            cells(&[r#"["a",1]"#, "{}", "-"]),
            cells(&[r#"{"source":"f","seq":1}"#, "-", "-"]),
            cells(&["-", "-", "-"]),
        ][..schema.fields.len()],
    )
}

/// Python lays JSON out in its own way, so nested values are compared by their meaning.
fn same(actual: &[RecordBatch], expected: &RecordBatch) {
    use dkhost_core::content::row_hashes;
    let actual = arrow::compute::concat_batches(&expected.schema(), actual).unwrap();
    assert_eq!(
        row_hashes(&actual).unwrap(),
        row_hashes(expected).unwrap(),
        "{actual:?}"
    );
}

#[test]
fn a_json_store_is_what_python_writes() {
    let schema = schema();
    let place = Place::new("x.json")
        .option("layout", "dataknobs")
        .schema(schema.clone());
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    let records = records(&schema);
    for (seq, row) in [(1, 0), (2, 1), (3, 2)] {
        let one = records.slice(row, 1);
        writer.write(&batch(one.clone())).unwrap();
        same(&[writer.read_back().unwrap()], &one);
        writer.commit(&checkpoint("run", epoch, 0, seq)).unwrap();
        writer.flush().unwrap();
        assert_eq!(sink.count().unwrap(), seq);
    }
    let mut scanned = Vec::new();
    sink.scan(&mut |batch| {
        scanned.push(batch);
        Ok(())
    })
    .unwrap();
    same(&scanned, &records);
    sink.publish().unwrap();
    sink.retire().unwrap();
    let first = place.text().split("\n  },").next().unwrap().to_owned();
    expect![[r#"
        {
          "rec-1": {
            "fields": {
              "name": {
                "name": "name",
                "value": "Ünï, \"x\"",
                "type": "string",
                "metadata": {}
              },
              "count": {
                "name": "count",
                "value": 1,
                "type": "integer",
                "metadata": {}
              },
              "active": {
                "name": "active",
                "value": true,
                "type": "boolean",
                "metadata": {}
              },
              "created": {
                "name": "created",
                "value": "2024-02-02T01:30:00Z",
                "type": "datetime",
                "metadata": {}
              },
              "tags": {
                "name": "tags",
                "value": [
                  "a",
                  1
                ],
                "type": "json",
                "metadata": {}
              }
            },
            "id": "rec-1",
            "metadata": {
              "source": "f",
              "seq": 1
            }"#]]
    .assert_eq(&first);
    let store: Value = serde_json::from_str(&place.text()).unwrap();
    assert_eq!(
        store.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["rec-1", "ïd 2", "c"]
    );
    assert!(place.text().ends_with("  }\n}"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        fs::metadata(place.path("x.json"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
}

#[test]
fn an_empty_json_store() {
    let place = Place::new("x.json")
        .option("layout", "dataknobs")
        .schema(schema());
    run(&place, &[]);
    assert_eq!(place.text(), "{}");
}

#[test]
fn a_csv_store_keeps_fields_that_are_more_than_a_bare_value() {
    let mut schema = schema();
    schema
        .fields
        .retain(|field| !matches!(field.role, Some(Role::Meta | Role::Rest)));
    let place = Place::new("x.csv")
        .option("layout", "dataknobs")
        .schema(schema.clone());
    let records = records(&schema);
    let sink = place.open();
    let epoch = sink.claim(&claim("run")).unwrap().epoch;
    let mut writer = sink.writer(&partition(0)).unwrap();
    assert_eq!(writer.write(&batch(records.clone())).unwrap().rejects, []);
    same(&[writer.read_back().unwrap()], &records);
    writer.commit(&checkpoint("run", epoch, 0, 1)).unwrap();
    assert_eq!(sink.count().unwrap(), 3);
    let mut scanned = Vec::new();
    sink.scan(&mut |batch| {
        scanned.push(batch);
        Ok(())
    })
    .unwrap();
    same(&scanned, &records);
    sink.publish().unwrap();
    expect![[r#"
        __id__,active,count,created,name,tags
        rec-1,True,1,"{""name"": ""created"", ""value"": ""2024-02-02T01:30:00Z"", ""type"": ""datetime"", ""metadata"": {}}","Ünï, ""x""","{""name"": ""tags"", ""value"": [""a"", 1], ""type"": ""json"", ""metadata"": {}}"
        ïd 2,False,-2,,"","{""name"": ""tags"", ""value"": {}, ""type"": ""json"", ""metadata"": {}}"
        c,,,,"{""name"": ""name"", ""value"": ""[1, 2]"", ""type"": ""string"", ""metadata"": {}}",
    "#]]
    .assert_eq(&place.text().replace("\r\n", "\n"));
    assert_eq!(place.text().matches("\r\n").count(), 4);
}

#[test]
fn what_a_csv_store_has_no_place_for_is_in_the_plan() {
    let mut schema = schema();
    schema.fields.retain(|field| field.role != Some(Role::Rest));
    let place = Place::new("x.csv")
        .option("layout", "dataknobs")
        .schema(schema);
    let sink = place.open();
    // Records that have such metadata are refused one by one, so nothing is lossy.
    assert!(sink.plan().columns.iter().all(|c| c.lossy.is_none()));
    assert!(
        sink.plan()
            .notes
            .iter()
            .any(|note| note.contains("metadata"))
    );
}

#[test]
fn records_without_an_id_are_refused() {
    let place = Place::new("x.json").option("layout", "dataknobs");
    assert_eq!(place.refused(), "target::no_id");
    let schema = schema();
    let place = place.schema(schema.clone());
    let sink = place.open();
    sink.claim(&claim("run")).unwrap();
    let cells: Vec<Vec<Option<String>>> = schema.fields.iter().map(|_| vec![None]).collect();
    let report = sink
        .writer(&partition(0))
        .unwrap()
        .write(&batch(batch_of(&schema, &cells)))
        .unwrap();
    assert_eq!(report.rejects[0].code, "file::not_representable");
}

#[test]
fn other_formats_are_no_stores() {
    assert_eq!(
        Place::new("x.jsonl")
            .option("layout", "dataknobs")
            .refused(),
        "file::not_for_format"
    );
    assert_eq!(
        Place::new("x.json.gz")
            .option("layout", "dataknobs")
            .refused(),
        "target::dataknobs_plain"
    );
}

#[test]
fn a_second_record_with_an_id_is_refused_also_after_a_resume() {
    let mut schema = schema();
    schema
        .fields
        .retain(|field| !matches!(field.role, Some(Role::Meta | Role::Rest)));
    for path in ["x.json", "x.csv"] {
        let place = Place::new(path)
            .option("layout", "dataknobs")
            .schema(schema.clone());
        let records = records(&schema);
        let twice =
            arrow::compute::concat_batches(&schema.to_arrow(), [&records, &records]).unwrap();
        let refused = |writer: &mut dyn Writer, records: &RecordBatch| {
            let rejects = writer.write(&batch(records.clone())).unwrap().rejects;
            rejects.iter().map(|reject| reject.row).collect::<Vec<_>>()
        };
        let sink = place.open();
        let epoch = sink.claim(&claim("run")).unwrap().epoch;
        let mut writer = sink.writer(&partition(0)).unwrap();
        assert!(refused(writer.as_mut(), &records).is_empty());
        writer.roll_back().unwrap();
        assert_eq!(refused(writer.as_mut(), &twice), [3, 4, 5]);
        writer.commit(&checkpoint("run", epoch, 0, 1)).unwrap();
        writer.flush().unwrap();
        assert_eq!(refused(writer.as_mut(), &records.slice(1, 2)), [0, 1]);
        drop((writer, sink));
        let sink = place.open();
        sink.claim(&claim("run")).unwrap();
        let mut writer = sink.writer(&partition(0)).unwrap();
        assert_eq!(refused(writer.as_mut(), &records), [0, 1, 2], "{path}");
    }
}
