//! Calls into readers of foreign formats: on a file that is not what it says, some of them panic.
//!
//! A panic of ours is a mistake of ours, and the program ends with it. A panic inside [`caught`] is
//! another library's way to say that the bytes are wrong: the caller makes an error of it, and the
//! program's panic hook asks [`is_expected`] and stays silent.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives back; `None` if it panicked. What it had hold of is not to be used after that.
pub fn caught<T>(read: impl FnOnce() -> T) -> Option<T> {
    let outer = EXPECTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    EXPECTED.set(outer);
    result.ok()
}

/// Whether a panic on this thread would end in [`caught`].
pub fn is_expected() -> bool {
    EXPECTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_foreign_reader_is_no_value_and_is_expected_only_inside() {
        assert_eq!(caught(is_expected), Some(true));
        assert_eq!(caught(|| [1, 2][usize::from(is_expected()) + 1]), None);
        assert!(!is_expected());
    }
}
