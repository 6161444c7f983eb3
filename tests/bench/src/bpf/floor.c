// The smallest balancer of lb-ebpf/src/bin/bench_floors.rs once more, in C: what Rust makes of it is judged by this one.
//
// Compiled by the benchmark where there is a clang; the maps are the same. Without includes, so that nothing but clang is needed.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define BIG_ENDIAN16(value) __builtin_bswap16(value)

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };
enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6, MMAPABLE = 1 << 10 };
enum { TABLE_SIZE = 65537, BACKENDS = 4096, SERVICES = 512 };
enum { TCP = 6, UDP = 17 };

struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

// lb_common::bench::{FloorVip, FloorService, FloorBackend, FloorCounters}
struct vip {
	u32 address;
	u16 port, protocol;
};
struct service {
	u32 id, base;
};
struct backend {
	u32 macs[3], sum, source, address, reserved[10];
};
struct counters {
	u64 packets, bytes;
};

// A map's definition: BTF tells numbers by the length of an array that a pointer points to.
#define MAP(name, kind, entries, flags, key_type, value_type) \
	struct {                                              \
		int (*type)[kind];                            \
		int (*max_entries)[entries];                  \
		int (*map_flags)[flags];                      \
		key_type *key;                                \
		value_type *value;                            \
	} name SEC(".maps")

MAP(FLOOR_VIPS, MAP_HASH, SERVICES, 0, struct vip, struct service);
MAP(FLOOR_SLOTS, MAP_ARRAY, TABLE_SIZE, MMAPABLE, u32, u32);
MAP(FLOOR_REALS, MAP_ARRAY, BACKENDS, 0, u32, struct backend);
MAP(FLOOR_SERVICE, MAP_PERCPU_ARRAY, SERVICES, 0, u32, struct counters);
MAP(FLOOR_BACKEND, MAP_PERCPU_ARRAY, BACKENDS, 0, u32, struct counters);

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;

// MurmurHash3's 64-bit finaliser.
INLINE u64 mix(u64 x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

INLINE void count(void *map, u32 id, u64 bytes)
{
	struct counters *counters = map_lookup(map, &id);
	if (counters) {
		counters->packets += 1;
		counters->bytes += bytes;
	}
}

SEC("xdp")
int floor_balancer(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u64 bytes = end - data;
	if (data + 38 > end || *(u16 *)(data + 12) != BIG_ENDIAN16(0x0800) || data[14] != 0x45)
		return XDP_PASS;
	u8 protocol = data[23];
	if (protocol != TCP && protocol != UDP)
		return XDP_PASS;
	u32 source = *(u32 *)(data + 26), ports = *(u32 *)(data + 34);
	u16 total_length = BIG_ENDIAN16(*(u16 *)(data + 16));
	struct vip vip = { .address = *(u32 *)(data + 30), .port = ports >> 16, .protocol = protocol };
	struct service *service = map_lookup(&FLOOR_VIPS, &vip);
	if (!service)
		return XDP_PASS;
	u64 hash = mix((u64)source << 32 | ports);
	u32 slot = service->base + (u32)(((hash >> 32) * TABLE_SIZE) >> 32);
	u32 *named = map_lookup(&FLOOR_SLOTS, &slot);
	if (!named)
		return XDP_DROP;
	u32 id = *named;
	struct backend *backend = map_lookup(&FLOOR_REALS, &id);
	if (!backend)
		return XDP_DROP;
	count(&FLOOR_SERVICE, service->id, bytes);
	count(&FLOOR_BACKEND, id, bytes);

	if (adjust_head(ctx, -20))
		return XDP_DROP;
	data = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (data + 34 > end)
		return XDP_DROP;
	u16 length = BIG_ENDIAN16((u16)(total_length + 20));
	u32 sum = backend->sum + length;
	sum = (sum & 0xffff) + (sum >> 16);
	u16 checksum = ~((sum & 0xffff) + (sum >> 16));
	*(u32 *)data = backend->macs[0];
	*(u32 *)(data + 4) = backend->macs[1];
	*(u32 *)(data + 8) = backend->macs[2];
	*(u16 *)(data + 12) = BIG_ENDIAN16(0x0800);
	*(u16 *)(data + 14) = 0x0045;
	*(u16 *)(data + 16) = length;
	*(u32 *)(data + 18) = 0x00400000;
	*(u16 *)(data + 22) = 0x0440;
	*(u16 *)(data + 24) = checksum;
	*(u32 *)(data + 26) = backend->source;
	*(u32 *)(data + 30) = backend->address;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
