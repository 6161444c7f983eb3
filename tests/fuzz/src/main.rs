//! One target of `lb_tests::parsers` under libFuzzer: the one that `LB_FUZZ_TARGET` names. `cargo xtask fuzz` builds and runs it.

#![no_main]

use std::sync::LazyLock;

use lb_tests::parsers::{Target, target};
use libfuzzer_sys::fuzz_target;

/// Asked for once, before the first bytes come.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("LB_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("LB_FUZZ_TARGET is {name:?}, which is no target"))
});

fuzz_target!(init: { LazyLock::force(&TARGET); }, |bytes: &[u8]| TARGET(bytes));
