use super::*;
use crate::conformance::same_json;
use crate::text::tests::Dice;

/// A random document: known and unknown fields in any order, of any kind.
fn document(dice: &mut Dice) -> String {
    let mut names = ["n", "f", "t", "b", "j", "u", "x", "ü \"q\"", ""].to_vec();
    let mut fields = Vec::new();
    for _ in 0..dice.below(9) {
        let name = names.remove(dice.below(names.len() as u64) as usize);
        let space = ["", " ", "\n\t"][dice.below(3) as usize];
        let mut key = Vec::new();
        escape(name, &mut key);
        fields.push(format!(
            "{space}{}{space}:{}",
            String::from_utf8(key).unwrap(),
            value(dice, 0)
        ));
    }
    format!("{{{}}}", fields.join(","))
}

fn value(dice: &mut Dice, depth: u32) -> String {
    match dice.below(if depth > 3 { 8 } else { 10 }) {
        0 => "null".to_owned(),
        1 => (dice.below(2) == 0).to_string(),
        2 => (dice.next() as i64 >> dice.below(64)).to_string(),
        3 => dice.next().to_string(),
        4 => {
            let value = f64::from_bits(dice.next());
            if value.is_finite() {
                format!("{value:e}")
            } else {
                "1E400".to_owned()
            }
        }
        5 => format!(
            "{}.{:03}e{}",
            dice.below(1000),
            dice.below(1000),
            dice.below(40) as i64 - 20
        ),
        6 | 7 => string(dice),
        8 => {
            let items: Vec<String> = (0..dice.below(4)).map(|_| value(dice, depth + 1)).collect();
            format!("[ {} ]", items.join(", "))
        }
        _ => {
            let items: Vec<String> = (0..dice.below(4))
                .map(|i| format!("\"k{i}\" : {}", value(dice, depth + 1)))
                .collect();
            format!("{{\n{}}}", items.join(","))
        }
    }
}

fn string(dice: &mut Dice) -> String {
    let mut text = String::from("\"");
    for _ in 0..dice.below(24) {
        match dice.below(12) {
            0 => text.push_str("\\n"),
            1 => text.push_str("\\u00e4"),
            2 => text.push_str("\\ud83e\\udd80"),
            3 => text.push('🦀'),
            4 => text.push_str("\\\""),
            5 => text.push_str("\\\\"),
            6 => text.push('ü'),
            _ => text.push((b'a' + dice.below(26) as u8) as char),
        }
    }
    text + "\""
}

#[test]
fn any_document_comes_back_the_same_whatever_the_columns() {
    let schemas = [
        schema(&[
            ("n", "int64"),
            ("f", "float64"),
            ("t", "utf8"),
            ("b", "boolean"),
            ("j", "json"),
            ("u", "uint64"),
        ]),
        schema(&[
            ("t", "int32"),
            ("b", "float32"),
            ("n", "number"),
            ("f", "decimal(20, 3)"),
            ("u", "utf8"),
        ]),
        schema(&[
            ("j", "date32"),
            ("n", "utf8"),
            ("ü \"q\"", "json"),
            ("", "float64"),
            ("x", "vector(2)"),
        ]),
        schema(&[]),
    ];
    let mut dice = Dice(3);
    for round in 0..200 {
        let documents: Vec<String> = (0..1 + dice.below(20))
            .map(|_| document(&mut dice))
            .collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        for schema in &schemas {
            for (before, after) in documents.iter().zip(round_trip(schema, &documents)) {
                assert!(
                    same_json(before, &after),
                    "round {round}: {before} became {after}"
                );
                assert!(!after.contains('\n'));
            }
        }
    }
}

#[test]
fn what_was_inferred_from_documents_holds_them() {
    let mut dice = Dice(4);
    for _ in 0..100 {
        let documents: Vec<String> = (0..1 + dice.below(12))
            .map(|_| document(&mut dice))
            .collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        let mut inference = Inference::new();
        documents
            .iter()
            .for_each(|document| inference.observe(document.as_bytes()).unwrap());
        let mut fields = inference.finish();
        fields.push(Field::reserved(Role::Rest));
        let schema = Schema::new(fields);
        let mut decoder = Decoder::new(&schema, DecodeOptions::default());
        documents
            .iter()
            .for_each(|document| decoder.push(document.as_bytes()).unwrap());
        let records = decoder.finish().unwrap();
        let rest = records.column(records.num_columns() - 1);
        assert_eq!(
            rest.null_count(),
            rest.len(),
            "a column does not hold its own sample: {documents:?}"
        );
        for (before, after) in documents.iter().zip(round_trip(&schema, &documents)) {
            assert!(same_json(before, &after), "{before} became {after}");
        }
    }
}

#[test]
fn we_read_what_serde_reads() {
    let schema = schema(&[("n", "int64"), ("t", "utf8")]);
    let mut dice = Dice(5);
    for _ in 0..2000 {
        let document = document(&mut dice);
        let after = &round_trip(&schema, &[&document])[0];
        // Serde's numbers are doubles beyond 64 bits: good enough to see that fields do not move.
        let before: Result<serde_json::Value, _> = serde_json::from_str(&document);
        let Ok(before) = before else { continue };
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(after).unwrap(),
            before,
            "{document}"
        );
    }
}
