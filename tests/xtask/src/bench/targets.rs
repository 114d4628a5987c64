//! What the project wants to reach, held against what was measured. Nothing fails here: a threshold
//! that holds on every machine would be one that never fails.

use super::figures::{self, Rounds};
use super::routes::{Role, Route};
use super::{Measured, elasticsearch, postgres, s3, schemas};

/// One of them.
pub struct Target {
    /// What is measured.
    pub name: String,
    /// What came out; not a number when it could not be measured.
    pub value: f64,
    /// What it should be.
    pub bound: Bound,
    /// `×`, `ns`, `MiB`, `ms`.
    pub unit: &'static str,
}

/// A bound on a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The value or less.
    AtMost(f64),
    /// The value or more.
    AtLeast(f64),
}

impl Target {
    /// Whether it is reached; what could not be measured is not.
    pub fn is_reached(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= least,
        }
    }
}

/// All targets that were measured.
pub fn all(measured: &Measured) -> Vec<Target> {
    let mut targets = Vec::new();
    for (route, usages) in &measured.routes {
        of_route(route, usages, &mut targets);
    }
    flat(measured, &mut targets);
    let mut add = |name: &str, value: f64, bound: Bound, unit: &'static str| {
        targets.push(Target {
            name: name.to_owned(),
            value,
            bound,
            unit,
        });
    };
    if let Some(stage) = &measured.stage {
        let value = stage.ratio();
        add(
            "plugin stage against native",
            value,
            Bound::AtMost(2.2),
            "×",
        );
    }
    if let Some(start) = &measured.start {
        let value = figures::median(start.iter().map(figures::cpu)) * 1000.0;
        add(
            "start-up with a cached plugin, CPU",
            value,
            Bound::AtMost(50.0),
            "ms",
        );
    }
    if let Some(parallel) = &measured.parallel {
        let name = "parallel = 2 on CSV → Parquet, wall";
        add(name, parallel.gain(), Bound::AtLeast(1.6), "×");
    }
    targets.extend(postgres::targets(&measured.postgres.routes));
    targets.extend(elasticsearch::targets(&measured.elasticsearch.routes));
    targets.extend(s3::targets(&measured.s3.routes));
    targets.extend(schemas::targets(&measured.schemas));
    targets
}

fn of_route(route: &Route, usages: &[Rounds], targets: &mut Vec<Target>) {
    let of = |role| route.place(role).map(|place| usages[place].as_slice());
    let name = |what: &str| format!("{}, {} rows: {what}", route.name, route.rows);
    let Some(plain) = of(Role::Plain) else { return };
    if let Some(reference) = of(Role::Reference) {
        targets.push(Target {
            name: name("CPU against the reference"),
            value: figures::ratio(plain, reference, figures::cpu),
            bound: Bound::AtMost(1.5),
            unit: "×",
        });
    }
    let Some(with) = of(Role::WithPlugin) else {
        return;
    };
    targets.push(Target {
        name: name("the plugin, CPU of a record"),
        value: figures::extra_ns(with, plain, route.rows),
        bound: Bound::AtMost(400.0),
        unit: "ns",
    });
    targets.push(Target {
        name: name("peak memory with the plugin"),
        value: figures::median(with.iter().map(figures::mib)),
        bound: Bound::AtMost(128.0),
        unit: "MiB",
    });
}

/// Memory on the most rows against the fewest.
fn flat(measured: &Measured, targets: &mut Vec<Target>) {
    let peak = |route: &Route, usages: &[Rounds]| {
        let place = route.place(Role::WithPlugin)?;
        Some(figures::median(usages[place].iter().map(figures::mib)))
    };
    for (route, usages) in &measured.routes {
        let same = measured.routes.iter().filter(|(r, _)| r.name == route.name);
        let Some((most, of_most)) = same.max_by_key(|(route, _)| route.rows) else {
            continue;
        };
        if most.rows <= route.rows {
            continue;
        }
        if let (Some(few), Some(many)) = (peak(route, usages), peak(most, of_most)) {
            targets.push(Target {
                name: format!(
                    "{}: memory, {} rows against {}",
                    route.name, most.rows, route.rows
                ),
                value: many / few,
                bound: Bound::AtMost(1.1),
                unit: "×",
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Target};

    #[test]
    fn what_could_not_be_measured_is_not_reached() {
        let target = |value, bound| Target {
            name: String::new(),
            value,
            bound,
            unit: "×",
        };
        assert!(target(1.5, Bound::AtMost(1.5)).is_reached());
        assert!(target(1.6, Bound::AtLeast(1.6)).is_reached());
        assert!(!target(f64::NAN, Bound::AtMost(1.5)).is_reached());
        assert!(!target(f64::NAN, Bound::AtLeast(1.5)).is_reached());
    }
}
