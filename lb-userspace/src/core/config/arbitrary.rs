//! Documents for property tests.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::file::{
    Affinity, Api, Backend, Check, Defaults, Drain, DurationText, Expect, File, FlowTimeouts, IpipSource, Limits,
    Metrics, Node, OneOrMany, Service, Source, SourcePrefixes, Word,
};

/// Text of any kind, quotes and control characters too.
fn text() -> BoxedStrategy<String> {
    prop_oneof!["[a-z0-9.-]{0,12}", ".{0,8}", Just("\"\\\n\t'''\u{1}".to_owned())].boxed()
}

fn duration() -> impl Strategy<Value = DurationText> {
    text().prop_map(DurationText)
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![any::<i64>().prop_map(Word::Number), text().prop_map(Word::Text)]
}

fn one_or_many<T: std::fmt::Debug + Clone + 'static>(
    one: impl Strategy<Value = T> + Clone + 'static,
) -> BoxedStrategy<OneOrMany<T>> {
    prop_oneof![
        one.clone().prop_map(OneOrMany::One),
        vec(one, 0..3).prop_map(OneOrMany::Many)
    ]
    .boxed()
}

prop_compose! {
    fn check()(
        (r#type, path, host, via) in (of(text()), of(text()), of(text()), of(text())),
        (interval, timeout, fast_interval) in (of(duration()), of(duration()), of(duration())),
        (rise, fall, port) in (of(any::<i64>()), of(any::<i64>()), of(any::<i64>())),
        jitter in of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
        expect in of((of(one_or_many(word().boxed())), of(text())).prop_map(|(status, body)| Expect { status, body })),
    ) -> Check {
        Check { r#type, interval, timeout, rise, fall, fast_interval, jitter, port, path, host, expect, via }
    }
}

prop_compose! {
    fn node()(
        (name, hash_key) in (of(text()), of(text())),
        interfaces in vec(text(), 0..3),
        (ipv4, ipv6) in (of(one_or_many(text())), of(one_or_many(text()))),
        spread in of((of(text()), of(text())).prop_map(|(ipv4, ipv6)| IpipSource { ipv4, ipv6 })),
        limits in of([of(any::<i64>()), of(any::<i64>()), of(any::<i64>()), of(any::<i64>()), of(any::<i64>())]),
        timeouts in of([of(duration()), of(duration()), of(duration()), of(duration())]),
    ) -> Node {
        let source = Some(Source { ipv4, ipv6 });
        let limits =
            limits.map(|[services, backends, slots, flows, sources]| Limits { services, backends, slots, flows, sources });
        let flow_timeouts = timeouts.map(|[tcp_embryonic, tcp_established, tcp_closed, udp]| FlowTimeouts {
            tcp_embryonic, tcp_established, tcp_closed, udp
        });
        Node { name, interfaces, source, ipip_source: spread, hash_key, limits, flow_timeouts }
    }
}

prop_compose! {
    fn backend()(
        (name, address, state, next_hop) in (of(text()), of(text()), of(text()), of(text())),
        (port, weight, priority) in (of(any::<i64>()), of(any::<i64>()), of(any::<i64>())),
    ) -> Backend {
        Backend { name, address, port, weight, priority, state, next_hop }
    }
}

fn affinity() -> impl Strategy<Value = Affinity> {
    prop_oneof![
        text().prop_map(Affinity::Named),
        [of(any::<i64>()), of(any::<i64>())].prop_map(|[source_prefix_ipv4, source_prefix_ipv6]| {
            Affinity::Prefixes(SourcePrefixes {
                source_prefix_ipv4,
                source_prefix_ipv6,
            })
        }),
    ]
}

fn drain() -> impl Strategy<Value = Drain> {
    of(duration()).prop_map(|timeout| Drain { timeout })
}

prop_compose! {
    fn service()(
        (name, address, protocol, mode, when_all_down) in (of(text()), of(text()), of(text()), of(text()), of(text())),
        (port, table_size) in (of(word()), of(any::<i64>())),
        (tunnel_port, mss_clamp) in (of(any::<i64>()), of(any::<i64>())),
        affinity in of(affinity()),
        (check, drain) in (of(check()), of(drain())),
        backend in vec(backend(), 0..3),
    ) -> Service {
        Service {
            name,
            address,
            port,
            protocol,
            mode,
            table_size,
            tunnel_port,
            mss_clamp,
            affinity,
            when_all_down,
            check,
            drain,
            backend,
        }
    }
}

prop_compose! {
    /// Any document that can be written, most of them wrong.
    pub fn file()(
        version in of(any::<i64>()),
        node in of(node()),
        api in of((of(text()), of(text())).prop_map(|(socket, group)| Api { socket, group })),
        metrics in of(of(text()).prop_map(|listen| Metrics { listen })),
        (mode, table_size) in (of(text()), of(any::<i64>())),
        (tunnel_port, mss_clamp) in (of(any::<i64>()), of(any::<i64>())),
        when_all_down in of(text()),
        (check, drain) in (of(check()), of(drain())),
        service in vec(service(), 0..3),
    ) -> File {
        let defaults = Some(Defaults { mode, table_size, tunnel_port, mss_clamp, when_all_down, check, drain });
        File { version, node, api, metrics, defaults, service }
    }
}
