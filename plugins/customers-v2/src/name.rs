//! Names in two parts.

/// The parts of a name.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// Everything before the last word; the only one.
    pub first: Option<String>,
    /// The last of several words.
    pub last: Option<String>,
    /// The name as it was, where the parts do not give it back.
    pub full: Option<String>,
}

/// Splits a name before its last word.
pub fn split(name: Option<&str>) -> Parts {
    let trimmed = name.map(str::trim).filter(|name| !name.is_empty());
    let (first, last) = match trimmed.map(|name| name.rsplit_once(char::is_whitespace)) {
        Some(Some((first, last))) => (Some(first.trim_end()), Some(last)),
        Some(None) => (trimmed, None),
        None => (None, None),
    };
    let full = name.filter(|name| join(first, last).as_deref() != Some(*name));
    Parts {
        first: first.map(str::to_owned),
        last: last.map(str::to_owned),
        full: full.map(str::to_owned),
    }
}

/// The name that was split: the full one if it was kept, and is still that of the parts; who changed
/// the parts since means another name.
pub fn restore(first: Option<&str>, last: Option<&str>, full: Option<&str>) -> Option<String> {
    let is_of_these = |full: &&str| {
        let parts = split(Some(full));
        (parts.first.as_deref(), parts.last.as_deref()) == (first, last)
    };
    match full.filter(is_of_these) {
        Some(full) => Some(full.to_owned()),
        None => join(first, last),
    }
}

/// Puts a name together.
fn join(first: Option<&str>, last: Option<&str>) -> Option<String> {
    match (first, last) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(name), None) | (None, Some(name)) => Some(name.to_owned()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> (Option<String>, Option<String>, Option<String>) {
        let Parts { first, last, full } = split(Some(name));
        (first, last, full)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_last_word_is_the_last_name() {
        assert_eq!(parts("Ada Lovelace"), (some("Ada"), some("Lovelace"), None));
        assert_eq!(parts("Plato"), (some("Plato"), None, None));
        let long = parts("Juan Carlos Alfonso Víctor");
        assert_eq!(long, (some("Juan Carlos Alfonso"), some("Víctor"), None));
    }

    #[test]
    fn every_name_comes_back() {
        for name in [
            "",
            " ",
            "Ada",
            " Ada  Lovelace",
            "Ada\u{2003}Lovelace",
            "a b c",
            "\t",
        ] {
            let Parts { first, last, full } = split(Some(name));
            let back = restore(first.as_deref(), last.as_deref(), full.as_deref());
            assert_eq!(back.as_deref(), Some(name));
        }
        assert_eq!(restore(None, None, None), None);
        assert_eq!(
            split(None),
            Parts {
                first: None,
                last: None,
                full: None
            }
        );
    }

    #[test]
    fn a_name_that_was_changed_since_is_not_taken_back() {
        let was = Some("  Grace   Hopper ");
        let back = |first, last| restore(Some(first), Some(last), was).unwrap();
        assert_eq!(back("Grace", "Hopper"), "  Grace   Hopper ");
        assert_eq!(back("Grace", "Murray"), "Grace Murray");
        assert_eq!(restore(Some("Grace"), None, Some("")).unwrap(), "Grace");
    }
}
