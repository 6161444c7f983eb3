//! How much a test does.

/// Set where every packet costs many times what it costs elsewhere: in emulated machines.
pub const SMALL: &str = "LB_TEST_SMALL";

/// `usual`, or on a machine that is many times slower `small`.
///
/// For numbers of packets, requests and clients. What a test demands of each of them stays the same.
pub fn amount<T>(usual: T, small: T) -> T {
    match std::env::var_os(SMALL) {
        Some(_) => small,
        None => usual,
    }
}
