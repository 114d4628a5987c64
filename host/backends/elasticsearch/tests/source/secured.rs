//! A server that asks who we are, and is asked the same.

use dkhost_core::Class;
use serde_json::json;

use crate::support::{Server, read, refused};

#[test]
fn a_server_is_read_over_tls_by_who_may() {
    let server = Server::of(dkhost_servers::secured_elasticsearch(), false);
    let index = server.index(&json!({}));
    index.fill(0..100);
    assert_eq!(read(index.source(json!({})).unwrap().as_ref()).len(), 100);
    let user = json!({"username": "elastic", "password": "not it"});
    let error = refused(index.source_as(json!({"auth": user})));
    assert_eq!(
        (error.code(), error.class()),
        ("elasticsearch::not_let_in", Class::Config)
    );
    assert!(!format!("{} {error:?}", error.chain()).contains("not it"));
}
