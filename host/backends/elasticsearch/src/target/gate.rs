//! How many requests are under way at once: one more after every success, half as many whenever the
//! server says that it is too much.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Shared by all writers of a target.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    free: Condvar,
    most: f64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    busy: usize,
}

/// Leave to have one request under way; given back when dropped.
#[derive(Debug)]
pub(super) struct Leave(Arc<Gate>);

impl Gate {
    /// Begins with two, and has at most `most`.
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1) as f64;
        let state = State {
            limit: most.min(2.0),
            busy: 0,
        };
        Arc::new(Gate {
            state: Mutex::new(state),
            free: Condvar::new(),
            most,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more may be under way. Only for who has none: two writers that wait for each
    /// other's would wait for ever.
    pub fn enter(self: &Arc<Self>) -> Leave {
        let mut state = self.state();
        while state.busy as f64 + 1.0 > state.limit {
            state = self
                .free
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        Leave(Arc::clone(self))
    }

    /// Leave for one more, if there is any.
    pub fn try_enter(self: &Arc<Self>) -> Option<Leave> {
        let mut state = self.state();
        if state.busy as f64 + 1.0 > state.limit {
            return None;
        }
        state.busy += 1;
        Some(Leave(Arc::clone(self)))
    }

    /// The server took all of it: a whole request more once all that are under way have succeeded.
    pub fn widen(&self) {
        let mut state = self.state();
        state.limit = (state.limit + 1.0 / state.limit).min(self.most);
        self.free.notify_all();
    }

    /// The server asks for less.
    pub fn narrow(&self) {
        let mut state = self.state();
        state.limit = (state.limit / 2.0).max(1.0);
    }

    #[cfg(test)]
    fn limit(&self) -> f64 {
        self.state().limit
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.free.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_widens_by_one_and_narrows_by_half() {
        let gate = Gate::new(4);
        let held = [gate.try_enter(), gate.try_enter(), gate.try_enter()];
        assert_eq!(held.iter().flatten().count(), 2);
        for _ in 0..20 {
            gate.widen();
        }
        assert_eq!(gate.limit(), 4.0);
        gate.narrow();
        gate.narrow();
        gate.narrow();
        assert_eq!(gate.limit(), 1.0, "one is always let through");
        assert!(gate.try_enter().is_none(), "two are under way still");
        drop(held);
        let entered = gate.enter();
        assert!(gate.try_enter().is_none());
        drop(entered);
    }
}
