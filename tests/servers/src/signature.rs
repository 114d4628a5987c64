//! AWS Signature Version 4, for the few requests by which tests look at a bucket without the
//! product's SDK.
//!
//! *Source* – AWS "Signing requests with Signature Version 4", canonical request and string to
//! sign as written there; the test is its own example.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// Whose signature it is, and where it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signer<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub region: &'a str,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub method: &'a str,
    /// Encoded.
    pub path: &'a str,
    /// Encoded names and values, in any order.
    pub query: &'a [(String, String)],
    /// `host`, and what else shall be signed; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub at: SystemTime,
}

impl Signer<'_> {
    /// The headers that make a request a signed one, beside those it has.
    pub(crate) fn headers(&self, request: &Signed<'_>) -> Vec<(&'static str, String)> {
        let stamp = stamp(request.at);
        let day = &stamp[..8];
        let content = hex(&Sha256::digest(request.body));
        let own = [("x-amz-content-sha256", &*content), ("x-amz-date", &*stamp)];
        let mut headers = [request.headers, &own].concat();
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"));
        let canonical = format!(
            "{}\n{}\n{}\n{}\n{names}\n{content}",
            request.method,
            request.path,
            query(request.query),
            lines.collect::<String>(),
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = hex(&Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [day, self.region, "s3", "aws4_request", &to_sign] {
            key = hmac(&key, part.as_bytes()).to_vec();
        }
        let signature = hex(&key);
        let credential = format!("{}/{scope}", self.access_key);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
        );
        vec![
            ("x-amz-content-sha256", content),
            ("x-amz-date", stamp),
            ("authorization", authorization),
        ]
    }
}

/// A query as it stands in a URL, in the order of its names.
pub(crate) fn query(pairs: &[(String, String)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Percent-encoded, all but letters, digits, `-._~`, and `/` where it separates.
pub(crate) fn encoded(text: &str, keep: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        match c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) {
            true => encoded.push(c),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `20130524T000000Z`.
fn stamp(at: SystemTime) -> String {
    let seconds = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        let length = length + u64::from(month == 2 && is_leap(year));
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!(
        "{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z",
        days + 1
    )
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    match key.len() > 64 {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = Sha256::digest([&block.map(|b| b ^ 0x36)[..], message].concat());
    Sha256::digest([&block.map(|b| b ^ 0x5c)[..], &inner].concat()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Signed, Signer, encoded, stamp};

    #[test]
    fn the_example_of_the_specification_is_signed_as_it_says() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            region: "us-east-1",
        };
        let request = Signed {
            method: "GET",
            path: "/",
            query: &[
                ("prefix".into(), "J".into()),
                ("max-keys".into(), "2".into()),
            ],
            headers: &[("host", "examplebucket.s3.amazonaws.com")],
            body: b"",
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600),
        };
        let headers = signer.headers(&request);
        let (_, authorization) = headers.last().unwrap();
        let expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(authorization.ends_with(expected), "{authorization}");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_704_067_199, "20231231T235959Z"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(stamp(at), expected);
        }
    }

    #[test]
    fn keys_are_encoded_byte_by_byte() {
        assert_eq!(encoded("a/b c+ä~", "/"), "a/b%20c%2B%C3%A4~");
        assert_eq!(encoded("a/b", ""), "a%2Fb");
    }
}
