//! Memory for large worlds: in large pages, where the system lets a program choose.
//!
//! Knows: how the C library is told. Does not know: worlds.

/// In smaller worlds the processor finds everything anyhow.
const MACHINES_MIN: u32 = 100;

/// Begins the command anew with a C library that takes large pages; it reads that once, when it is loaded. Where that
/// cannot be, or somebody has told it something already, the command goes on as it is: only more slowly.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn begin_with_large_pages(machines: u32) {
    use std::os::unix::process::CommandExt as _;

    const TUNABLES: &str = "GLIBC_TUNABLES";
    /// And one heap for all threads: only that one has them.
    const LARGE_PAGES: &str = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1";

    if machines < MACHINES_MIN || std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let begun = std::env::current_exe().map(|me| {
        let mut args = std::env::args_os();
        let name = args.next().unwrap_or_else(|| me.clone().into());
        std::process::Command::new(&me).arg0(name).args(args).env(TUNABLES, LARGE_PAGES).exec()
    });
    let (Ok(error) | Err(error)) = begun;
    tracing::debug!(%error, "no large pages");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) const fn begin_with_large_pages(machines: u32) {
    let _ = machines >= MACHINES_MIN;
}
