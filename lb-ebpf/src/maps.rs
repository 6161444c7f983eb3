//! The maps. Those whose sizes the daemon sets at load are declared with one entry.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, DevMapHash, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray},
    macros::btf_map,
};
use lb_common::{
    abi::{
        Address, Back, BackKey, BackKey6, Backend, Bucket, Client6, Counters, Entry, Found, FragmentKey, FragmentWay,
        Handed, Hop, Meta, Past, PortQueue, PrefixKey, RangeKey, Service, Slot, Tags, Trace,
        role::{self, RoleLine},
    },
    maps::{default_limits, programs},
    reason::Reason,
};

const MAPPED: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
pub static VIPS: Array<Bucket, 1, MAPPED> = Array::new();
#[btf_map]
pub static PORT_RANGES: LpmTrie<RangeKey, u32, 1, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
#[btf_map]
pub static PREFIXES: LpmTrie<PrefixKey, u32, 1, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
#[btf_map]
pub static SERVICES: Array<Service, 1> = Array::new();
#[btf_map]
pub static SLOTS: Array<Slot, 1, MAPPED> = Array::new();
#[btf_map]
pub static BACKENDS: Array<Backend, 1, MAPPED> = Array::new();
#[btf_map]
pub static BACKEND_TAGS: Array<Tags, 1, MAPPED> = Array::new();
#[btf_map]
pub static BACKS: HashMap<BackKey, Back, 1> = HashMap::new();
#[btf_map]
pub static BACKS6: HashMap<BackKey6, Back, 1> = HashMap::new();
#[btf_map]
pub static ROUTES: LpmTrie<u32, Hop, 1, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
#[btf_map]
pub static ROUTES6: LpmTrie<[u64; 2], Hop, 1, { BPF_F_NO_PREALLOC as usize }> = LpmTrie::new();
#[btf_map]
pub static EGRESS: DevMapHash<1> = DevMapHash::new();
#[btf_map]
pub static FLOWS: Array<Bucket, 1, MAPPED> = Array::new();
#[btf_map]
pub static PORTS: Array<Entry, 1, MAPPED> = Array::new();
#[btf_map]
pub static CLIENTS6: Array<Client6, 1> = Array::new();
#[btf_map]
pub static FREE_PORTS: Array<u32, 1, MAPPED> = Array::new();
#[btf_map]
pub static PORT_QUEUES: Array<PortQueue, 1, MAPPED> = Array::new();
#[btf_map]
pub static ROLES: Array<RoleLine, { role::LINES as usize }, MAPPED> = Array::new();
#[btf_map]
pub static SOURCES: HashMap<Address, u32, 1> = HashMap::new();
#[btf_map]
pub static SOURCE_ADDRS: Array<Address, 1> = Array::new();
#[btf_map]
pub static CLOCK: Array<u64, 1, MAPPED> = Array::new();
#[btf_map]
pub static SERVICE_PAST: Array<Past, 1> = Array::new();
#[btf_map]
pub static BACKEND_STATS: PerCpuArray<Counters, 1> = PerCpuArray::new();
#[btf_map]
pub static REASONS: PerCpuArray<u64, { Reason::ALL.len() }> = PerCpuArray::new();
#[btf_map]
pub static FOUND: PerCpuArray<Found, 1> = PerCpuArray::new();
#[btf_map]
pub static HANDED: PerCpuArray<Handed, 1> = PerCpuArray::new();
#[btf_map]
pub static PROGRAMS: ProgramArray<{ programs::COUNT }> = ProgramArray::new();
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, FragmentWay, { default_limits::FRAGMENTS as usize }> = LruHashMap::new();
#[btf_map]
pub static META: Array<Meta, 1> = Array::new();
#[btf_map]
pub static TRACE: Array<Trace, 1, MAPPED> = Array::new();
