//! What a service takes: in the kernel, and in the daemon's account of it.

use anyhow::{Result, ensure};
use lb_common::maps;
use lb_tests::packet::{Setup, World};
use lb_userspace::core::image::Image;
use lb_userspace::core::model::Limits;
use lb_userspace::core::plan;
use lb_userspace::edge::dataplane::testing::map_bytes;

use super::pool::{Pool, Shape, Weights};
use super::reconcile::world;

/// Maps that grow with a service's table and its backends. The others are there once, whatever the services.
pub const OF_A_SERVICE: [&str; 4] = [maps::SLOTS, maps::BACKENDS, maps::BACKEND_STATS, maps::BACKS];

/// Bytes that a service takes.
pub struct Taken {
    pub shape: Shape,
    /// In the order of [`OF_A_SERVICE`].
    pub maps: [u64; OF_A_SERVICE.len()],
    /// On the daemon's heap.
    pub account: u64,
}

/// What maps with room for just this service take, and the account of it.
///
/// # Errors
///
/// The plan finds no room, the kernel does not say how large a map is.
pub fn service(shape: Shape) -> Result<Taken> {
    let bytes = map_bytes(&world(shape).dataplane)?;
    let of = |name| {
        bytes
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(0, |(_, bytes)| *bytes)
    };
    Ok(Taken {
        shape,
        maps: OF_A_SERVICE.map(of),
        account: account(shape)?,
    })
}

/// What all maps take that a daemon makes where nobody sets limits.
///
/// # Errors
///
/// The kernel does not say how large a map is.
pub fn default_limits() -> Result<u64> {
    let limits = Limits {
        services: maps::default_limits::SERVICES,
        backends: maps::default_limits::BACKENDS,
        slots: maps::default_limits::SLOTS,
        flows: maps::default_limits::FLOWS,
        sources: maps::default_limits::SOURCES,
    };
    let world = World::new(&Setup {
        limits,
        trace: false,
        ..Setup::default()
    });
    Ok(map_bytes(&world.dataplane)?.iter().map(|(_, bytes)| bytes).sum())
}

/// Bytes on the heap that the account of one service keeps. Nobody else may use the heap meanwhile.
fn account(shape: Shape) -> Result<u64> {
    let wanted = Pool::new(shape.backends, Weights::Equal).wanted(shape.size);
    let before = heap_bytes();
    let mut image = Image::new(shape.limits());
    let ops = plan::service(&mut image, &wanted, 0)?;
    drop(ops);
    let after = heap_bytes();
    drop(image);
    let bytes = after.saturating_sub(before);
    let least = u64::from(shape.size) * size_of::<u32>() as u64;
    ensure!(
        bytes >= least,
        "{shape}: the allocator says {bytes} bytes for an account of {least} at least"
    );
    Ok(bytes)
}

/// Bytes that this process has allocated and not freed.
fn heap_bytes() -> u64 {
    // SAFETY: only reads the allocator's own counters.
    let counters = unsafe { libc::mallinfo2() };
    (counters.uordblks + counters.hblkhd) as u64
}
