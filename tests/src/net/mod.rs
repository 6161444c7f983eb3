//! What the net tests share: real clients, real servers and the real daemon in network namespaces.
//!
//! # Layout
//!
//! - [`look`]: what the daemon says of itself, [`fields`]: with which fields; [`refused`]: what it refuses
//! - [`run`]: the command line, and what has to end by itself; [`ask`]: HTTP requests to the daemon
//! - [`conversation`]: connections that exchange data until told to stop
//! - [`digest`]: of downloads, by other programs than ours
//! - [`download`]: one that goes as far as it is let; [`traffic`]: all that must not break, at once
//! - [`echo`], [`ping`], [`bare`]: small services and clients beside HTTP; [`dns`]: name servers
//! - [`kernel`]: what the kernel holds of a data plane, as another program sees it

pub mod ask;
pub mod bare;
pub mod conversation;
pub mod digest;
pub mod dns;
pub mod download;
pub mod echo;
pub mod fields;
pub mod kernel;
pub mod look;
pub mod ping;
pub mod refused;
pub mod run;
pub mod traffic;

use std::time::Duration;

use anyhow::{Result, ensure};
use lb_lab::LoadReport;

/// How long is waited for what has to come; the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A check that brings a server in with its first good answer, and that no busy machine makes fail.
pub const STEADY_CHECK: &str = "http,path=/healthz,interval=2s,fast_interval=100ms,timeout=2s,rise=1,fall=3";

/// A check that notices a dead server soon: of three that fail, the last two come fast.
pub const SWIFT_CHECK: &str = "http,path=/healthz,interval=500ms,fast_interval=100ms,timeout=500ms,rise=2,fall=3";

/// That no request of a load failed.
pub fn none_failed(report: &LoadReport) -> Result<()> {
    let (failed, all) = (report.failures().len(), report.samples.len());
    ensure!(
        failed == 0,
        "{failed} of {all} requests failed: {:?}",
        report.failures_by_text()
    );
    Ok(())
}

/// Skips the test it stands in where no lab can be built.
#[macro_export]
macro_rules! needs_lab {
    () => {
        lb_lab::needs_root!();
        lb_lab::needs!(lb_lab::program::ip().is_ok(), "needs iproute2");
    };
}

/// Skips the test it stands in where the kernel has no such devices.
#[macro_export]
macro_rules! needs_device {
    ($device:expr) => {
        lb_lab::needs!(
            lb_lab::link::has($device)?,
            &format!("this kernel has no {:?} devices", $device)
        )
    };
}
