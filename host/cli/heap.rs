//! How the C library keeps memory: blocks of a batch go back to the system when they are freed.

/// Blocks from this size on are mapped one by one. Left to itself glibc raises the bound with each
/// such block that is freed, and keeps the holes that batches of different sizes leave.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: i32 = 512 << 10;

/// What may stay free at the heap's end; less is asked for and given back over and over.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: i32 = 2 << 20;

/// Bounds what freed batches leave behind: 10 to 20 % of the peak when Parquet is written. Called
/// once, before there are threads.
pub fn bound_what_is_kept() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain numbers; `mallopt` changes how later blocks are kept, none that exists.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
    }
}
