//! What is read, and as what.

use dkhost_core::{Position, StageKind};
use serde_json::{Value as Json, json};

use crate::support::{batches, ids, read, refused, said, servers, small, types};

#[test]
fn columns_are_those_of_the_mapping() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {
            "name": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            "code": {"type": "keyword"}, "ip": {"type": "ip"}, "flag": {"type": "boolean"},
            "byte": {"type": "byte"}, "long": {"type": "long"}, "half": {"type": "half_float"},
            "double": {"type": "double"}, "at": {"type": "date"},
            "day": {"type": "date", "format": "yyyy-MM-dd"}, "nanos": {"type": "date_nanos"},
            "blob": {"type": "binary"}, "place": {"type": "geo_point"},
            "items": {"type": "nested", "properties": {"n": {"type": "long"}}},
            "address": {"properties": {"city": {"type": "keyword"}}},
            "other": {"type": "alias", "path": "code"}
        }}}));
        index.put([("1", r#"{
            "name": "Ada", "code": "a", "ip": "::1", "flag": true, "byte": 1, "long": 9007199254740993,
            "half": 0.1, "double": 1.5e300, "at": "2024-01-01T00:00:00Z", "day": "2024-02-29",
            "nanos": "2024-01-01T00:00:00.123456789Z", "blob": "AQID", "place": {"lat": 1, "lon": 2},
            "items": [{"n": 1}], "address": {"city": "Ulm"}}"#.replace('\n', " ").as_str())]);
        let source = index.source(json!({})).unwrap();
        let mut found = types(source.schema());
        found.sort();
        let expected = [
            "_id utf8",
            "_rest json",
            "address json",
            "at timestamp(us, UTC)",
            "blob binary",
            "byte int32",
            "code utf8",
            "day date32",
            "double float64",
            "flag boolean",
            "half float64",
            "ip utf8",
            "items json",
            "long int64",
            "name utf8",
            "nanos utf8",
            "place json",
        ];
        assert_eq!(found, expected, "{}", server.url());
        let line: Json = serde_json::from_str(&read(source.as_ref())[0]).unwrap();
        assert_eq!(line["long"].to_string(), "9007199254740993");
        assert_eq!(line["nanos"], "2024-01-01T00:00:00.123456789Z");
        assert_eq!(line["address"], json!({"city": "Ulm"}));
        assert_eq!(line.get("_rest"), None);
    }
}

#[test]
fn what_does_not_fit_stays_in_the_record() {
    for server in servers() {
        let mapping = json!({"mappings": {"dynamic": false, "properties": {
            "tags": {"type": "keyword"}, "n": {"type": "long"}
        }}});
        let index = server.index(&mapping);
        // Behind the sample, so that its types are those of the mapping.
        let first: Vec<(String, &str)> = (0..1_000)
            .map(|n| (format!("a{n}"), r#"{"tags":"x","n":1}"#))
            .collect();
        index.put(first);
        let drifted = [
            r#"{"tags":["a","b"],"n":2}"#,
            r#"{"tags":"y","n":"3","unmapped":{"deep":[1.50,null]}}"#,
            r#"{"tags":null,"n":4.0}"#,
        ];
        index.put(
            drifted
                .iter()
                .enumerate()
                .map(|(n, text)| (format!("b{n}"), *text)),
        );
        let source = index
            .source_with(json!({}), |open| open.explicit_nulls = true)
            .unwrap();
        let lines = read(source.as_ref());
        let found: Vec<Json> = lines[1_000..]
            .iter()
            .map(|line| {
                let mut record: Json = serde_json::from_str(line).unwrap();
                let mut rest = record
                    .as_object_mut()
                    .unwrap()
                    .remove("_rest")
                    .unwrap_or_default();
                for (name, value) in rest.as_object_mut().into_iter().flatten() {
                    record[name] = value.take();
                }
                record.as_object_mut().unwrap().remove("_id");
                record
            })
            .collect();
        for (found, sent) in found.iter().zip(drifted) {
            let sent: Json = serde_json::from_str(sent).unwrap();
            assert_eq!(*found, sent, "{}", server.url());
        }
    }
}

#[test]
fn every_document_is_read_beyond_the_servers_limits() {
    for server in servers() {
        let index = server.index(&json!({}));
        index.fill(0..10_001);
        let source = index.source(json!({})).unwrap();
        let found = ids(&read(source.as_ref()));
        let expected: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
        assert_eq!(found, expected, "{}", server.url());
    }
}

#[test]
fn slices_have_every_document_once() {
    for server in servers() {
        let index = server.index(&json!({"settings": {"number_of_shards": 2}}));
        index.fill(0..100_000);
        let source = index
            .source_with(json!({}), |open| open.partitions = 5)
            .unwrap();
        let partitions = source.partitions().unwrap();
        assert!(partitions.len() >= 4, "{} partitions", partitions.len());
        assert_eq!(source.estimate().records, Some(100_000));
        let mut seen = vec![0; 100_000];
        for partition in &partitions {
            let some = batches(source.as_ref(), partition, &Position::start());
            assert!(!some.is_empty(), "{}", partition.label);
            for id in ids(&said(&some)) {
                seen[id.parse::<usize>().unwrap()] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1), "{}", server.url());
    }
}

#[test]
fn ids_and_values_are_what_they_are() {
    for server in servers() {
        let index = server.index(&json!({}));
        let long = "x".repeat(512);
        let hostile = [
            "a/b",
            "..",
            ".",
            "%2e",
            "a\"b\\c",
            "line\nbreak",
            "{\"index\":{}}",
            " ",
            "\u{0}",
            "\u{7f}\u{202e}ü😀",
            "_search",
            "?q=1#x",
            long.as_str(),
        ];
        let document =
            json!({"text": "a\n{\"delete\":{\"_id\":\"a/b\"}}\n\u{0}\u{1f}\"\\"}).to_string();
        index.put(hostile.iter().map(|id| (*id, document.as_str())));
        let source = index.source(json!({})).unwrap();
        let lines = read(source.as_ref());
        assert_eq!(ids(&lines), hostile, "{}", server.url());
        for line in &lines {
            let record: Json = serde_json::from_str(line).unwrap();
            assert_eq!(json!({"text": record["text"]}).to_string(), document);
        }
    }
}

#[test]
fn numbers_keep_their_digits_also_when_some_columns_are_asked_for() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {
            "d": {"type": "double"}, "n": {"type": "long"}, "k": {"type": "keyword"}
        }}}));
        index.put([(
            "1",
            r#"{"d":0.12345678901234567890123,"n":-9223372036854775808,"k":"a"}"#,
        )]);
        let only = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let source = index
                .source_with(json!({}), |open| open.columns = Some(names))
                .unwrap();
            read(source.as_ref()).remove(0)
        };
        assert!(
            only(&["d"]).contains("0.12345678901234567890123"),
            "{}",
            only(&["d"])
        );
        assert!(only(&["n"]).contains("-9223372036854775808") && !only(&["n"]).contains("\"k\""));
    }
}

#[test]
fn large_documents_come_in_batches_of_some_bytes() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {"text": {"type": "keyword", "index": false, "doc_values": false}}}}));
        let document = json!({"text": "x".repeat(300_000)}).to_string();
        let documents: Vec<(String, &str)> = (0..60)
            .map(|n| (n.to_string(), document.as_str()))
            .collect();
        documents
            .chunks(20)
            .for_each(|some| index.put(some.iter().map(|(id, d)| (id, *d))));
        let source = index
            .source_with(json!({}), |open| open.batch.bytes = 1 << 20)
            .unwrap();
        let found = batches(
            source.as_ref(),
            &source.partitions().unwrap()[0],
            &Position::start(),
        );
        assert_eq!(found.len(), 20, "three in each");
        assert_eq!(ids(&said(&found)).len(), 60);
    }
}

#[test]
fn aliases_patterns_and_queries_say_what_is_read() {
    for server in servers() {
        let (one, two) = (server.index(&json!({})), server.index(&json!({})));
        one.fill(0..10);
        two.fill(10..20);
        let alias = format!("{}-alias", one.name);
        let actions = json!({"actions": [
            {"add": {"index": one.name, "alias": alias, "filter": {"range": {"n": {"lt": 3}}}}},
            {"add": {"index": two.name, "alias": alias, "filter": {"range": {"n": {"gte": 18}}}}}
        ]});
        server.must("POST", "_aliases", &actions.to_string());
        let count = |options: Json| read(one.source(options).unwrap().as_ref()).len();
        assert_eq!(count(json!({"index": alias})), 5);
        assert_eq!(
            count(json!({"index": format!("{},{}", one.name, two.name)})),
            20
        );
        assert_eq!(count(json!({"query": {"range": {"n": {"gte": 4}}}})), 6);
        assert_eq!(
            count(json!({"index": alias, "query": r#"{"term":{"n":19}}"#})),
            1
        );
        let wrong = one.source(json!({"query": {"no_such_query": {}}}));
        assert_eq!(refused(wrong).code(), "elasticsearch::bad_query");
    }
}

#[test]
fn what_is_not_there_is_said_with_what_is_meant() {
    for server in servers() {
        let index = server.index(&json!({}));
        let error = refused(index.source(json!({"index": format!("{}x", index.name)})));
        assert_eq!(error.code(), "elasticsearch::no_index");
        assert_eq!(
            error.help_text().unwrap(),
            format!("did you mean `{}`?", index.name)
        );
        let error =
            refused(index.source_with(json!({}), |open| open.columns = Some(vec!["nope".into()])));
        assert_eq!(error.code(), "elasticsearch::no_field", "{}", error.chain());
        let hidden = server.index(&json!({"mappings": {"_source": {"enabled": false}}}));
        assert_eq!(
            refused(hidden.source(json!({}))).code(),
            "elasticsearch::no_source"
        );
    }
}

#[test]
fn an_empty_index_is_read() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"properties": {"at": {"type": "date"}}}}));
        let source = index.source(json!({})).unwrap();
        assert_eq!(
            types(source.schema()),
            ["_id utf8", "at timestamp(us, UTC)", "_rest json"]
        );
        assert!(read(source.as_ref()).is_empty());
    }
}

#[test]
fn a_document_that_cannot_be_read_is_refused_alone() {
    for server in servers() {
        let index = server.index(&json!({"mappings": {"enabled": false}}));
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        index.put([("a", "{}"), ("b", deep.as_str()), ("c", "{}")]);
        let source = index
            .source_with(json!({}), |open| open.batch = small(10))
            .unwrap();
        let found = batches(
            source.as_ref(),
            &source.partitions().unwrap()[0],
            &Position::start(),
        );
        let [batch] = found.as_slice() else {
            panic!("{} batches", found.len())
        };
        let [reject] = batch.rejects.as_slice() else {
            panic!("{:?}", batch.rejects)
        };
        assert_eq!(
            (reject.source_row, reject.kind, reject.code.as_str()),
            (1, StageKind::Decode, "json::too_deep")
        );
        assert_eq!(batch.source.payload(1).bytes, deep.as_bytes());
        assert_eq!(
            batch.source.locator(1).to_string(),
            format!("index {}, id b", index.name)
        );
        assert_eq!(ids(&said(&found)), ["a", "c"]);
    }
}

#[test]
fn moments_are_closed_in_the_end() {
    for server in servers() {
        let index = server.index(&json!({"settings": {"number_of_shards": 3}}));
        index.fill(0..100);
        let stats = || {
            let said = server.must("GET", &format!("{}/_stats/search", index.name), "");
            said["_all"]["total"]["search"]["open_contexts"]
                .as_u64()
                .unwrap()
        };
        let source = index.source(json!({})).unwrap();
        read(source.as_ref());
        assert_eq!(stats(), 3, "{}", server.url());
        drop(source);
        assert_eq!(stats(), 0, "{}", server.url());
    }
}

#[test]
fn a_vector_is_read_as_one() {
    for server in servers() {
        // The other product has vectors in a plugin only.
        if server.is_opensearch {
            continue;
        }
        let index = server.index(&json!({"mappings": {"properties": {
            "v": {"type": "dense_vector", "dims": 2, "index": false}
        }}}));
        index.put([("1", r#"{"v":[0.5,2.0]}"#), ("2", "{}")]);
        let source = index.source(json!({})).unwrap();
        assert_eq!(
            types(source.schema()),
            ["_id utf8", "v vector(2)", "_rest json"]
        );
        let lines = read(source.as_ref());
        let vector: Json = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(vector["v"], json!([0.5, 2.0]), "{lines:?}");
        assert!(!lines[1].contains("\"v\""), "{lines:?}");
    }
}
