//! Fail points: the named places where the recovery suite kills a run or makes it fail.
//!
//! A point stands between every two steps of the commit protocol. Only a build with debug
//! assertions looks at them; in a release [`point`] is empty and no name is in the binary. What a
//! point does is not decided here, where nothing may reach a process or the environment, but by the
//! function that is given to [`arm`].

use crate::Result;

/// Told the name of every point that is passed; an error is returned from the point.
#[cfg(debug_assertions)]
pub type Hook = fn(&'static str) -> Result<()>;

#[cfg(debug_assertions)]
static HOOK: std::sync::OnceLock<Hook> = std::sync::OnceLock::new();

/// Sets what happens at every point from now on; the first call counts.
#[cfg(debug_assertions)]
pub fn arm(hook: Hook) {
    let _ = HOOK.set(hook);
}

/// Passes the point `name`: `crate.step.what-has-just-been-done`.
///
/// *Errors* – whatever the hook says; never without one, and never in a release.
#[inline(always)]
pub fn point(name: &'static str) -> Result<()> {
    #[cfg(debug_assertions)]
    if let Some(hook) = HOOK.get() {
        return hook(name);
    }
    let _ = name;
    Ok(())
}
