//! The options `url`, `auth` and `api_key`: where the nodes are, and who we are to them.

use std::fmt;

use dkhost_core::{Error, NodeKind, Options, Result};
use elasticsearch::auth::Credentials;
use elasticsearch::http::Url;

/// Who we are. Never shown.
#[derive(Clone)]
pub(super) enum Login {
    Nobody,
    User(String, String),
    /// The base64 of `id:key`, or both as they are.
    Key(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Login::Nobody => "nobody",
            Login::User(..) => "a user",
            Login::Key(_) => "an API key",
        })
    }
}

impl Login {
    /// As the client takes it.
    pub fn credentials(&self) -> Option<Credentials> {
        match self {
            Login::Nobody => None,
            Login::User(name, password) => Some(Credentials::Basic(name.clone(), password.clone())),
            Login::Key(key) => Some(match key.split_once(':') {
                Some((id, key)) => Credentials::ApiKey(id.to_owned(), key.to_owned()),
                None => Credentials::EncodedApiKey(key.clone()),
            }),
        }
    }
}

/// Where the nodes are, without user and password, and who we are.
#[derive(Debug)]
pub(super) struct Address {
    pub nodes: Vec<Url>,
    pub login: Login,
}

impl Address {
    /// Takes `url`, `auth` and `api_key`.
    ///
    /// *Errors* – `elasticsearch::bad_url`, `elasticsearch::bad_login`; none repeats a password.
    pub fn take(options: &mut Options) -> Result<Self> {
        let span = options.span_of("url");
        let mut nodes = Vec::new();
        let mut inside = None;
        for text in urls(options)? {
            let (url, user) = node(&text).map_err(|error| error.at(span.clone(), "here"))?;
            nodes.push(url);
            inside = inside.or(user);
        }
        if nodes.is_empty() {
            return Err(bad_url("`url` names no node").at(span, "here"));
        }
        let login = login(options, inside)?;
        Ok(Address { nodes, login })
    }
}

/// One url, several in a list, or several with commas between them.
fn urls(options: &mut Options) -> Result<Vec<String>> {
    let listed = matches!(
        options.get("url").map(|node| &node.kind),
        Some(NodeKind::Array(_))
    );
    let texts: Vec<String> = match listed {
        true => options.require("url")?,
        false => vec![options.require("url")?],
    };
    Ok(texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect())
}

type User = (String, String);

/// A node's url without the user in it, and the user.
fn node(text: &str) -> Result<(Url, Option<User>)> {
    // The parser's own words repeat nothing of what it parsed.
    let mut url =
        Url::parse(text).map_err(|cause| bad_url("a `url` cannot be read").caused_by(cause))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(bad_url("a `url` is not that of an http server"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad_url("a `url` has something behind `?` or `#`"));
    }
    let decoded =
        |text: &str| decode(text).ok_or_else(|| bad_url("the user in a `url` is not UTF-8"));
    let user = match (url.username(), url.password()) {
        ("", None) => None,
        (name, password) => Some((decoded(name)?, decoded(password.unwrap_or_default())?)),
    };
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| bad_url("a `url` cannot be read"))?;
    Ok((url, user))
}

fn bad_url(message: &str) -> Error {
    Error::config("elasticsearch::bad_url", message.to_owned())
        .help("such as http://localhost:9200 or https://search.example.com:9243; several nodes in a list: url = [\"…\", \"…\"]")
}

/// Text with `%20` and the like in it, as it is meant.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| std::str::from_utf8(behind.get(..2)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).ok()
}

fn login(options: &mut Options, inside: Option<User>) -> Result<Login> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Auth {
        username: String,
        password: String,
    }
    let (auth_span, key_span) = (options.span_of("auth"), options.span_of("api_key"));
    let auth: Option<Auth> = options.take("auth")?;
    let key: Option<String> = options.take("api_key")?;
    let given = [auth.is_some(), key.is_some(), inside.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(
            bad_login("the job says in more than one way who we are").at(
                key_span,
                "one of `auth`, `api_key` and a user in the url is enough",
            ),
        );
    }
    match (auth, key) {
        (Some(Auth { username, .. }), _) if username.contains(':') => {
            Err(bad_login("a username cannot hold a colon").at(auth_span, "here"))
        }
        (Some(auth), _) => Ok(Login::User(auth.username, auth.password)),
        (_, Some(key)) => api_key(key.trim())
            .ok_or_else(|| bad_login("`api_key` has a character no key has").at(key_span, "here")),
        _ => Ok(inside.map_or(Login::Nobody, |(name, password)| {
            Login::User(name, password)
        })),
    }
}

/// A key as the server gives it, which a header can hold.
fn api_key(key: &str) -> Option<Login> {
    let fine = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    fine.then(|| Login::Key(key.to_owned()))
}

fn bad_login(message: &str) -> Error {
    Error::config("elasticsearch::bad_login", message.to_owned())
        .help("auth = { username = \"…\", password = { env = \"…\" } }, or api_key = { env = \"…\" } with the `encoded` key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(json: serde_json::Value) -> Result<Address> {
        Address::take(&mut Options::from_json("[source]", &json).unwrap())
    }

    #[test]
    fn nodes_and_users_are_told_apart() {
        let one =
            taken(serde_json::json!({"url": "https://me:p%40ss@es.example.com/search"})).unwrap();
        assert_eq!(one.nodes[0].as_str(), "https://es.example.com/search");
        assert!(
            matches!(one.login, Login::User(name, password) if name == "me" && password == "p@ss")
        );
        let two = taken(serde_json::json!({"url": ["http://a:9200", "http://b:9200/"]})).unwrap();
        assert_eq!(
            (two.nodes.len(), format!("{:?}", two.login)),
            (2, "nobody".to_owned())
        );
        let listed = taken(serde_json::json!({"url": "http://a:9200, http://b:9200"})).unwrap();
        assert_eq!(listed.nodes, two.nodes);
    }

    #[test]
    fn a_key_is_taken_encoded_or_in_two_parts() {
        let credentials = |key: &str| {
            let address = taken(serde_json::json!({"url": "http://a", "api_key": key})).unwrap();
            address.login.credentials()
        };
        for key in ["aWQ6a2V5", " aWQ6a2V5\n"] {
            let taken = credentials(key);
            assert!(matches!(taken, Some(Credentials::EncodedApiKey(key)) if key == "aWQ6a2V5"));
        }
        let taken = credentials("id:key");
        assert!(
            matches!(taken, Some(Credentials::ApiKey(id, key)) if (&*id, &*key) == ("id", "key"))
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        let cases = [
            (
                serde_json::json!({"url": "ftp://me:secret@h"}),
                "elasticsearch::bad_url",
            ),
            (
                serde_json::json!({"url": "me:secret@h"}),
                "elasticsearch::bad_url",
            ),
            (
                serde_json::json!({"url": "http://me:secret@h:x"}),
                "elasticsearch::bad_url",
            ),
            (serde_json::json!({"url": " "}), "elasticsearch::bad_url"),
            (
                serde_json::json!({"url": "http://h?x=secret"}),
                "elasticsearch::bad_url",
            ),
            (
                serde_json::json!({"url": "http://h", "api_key": "secret\u{7}"}),
                "elasticsearch::bad_login",
            ),
            (
                serde_json::json!({"url": "http://me:secret@h", "api_key": "secret"}),
                "elasticsearch::bad_login",
            ),
            (
                serde_json::json!({"url": "http://h", "auth": {"username": "a:b", "password": "secret"}}),
                "elasticsearch::bad_login",
            ),
        ];
        for (json, code) in cases {
            let error = taken(json.clone()).unwrap_err();
            assert_eq!(error.code(), code, "{json}");
            assert!(
                !format!("{} {:?}", error.chain(), error).contains("secret"),
                "{json}"
            );
        }
    }
}
