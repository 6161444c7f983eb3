//! What is fixed when the programs are loaded: globals in `.rodata`, which the kernel freezes before it verifies, so that it
//! knows them.

use core::ptr::read_volatile;

#[unsafe(no_mangle)]
static HASH_KEY: [u64; 2] = [0; 2];
#[unsafe(no_mangle)]
static FLOW_SEED: u64 = 0;
#[unsafe(no_mangle)]
static FLOW_BUCKETS: u32 = 0;
#[unsafe(no_mangle)]
static SOURCE_LIMIT: u32 = 0;
#[unsafe(no_mangle)]
static VIP_MASK: u32 = 0;

/// Reads a global as the loader left it: the compiler must not know the value that it has here.
macro_rules! global {
    ($(#[doc = $doc:literal])* $function:ident, $static:expr, $type:ty) => {
        $(#[doc = $doc])*
        #[inline(always)]
        pub fn $function() -> $type {
            // SAFETY: a static of this type; nobody writes to it while the program runs.
            unsafe { read_volatile(&raw const $static) }
        }
    };
}

global!(
    /// Key of the flow hash.
    hash_key, HASH_KEY, [u64; 2]
);
global!(
    /// Seed of the flow table's hash.
    flow_seed, FLOW_SEED, u64
);
global!(
    /// Buckets of the flow table.
    flow_buckets, FLOW_BUCKETS, u32
);
global!(
    /// Source addresses that there is room for.
    source_limit, SOURCE_LIMIT, u32
);
global!(
    /// Buckets of the table of what clients connect to, a power of two, less 1.
    vip_mask, VIP_MASK, u32
);
