//! Sizes and durations as people write them: `8MiB`, `100ms`.

use std::time::Duration;

use dkhost_core::{Error, Node, NodeKind, Result};

/// Bytes: `8MiB`, `64 KB`, `1048576`.
pub fn bytes(node: &Node, name: &str) -> Result<u64> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    match &node.kind {
        NodeKind::Integer(n) if *n > 0 => Some(*n as u64),
        NodeKind::Text(text) => with_unit(text, &units, 1),
        _ => None,
    }
    .filter(|bytes| *bytes > 0)
    .ok_or_else(|| wrong(node, name, "a size such as \"8MiB\""))
}

/// A duration: `100ms`, `10s`, `5m`, `1h`; a plain number is seconds.
pub fn duration(node: &Node, name: &str) -> Result<Duration> {
    let units = [
        ("ms", 1),
        ("min", 60_000),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    match &node.kind {
        NodeKind::Integer(n) if *n >= 0 => (*n as u64).checked_mul(1_000),
        NodeKind::Text(text) => with_unit(text, &units, 1_000),
        _ => None,
    }
    .map(Duration::from_millis)
    .ok_or_else(|| wrong(node, name, "a duration such as \"100ms\" or \"10s\""))
}

fn with_unit(text: &str, units: &[(&str, u64)], default: u64) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = (text[..split].trim(), text[split..].trim());
    let factor = match unit {
        "" => default,
        unit => {
            units
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
                .1
        }
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => {
            let value = number.parse::<f64>().ok()? * factor as f64;
            (value.is_finite() && value >= 0.0 && value < u64::MAX as f64).then_some(value as u64)
        }
    }
}

/// Bytes from 1 to `max_gib` GiB: what is larger is a typing mistake, not a budget.
pub fn bytes_up_to(node: &Node, name: &str, max_gib: u64) -> Result<u64> {
    let read = bytes(node, name)?;
    match read <= max_gib << 30 {
        true => Ok(read),
        false => Err(wrong(
            node,
            name,
            &format!("a size up to {max_gib}GiB, such as \"8MiB\""),
        )),
    }
}

/// A duration of at most `max`, which is `shown` to people.
pub fn duration_up_to(node: &Node, name: &str, max: Duration, shown: &str) -> Result<Duration> {
    let read = duration(node, name)?;
    match read <= max {
        true => Ok(read),
        false => Err(wrong(
            node,
            name,
            &format!("a duration up to {shown}, such as \"10s\""),
        )),
    }
}

/// The error for a value of the wrong type or range.
pub fn wrong(node: &Node, name: &str, wanted: &str) -> Error {
    let is = match &node.kind {
        NodeKind::Integer(n) => format!("this is {n}"),
        NodeKind::Float(n) => format!("this is {n}"),
        _ => format!("this is {}", node.what()),
    };
    Error::config("job::wrong_value", format!("`{name}` must be {wanted}"))
        .at(node.span.clone(), is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        let text = |t: &str| Node::new(NodeKind::Text(t.into()));
        assert_eq!(bytes(&text("8MiB"), "x").unwrap(), 8 << 20);
        assert_eq!(bytes(&text("1.5 MB"), "x").unwrap(), 1_500_000);
        assert_eq!(
            duration(&text("100ms"), "x").unwrap(),
            Duration::from_millis(100)
        );
        assert_eq!(
            duration(&text("10m"), "x").unwrap(),
            Duration::from_secs(600)
        );
        for bad in [
            "",
            "-1s",
            "eight",
            "8 furlongs",
            "99999999999999999999GiB",
            "1.2.3MiB",
            "0",
            "0.1B",
            "nan",
            "inf MiB",
        ] {
            assert!(bytes(&text(bad), "x").is_err(), "{bad}");
        }
        assert!(bytes_up_to(&text("1GiB"), "x", 1).is_ok());
        assert!(bytes_up_to(&text("1.01GiB"), "x", 1).is_err());
    }
}
