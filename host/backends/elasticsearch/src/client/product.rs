//! Which of the two products a server is, and which version: they open points in time in ways of
//! their own, and neither did in its first years.

use std::collections::BTreeMap;
use std::fmt;

use dkhost_core::{Error, Result};
use serde::Deserialize;

use super::{Answer, Client, Request};
use crate::fault;

/// Who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Elasticsearch,
    OpenSearch,
}

/// A product and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub kind: Kind,
    /// As it spells it: `8.19.21`.
    pub version: String,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Elasticsearch => "Elasticsearch",
            Kind::OpenSearch => "OpenSearch",
        };
        write!(f, "{kind} {}", self.version)
    }
}

/// What a node says of its version at `/_nodes/_local`.
#[derive(Deserialize)]
struct Local {
    nodes: BTreeMap<String, Named>,
}

#[derive(Deserialize)]
struct Named {
    version: String,
}

/// What a server says of itself at `/`.
#[derive(Deserialize)]
struct Root {
    version: RootVersion,
}

#[derive(Deserialize)]
struct RootVersion {
    number: String,
    distribution: Option<String>,
    build_flavor: Option<String>,
}

/// Asks a server what it is.
///
/// Elasticsearch says so in a header of every answer since 7.14; OpenSearch and what is older say
/// it at `/`, which some installations of Elasticsearch do not have.
pub(super) fn detect(client: &Client) -> Result<Product> {
    let doing = format!("connect to {}", client.name());
    let local = Request::get(&doing, "_nodes/_local").with("filter_path", "nodes.*.version");
    let answer = client.send(&local)?;
    let is_elasticsearch = answer.product.as_deref() == Some("Elasticsearch");
    if !answer.is_fine() && matches!(answer.status, 401 | 429 | 502..=504) {
        return Err(fault::refused(&doing, &answer));
    }
    if is_elasticsearch && answer.is_fine() {
        let local: Local = answer.parse(&doing)?;
        let named = local.nodes.into_values().next();
        return old_enough(Product {
            kind: Kind::Elasticsearch,
            version: named.map(|named| named.version).unwrap_or_default(),
        });
    }
    let root = client.send(&Request::get(&doing, ""))?;
    if is_elasticsearch && !root.is_fine() {
        // Neither may be asked for: with a version that has the header all is well.
        return Ok(Product {
            kind: Kind::Elasticsearch,
            version: "of an unknown version".into(),
        });
    }
    if !root.is_fine() {
        return Err(fault::refused(&doing, &root));
    }
    old_enough(of_root(&root).ok_or_else(|| not_one(client))?)
}

fn of_root(answer: &Answer) -> Option<Product> {
    let Root { version } = serde_json::from_slice(&answer.body).ok()?;
    let kind = match (version.distribution.as_deref(), &version.build_flavor) {
        (Some("opensearch"), _) => Kind::OpenSearch,
        (None, Some(_)) => Kind::Elasticsearch,
        _ => return None,
    };
    Some(Product {
        kind,
        version: version.number,
    })
}

/// Refuses what is older than its first points in time.
///
/// *Source* – release notes of Elasticsearch 7.10 and OpenSearch 2.4.
fn old_enough(product: Product) -> Result<Product> {
    let mut parts = product
        .version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
    let version = (
        parts.next().unwrap_or(u32::MAX),
        parts.next().unwrap_or(u32::MAX),
    );
    let first = match product.kind {
        Kind::Elasticsearch => (7, 10),
        Kind::OpenSearch => (2, 4),
    };
    if version >= first {
        return Ok(product);
    }
    let message = format!("{product} is too old: it cannot show an index as it was at one moment");
    Err(
        Error::config("elasticsearch::too_old", message).help(format!(
            "the first version that can is {}.{}",
            first.0, first.1
        )),
    )
}

fn not_one(client: &Client) -> Error {
    let message = format!("{} is neither Elasticsearch nor OpenSearch", client.name());
    Error::config("elasticsearch::not_elasticsearch", message)
        .help("is the port the one of its HTTP interface (9200 unless set otherwise), and is nothing between that answers in its place?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(body: &str) -> Option<Product> {
        of_root(&Answer {
            node: "n".into(),
            status: 200,
            retry_after: None,
            product: None,
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn a_server_is_what_it_says_it_is() {
        let opensearch = root(r#"{"version":{"distribution":"opensearch","number":"2.19.1"}}"#);
        assert_eq!(opensearch.unwrap().to_string(), "OpenSearch 2.19.1");
        let old = root(r#"{"version":{"number":"7.10.2","build_flavor":"default"}}"#);
        assert_eq!(old.unwrap().to_string(), "Elasticsearch 7.10.2");
        assert_eq!(root(r#"{"version":{"number":"1.0"}}"#), None);
        assert_eq!(root("<html>"), None);
    }

    #[test]
    fn what_has_no_points_in_time_is_refused() {
        let outcome = |kind, version: &str| {
            old_enough(Product {
                kind,
                version: version.into(),
            })
            .map_err(|error| error.code())
            .map(|_| ())
        };
        assert_eq!(outcome(Kind::Elasticsearch, "7.10.0"), Ok(()));
        assert_eq!(outcome(Kind::Elasticsearch, "10.0.0"), Ok(()));
        assert_eq!(
            outcome(Kind::Elasticsearch, "6.8.23"),
            Err("elasticsearch::too_old")
        );
        assert_eq!(
            outcome(Kind::OpenSearch, "2.3.0"),
            Err("elasticsearch::too_old")
        );
        assert_eq!(outcome(Kind::OpenSearch, "3.0.0-alpha1"), Ok(()));
    }
}
