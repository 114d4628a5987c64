//! dataknobs itself, with a store in a database.

use std::path::Path;

use dkhost_servers::Database;
use serde_json::Value;

/// Lets dataknobs `write` or `read` the store in `table`; what it prints.
pub fn dataknobs(doing: &str, database: &Database, table: &str) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dataknobs");
    let (user, place) = database
        .url
        .strip_prefix("postgres://")
        .and_then(|rest| rest.split_once('@'))
        .unwrap();
    let (address, name) = place.split_once('/').unwrap();
    let name = name.split('?').next().unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let (user, _) = user.split_once(':').unwrap_or((user, ""));
    let records = own.join("records.json");
    let records = records.to_str().unwrap();
    let arguments = [doing, host, port, name, user, table, records];
    dkhost_servers::dataknobs(&own.join("store.py"), &arguments)
}

/// What dataknobs reads in a store: id → fields and metadata.
pub fn found(database: &Database, table: &str) -> Value {
    serde_json::from_str(&dataknobs("read", database, table)).unwrap()
}
