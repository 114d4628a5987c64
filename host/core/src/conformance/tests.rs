//! The suite finds what is wrong: a backend with one fault fails exactly where it should.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::faulty::{Fault, Faulty};
use super::*;

/// The strays as records of a memory source, where a number is no record.
pub(crate) fn in_memory(strays: &[Stray]) -> Planted {
    // The options of a job have no null.
    let text = |stray: &Stray| stray.document().unwrap_or("7");
    let held = |stray: &&Stray| !text(stray).contains("null");
    let texts: Vec<&str> = strays.iter().filter(held).map(text).collect();
    let records: serde_json::Value =
        serde_json::from_str(&format!("[{}]", texts.join(","))).unwrap();
    let found = strays.iter().map(|stray| match stray {
        Stray::Malformed => Found::Refused(b"7".to_vec()),
        stray if held(&stray) => Found::Whole,
        _ => Found::Nowhere,
    });
    Planted {
        base: "".into(),
        source: json!({"records": records, "fields": declared(), "infer": 1}),
        found: found.collect(),
        tells_nulls: true,
    }
}

struct Trials(Faulty, AtomicU32);

impl Fixture for Trials {
    fn backend(&self) -> &dyn Backend {
        &self.0
    }
    fn place(&self) -> Place {
        let next = self.1.fetch_add(1, Ordering::Relaxed);
        Place {
            base: "".into(),
            // A table that takes a rest has to be one without documents.
            target: json!({
                "name": format!("faulty {:?} {next}", self.0.0),
                "documents": self.0.0 != Fault::TakesTheRestSilently,
            }),
        }
    }
    fn source(&self, place: &Place, _schema: &Schema) -> serde_json::Value {
        json!({"name": place.target["name"]})
    }
    fn plant(&self, strays: &[Stray]) -> Planted {
        in_memory(strays)
    }
    fn traits(&self) -> Traits {
        Traits::default()
    }
}

#[test]
fn every_fault_is_found_by_the_case_that_is_there_for_it() {
    for (fault, case) in [
        (Fault::None, ""),
        (Fault::LosesLastRow, "exactly k batches come back in order"),
        (
            Fault::ForgetsCheckpoint,
            "a run killed at any batch resumes to the same content",
        ),
        (Fault::NeverFences, "an older epoch cannot commit"),
        (Fault::KeepsRolledBack, "a roll-back leaves nothing"),
        (
            Fault::ReadsBackNothing,
            "what was written is read back before the commit",
        ),
        (Fault::HidesRejects, "every conflict mode does what it says"),
        (
            Fault::MiscountsReplaced,
            "every conflict mode does what it says",
        ),
        (
            Fault::SkipsRecordOnResume,
            "reading from a position gives what is left",
        ),
        (
            Fault::BatchesTooLarge,
            "reading twice gives the same batches and locators",
        ),
        (
            Fault::CallsEverythingLossy,
            "every type and extreme comes back, or is refused",
        ),
        (Fault::CannotEvolveSilently, "columns are added, or refused"),
        (
            Fault::PublishedIsForgotten,
            "publish and retire can be repeated",
        ),
        (
            Fault::RoundsFloats,
            "every type and extreme comes back, or is refused",
        ),
        (
            Fault::DropsTheRest,
            "drifted records come whole, or are refused with their bytes",
        ),
        (
            Fault::SwallowsRefusals,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::BlamesTheNeighbour,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::CutsPayloads,
            "malformed records are refused alone, with bytes and place",
        ),
        (
            Fault::ForgetsRefusalsOnResume,
            "positions around refused records are right",
        ),
        (
            Fault::AcceptsLettersSilently,
            "a refused record can be tried again",
        ),
        (
            Fault::TakesNeighboursAlong,
            "refused rows take no other along, also after a kill",
        ),
        (
            Fault::RefusesSilently,
            "refused rows take no other along, also after a kill",
        ),
        (
            Fault::LosesAddedColumnOnResume,
            "an added column is there after a roll-back and after a kill",
        ),
        (Fault::TakesTheRestSilently, "documents come back the same"),
    ] {
        let trials = Trials(Faulty(fault), AtomicU32::new(0));
        let failing: Vec<&str> = CASES
            .iter()
            .filter(|(_, run)| run(&trials).is_err())
            .map(|(name, _)| *name)
            .collect();
        match fault {
            Fault::None => assert_eq!(failing, [""; 0]),
            _ => assert!(failing.contains(&case), "{fault:?} is found by {failing:?}"),
        }
    }
}

#[test]
fn a_fixture_cannot_forget_or_invent_a_weakness() {
    struct Claims(Trials, Traits);
    impl Fixture for Claims {
        fn backend(&self) -> &dyn Backend {
            self.0.backend()
        }
        fn place(&self) -> Place {
            self.0.place()
        }
        fn source(&self, place: &Place, schema: &Schema) -> serde_json::Value {
            self.0.source(place, schema)
        }
        fn plant(&self, strays: &[Stray]) -> Planted {
            self.0.plant(strays)
        }
        fn traits(&self) -> Traits {
            self.1.clone()
        }
    }
    let mut first = 0;
    for (cases, traits) in [
        (
            1,
            Traits {
                cannot_hold: vec![LogicalType::Uuid],
                ..Traits::default()
            },
        ),
        // Values and keys are also asked for by the case of refused rows.
        (
            2,
            Traits {
                rejects: vec![("float64", "NaN")],
                ..Traits::default()
            },
        ),
        (
            2,
            Traits {
                conflicts: vec![Conflict::ReplaceAll],
                ..Traits::default()
            },
        ),
        (
            1,
            Traits {
                fencing: Fencing::Lock,
                ..Traits::default()
            },
        ),
    ] {
        first += 1000;
        let claims = Claims(Trials(Faulty(Fault::None), AtomicU32::new(first)), traits);
        let failing = CASES
            .iter()
            .filter(|(_, run)| run(&claims).is_err())
            .count();
        assert_eq!(
            failing, cases,
            "the memory backend can do that: {:?}",
            claims.1
        );
    }
}
