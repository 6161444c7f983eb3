//! Where in the guest's file system things lie.

/// The plan, as text.
pub const PLAN: &str = "/plan";
/// Kernel modules, and the list of their file names in the order of loading.
pub const MODULES: &str = "/modules";
pub const MODULE_LIST: &str = "/modules/list";
/// `lb`, the lab's server and the tests.
pub const PROGRAMS: &str = "/lb";
/// Here tests say that they were skipped.
pub const SKIPPED: &str = "/tmp/skipped";
/// What is said goes to this port; the kernel's own messages, and what programs complain of, go to the first.
pub const REPORT_PORT: &str = "/dev/ttyS1";
/// On the kernel's command line, with any value, says that this is a guest of `cargo xtask vm`.
pub const SIGN: &str = "lb_guest";
