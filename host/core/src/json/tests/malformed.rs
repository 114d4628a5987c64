use super::*;

/// Every way to be malformed, with its code and the byte to look at.
const MALFORMED: &[(&[u8], &str, usize)] = &[
    (b"", "json::unexpected_end", 0),
    (b"   ", "json::unexpected_end", 3),
    (b"[]", "json::not_an_object", 0),
    (b"null", "json::not_an_object", 0),
    (b"\"a\"", "json::not_an_object", 0),
    (b"x", "json::unexpected_character", 0),
    (b"{", "json::unexpected_end", 1),
    (b"{\"a\"", "json::unexpected_end", 4),
    (b"{\"a\":", "json::unexpected_end", 5),
    (b"{\"a\":1", "json::unexpected_end", 6),
    (b"{\"a\":1,", "json::unexpected_end", 7),
    (b"{\"a\":1,}", "json::unexpected_character", 7),
    (b"{,}", "json::unexpected_character", 1),
    (b"{a:1}", "json::unexpected_character", 1),
    (b"{'a':1}", "json::unexpected_character", 1),
    (b"{\"a\" 1}", "json::unexpected_character", 5),
    (b"{\"a\":1 \"b\":2}", "json::unexpected_character", 7),
    (b"{\"a\":}", "json::unexpected_character", 5),
    (b"{\"a\":nul}", "json::unexpected_character", 5),
    (b"{\"a\":True}", "json::unexpected_character", 5),
    (b"{\"a\":+1}", "json::unexpected_character", 5),
    (b"{\"a\":.5}", "json::unexpected_character", 5),
    (b"{\"a\":01}", "json::invalid_number", 6),
    (b"{\"a\":1.}", "json::invalid_number", 7),
    (b"{\"a\":-}", "json::invalid_number", 6),
    (b"{\"a\":1e}", "json::invalid_number", 7),
    (b"{\"a\":1e+}", "json::invalid_number", 8),
    (b"{\"a\":-x}", "json::invalid_number", 6),
    (b"{\"a\":1", "json::unexpected_end", 6),
    (b"{\"a\":-", "json::unexpected_end", 6),
    (b"{\"a\":NaN}", "json::not_a_number", 5),
    (b"{\"a\":-Infinity}", "json::not_a_number", 5),
    (b"{\"a\":\"x", "json::unexpected_end", 7),
    (b"{\"a\":\"x\\", "json::unexpected_end", 8),
    (b"{\"a\":\"x\ny\"}", "json::control_character", 7),
    (b"{\"a\":\"0123456789\x1f\"}", "json::control_character", 16),
    (b"{\"a\\x\":1}", "json::invalid_escape", 3),
    (b"{\"a\":\"\\u12g4\"}", "json::invalid_escape", 6),
    (b"{\"a\":\"\\u12", "json::invalid_escape", 6),
    (b"{\"a\":\"\\ud800\"}", "json::lone_surrogate", 6),
    (b"{\"a\":\"\\ud800\\n\"}", "json::lone_surrogate", 6),
    (b"{\"a\":\"\\ud800\\ud800\"}", "json::lone_surrogate", 6),
    (b"{\"a\":\"\\udc00\"}", "json::lone_surrogate", 6),
    (b"{\"a\":\"\xff\"}", "json::not_utf8", 6),
    (b"{\"a\":\"\xed\xa0\x80\"}", "json::not_utf8", 6),
    (b"{\"a\":1} x", "json::trailing_characters", 8),
    (b"{\"a\":1}{}", "json::trailing_characters", 7),
    (b"{\"a\":1,\"b\":2,\"a\":3}", "json::duplicate_key", 13),
    (b"{\"x\":1,\"a\":2,\"x\":3}", "json::duplicate_key", 13),
    (b"{\"x\":1,\"\\u0078\":3}", "json::duplicate_key", 7),
    (b"{\"a\":1,\"\\u0061\":3}", "json::duplicate_key", 7),
    (b"{\"a\":[1,]}", "json::unexpected_character", 8),
    (b"{\"a\":[1 2]}", "json::unexpected_character", 8),
    (b"{\"a\":[1}}", "json::unexpected_character", 7),
    (b"{\"a\":{\"b\"}}", "json::unexpected_character", 9),
    (b"{\"a\":{\"b\":1,}}", "json::unexpected_character", 12),
    (b"{\"a\":{1:2}}", "json::unexpected_character", 6),
    (b"{\"a\":[[[", "json::unexpected_end", 8),
    (b"{\"a\":[\"\\q\"]}", "json::invalid_escape", 7),
    (b"\xef\xbb\xbf{}", "json::unexpected_character", 0),
];

#[test]
fn every_malformed_document_is_refused_with_its_code_and_place() {
    let mut decoder = Decoder::new(&schema(&[("a", "json"), ("t", "utf8")]), EXPLICIT);
    decoder.push(br#"{"a":0,"t":"first"}"#).unwrap();
    let mut inference = Inference::new();
    for (document, code, at) in MALFORMED {
        let shown = String::from_utf8_lossy(document);
        let refused = decoder.push(document).unwrap_err();
        assert_eq!(refused.code, *code, "{shown}: {refused}");
        assert!(
            refused.message.ends_with(&format!("at byte {at}")),
            "{shown}: {refused}, not {at}"
        );
        assert_eq!(
            inference.observe(document).unwrap_err().code,
            *code,
            "{shown}"
        );
    }
    decoder.push(br#"{"a":1,"t":"last"}"#).unwrap();
    let records = decoder.finish().unwrap();
    assert_eq!(
        records.num_rows(),
        2,
        "nothing of a refused document was appended"
    );
    assert_eq!(row(&records, 1), r#"{"a":1,"t":"last"}"#);
}

#[test]
fn a_document_cut_anywhere_is_refused() {
    let document =
        r#"{"a":[1.5e3,{"b":"ü\ud83e\udd80\n"},true,null],"t":"x","new":{"y":[]}}"#.as_bytes();
    let mut decoder = Decoder::new(&schema(&[("a", "json"), ("t", "utf8")]), EXPLICIT);
    for end in 0..document.len() {
        assert!(
            decoder.push(&document[..end]).is_err(),
            "cut after {end} bytes"
        );
    }
    decoder.push(document).unwrap();
    assert_eq!(decoder.finish().unwrap().num_rows(), 1);
}

#[test]
fn any_byte_may_be_wrong_without_a_panic() {
    let document =
        r#"{"a":[1.5e3,{"b":"ü\ud83e\udd80\n"},true,null],"t":"x","n":-17,"new":{"y":[]}}"#;
    let schema = schema(&[("a", "json"), ("t", "utf8"), ("n", "int64")]);
    let mut decoder = Decoder::new(&schema, EXPLICIT);
    let mut accepted = 0;
    for at in 0..document.len() {
        for byte in 0..=255u8 {
            let mut bytes = document.as_bytes().to_vec();
            bytes[at] = byte;
            let ours = decoder.push(&bytes).is_ok();
            accepted += usize::from(ours);
            // Serde sees no duplicates and no depth, nothing else is different.
            let serde =
                serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes);
            assert!(
                serde.is_ok() || !ours,
                "we take {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    assert_eq!(decoder.finish().unwrap().num_rows(), accepted);
    assert!(accepted > document.len());
}

#[test]
fn nesting_is_limited_and_costs_no_stack() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let mut decoder = Decoder::new(&schema(&[("a", "json")]), EXPLICIT);
    // The document itself is the first level.
    decoder
        .push(nested(MAX_DEPTH as usize - 1).as_bytes())
        .unwrap();
    for depth in [MAX_DEPTH as usize, 1_000_000] {
        assert_eq!(
            decoder.push(nested(depth).as_bytes()).unwrap_err().code,
            "json::too_deep"
        );
    }
    let objects = format!("{{\"a\":{}1{}}}", "{\"b\":".repeat(127), "}".repeat(127));
    decoder.push(objects.as_bytes()).unwrap();
    assert_eq!(row(&decoder.finish().unwrap(), 1), objects);
}

#[test]
fn many_unknown_fields_are_checked_for_duplicates_in_no_time() {
    let fields: Vec<String> = (0..20_000).map(|i| format!("\"f{i}\":{i}")).collect();
    let mut decoder = Decoder::new(&schema(&[("a", "json")]), EXPLICIT);
    decoder
        .push(format!("{{{}}}", fields.join(",")).as_bytes())
        .unwrap();
    let twice = format!("{{{},\"f77\":0}}", fields.join(","));
    assert_eq!(
        decoder
            .push(twice.as_bytes())
            .unwrap_err()
            .column
            .as_deref(),
        Some("f77")
    );
}
