//! Waiting for the programs that run at this moment.

/// Waits until every program that is running now has ended: `membarrier(2)` with `MEMBARRIER_CMD_GLOBAL` waits for an RCU grace
/// period, and XDP programs run inside RCU read sections.
pub fn grace() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        // Refused on kernels booted with nohz_full; there a program's run, a few microseconds, is long over by then.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
