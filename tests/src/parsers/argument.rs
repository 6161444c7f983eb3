//! Values on the command line: what is read and written again is read as the same; what is refused is refused in one line.

use std::fmt::{Debug, Display};

use lb_userspace::cli::{parse, vip};
use lb_userspace::core::config::show_duration;
use lb_userspace::core::model::XdpMode;

pub fn any(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    names(text);
    addresses(text);
    refused(parse::weight(text));
    refused(parse::weight_change(text));
    refused(parse::priority(text));
    refused(parse::table_size(text));
    refused(parse::next_hop(text));
    if let Some(check) = refused(parse::check(text)) {
        assert!(check["type"].is_string(), "{check}");
    }
    if let Some(period) = refused(parse::period(text)) {
        reads_back(&show_duration(period), parse::period, &period);
    }
    refused(parse::pause(text));
}

fn names(text: &str) {
    if let Some(target) = refused(parse::target(text)) {
        let whole = target.backend.as_ref();
        let whole = whole.map_or(target.service.clone(), |backend| {
            format!("{}/{backend}", target.service)
        });
        assert_eq!(whole, text);
    }
    refused(parse::backend_target(text));
    refused(parse::service(text));
    refused(parse::interface(text));
    if let Some(attach) = refused(parse::attach(text)) {
        let xdp = match attach.xdp {
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
            XdpMode::Auto => "auto",
        };
        reads_back(&format!("{}={xdp}", attach.interface), parse::attach, &attach);
    }
}

fn addresses(text: &str) {
    if let Some(address) = refused(parse::address(text)) {
        reads_back(&address.to_string(), parse::address, &address);
    }
    if let Some(prefix) = refused(parse::prefix(text)) {
        reads_back(&format!("{}/{}", prefix.address, prefix.length), parse::prefix, &prefix);
    }
    if let Some(mac) = refused(parse::mac(text)) {
        let written = mac.map(|byte| format!("{byte:02x}")).join(":");
        reads_back(&written, parse::mac, &mac);
    }
    if let Some(backend) = refused(parse::backend_address(text)) {
        let written = with_port(&bracketed(backend.address), backend.port);
        reads_back(&written, parse::backend_address, &backend);
    }
    if let Some(vip) = refused(vip::vip(text)) {
        let length = vip.length.map_or(String::new(), |length| format!("/{length}"));
        let port = vip.port.as_ref();
        let port = port.map(|port| port.as_str().map_or_else(|| port.to_string(), str::to_owned));
        let written = with_port(&format!("{}{length}", bracketed(vip.address)), port);
        let protocol = vip.protocol.as_ref();
        let protocol = protocol.map_or(String::new(), |protocol| format!("/{protocol}"));
        reads_back(&format!("{written}{protocol}"), vip::vip, &vip);
    }
}

fn bracketed(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn with_port(host: &str, port: Option<impl Display>) -> String {
    port.map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

/// The value; or nothing, and the sentence that says so is one line.
fn refused<T>(parsed: Result<T, impl Display>) -> Option<T> {
    parsed.map_err(|error| super::is_one_line(&error.to_string())).ok()
}

fn reads_back<T: Debug + PartialEq, E: Debug>(written: &str, parse: impl Fn(&str) -> Result<T, E>, value: &T) {
    let read = parse(written).unwrap_or_else(|error| panic!("{value:?} was written as {written:?}: {error:?}"));
    assert_eq!(read, *value, "by way of {written:?}");
}
