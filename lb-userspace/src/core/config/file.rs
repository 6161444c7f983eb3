//! The document as it is written: one to one with the TOML, nothing filled in, nothing checked beyond kinds.
//!
//! It is the base state that `lb save` prints again, so what the operator left out stays out.

use serde::{Deserialize, Serialize};

use super::shape::{Key, Shape, Shaped};

/// Declares the tables of the document: the struct, and the keys that the walk knows.
macro_rules! tables {
    ($($(#[$meta:meta])* pub struct $table:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $table {
            $($(#[$doc])* #[serde(skip_serializing_if = "Absent::absent")] pub $field: $type,)*
        }

        impl Shaped for $table {
            const SHAPE: Shape = Shape::Table(&[
                $(Key { ident: stringify!($field), shape: &<$type as Shaped>::SHAPE }),*
            ]);
        }
    )*};
}

tables! {
    /// The whole document.
    pub struct File {
        /// Of the format; 1.
        pub version: Option<i64>,
        pub node: Option<Node>,
        pub api: Option<Api>,
        pub metrics: Option<Metrics>,
        pub defaults: Option<Defaults>,
        pub service: Vec<Service>,
    }

    /// `[node]`: what concerns this balancer alone.
    pub struct Node {
        pub name: Option<String>,
        /// `eth0`, or `eth0=generic`.
        pub interfaces: Vec<String>,
        pub source: Option<Source>,
        pub ipip_source: Option<IpipSource>,
        /// 32 hexadecimal digits.
        pub hash_key: Option<String>,
        pub limits: Option<Limits>,
        pub flow_timeouts: Option<FlowTimeouts>,
    }

    /// `node.source`: source addresses of `ipip` and `fullnat`.
    pub struct Source {
        pub ipv4: Option<OneOrMany<String>>,
        pub ipv6: Option<OneOrMany<String>>,
    }

    /// `node.ipip_source`: prefixes that outer headers of `ipip` come from.
    pub struct IpipSource {
        pub ipv4: Option<String>,
        pub ipv6: Option<String>,
    }

    /// `[node.limits]`: entries of the maps.
    pub struct Limits {
        pub services: Option<i64>,
        pub backends: Option<i64>,
        pub slots: Option<i64>,
        pub flows: Option<i64>,
        pub sources: Option<i64>,
    }

    /// `[node.flow_timeouts]`: when `fullnat` forgets a silent flow.
    pub struct FlowTimeouts {
        pub tcp_embryonic: Option<DurationText>,
        pub tcp_established: Option<DurationText>,
        pub tcp_closed: Option<DurationText>,
        pub udp: Option<DurationText>,
    }

    /// `[api]`: where the daemon listens for the CLI.
    pub struct Api {
        /// Path.
        pub socket: Option<String>,
        /// Name of the group that may use it.
        pub group: Option<String>,
    }

    /// `[metrics]`
    pub struct Metrics {
        /// `ADDRESS:PORT`.
        pub listen: Option<String>,
    }

    /// `[defaults]`: of every service, overridden there.
    pub struct Defaults {
        pub mode: Option<String>,
        pub table_size: Option<i64>,
        pub tunnel_port: Option<i64>,
        pub mss_clamp: Option<i64>,
        pub when_all_down: Option<String>,
        pub check: Option<Check>,
        pub drain: Option<Drain>,
    }

    /// `drain`
    pub struct Drain {
        pub timeout: Option<DurationText>,
    }

    /// `[[service]]`
    pub struct Service {
        pub name: Option<String>,
        pub address: Option<String>,
        pub port: Option<Word>,
        pub protocol: Option<String>,
        pub mode: Option<String>,
        pub table_size: Option<i64>,
        pub tunnel_port: Option<i64>,
        pub mss_clamp: Option<i64>,
        pub affinity: Option<Affinity>,
        pub when_all_down: Option<String>,
        pub check: Option<Check>,
        pub drain: Option<Drain>,
        pub backend: Vec<Backend>,
    }

    /// `[service.check]`
    pub struct Check {
        /// `none`, `tcp`, `http`.
        pub r#type: Option<String>,
        pub interval: Option<DurationText>,
        pub timeout: Option<DurationText>,
        pub rise: Option<i64>,
        pub fall: Option<i64>,
        pub fast_interval: Option<DurationText>,
        pub jitter: Option<f64>,
        pub port: Option<i64>,
        pub path: Option<String>,
        pub host: Option<String>,
        pub expect: Option<Expect>,
        pub via: Option<String>,
    }

    /// `check.expect`: what a good answer looks like.
    pub struct Expect {
        /// `204`, `"200-299"`, or a list of these.
        pub status: Option<OneOrMany<Word>>,
        /// Must be part of the body.
        pub body: Option<String>,
    }

    /// `[[service.backend]]`
    pub struct Backend {
        pub name: Option<String>,
        pub address: Option<String>,
        pub port: Option<i64>,
        pub weight: Option<i64>,
        pub priority: Option<i64>,
        pub state: Option<String>,
        pub next_hop: Option<String>,
    }

    /// `affinity` by prefixes of the source address, in bits.
    pub struct SourcePrefixes {
        pub source_prefix_ipv4: Option<i64>,
        pub source_prefix_ipv6: Option<i64>,
    }
}

/// A duration as it is written: `2s`, `500ms`, `1m30s`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

/// A number, or text where a number alone would not do: a port or a range of ports, a status or a range of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word {
    Number(i64),
    Text(String),
}

/// One of something, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// What decides which flows stay together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Affinity {
    Named(String),
    Prefixes(SourcePrefixes),
}

/// Whether a value is left out of the document.
trait Absent {
    fn absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}

impl Shaped for DurationText {
    const SHAPE: Shape = Shape::Duration;
}

impl Shaped for Word {
    const SHAPE: Shape = Shape::Either(&Shape::Integer, &Shape::Text);
}

impl<T: Shaped> Shaped for OneOrMany<T> {
    const SHAPE: Shape = Shape::Either(&T::SHAPE, &Shape::List(&T::SHAPE));
}

impl Shaped for Affinity {
    const SHAPE: Shape = Shape::Either(&Shape::Text, &SourcePrefixes::SHAPE);
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Backend {
    /// Its name: the address where none is given.
    pub fn effective_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.address.as_deref())
    }
}
