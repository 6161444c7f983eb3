//! The tables of the sample state, as they must look.

pub const LIST: &str = "\
SERVICE  VIP                MODE     BACKENDS      PACKETS  BYTES  NEW FLOWS  STATE
web      192.0.2.10:80/tcp  fullnat  1 up 1 maint  1.2M     310MB  4096       ok
";

pub const LIST_WIDE: &str = "\
SERVICE  VIP                MODE     BACKENDS      PACKETS  BYTES  NEW FLOWS  STATE  CHECK          WHEN ALL DOWN  SLOTS  BACK PACKETS  BACK BYTES
web      192.0.2.10:80/tcp  fullnat  1 up 1 maint  1.2M     310MB  4096       ok     http every 2s  drop           65537  1.0M          512B
";

pub const SHOW: &str = "\
web  192.0.2.10:80/tcp  fullnat  revision 41  table 65537 slots  check http every 2s  when all down drop  ok
BACKEND  ADDRESS      STATE  HEALTH   WEIGHT          SLOTS   PACKETS  NEW FLOWS  FLOWS  LAST CHECK                NOTE
web-1    10.0.1.1:80  ready  up       100             100.0%  1.2M     4096       214    L7OK status 200 in 1.8ms
web-2    10.0.1.2:80  maint  unknown  50 of 100 (p1)  0.0%    0        0          -      -                         set by anna 2m ago, in maintenance, no route to 10.0.1.2
";

pub const SHOW_WIDE: &str = "\
web  192.0.2.10:80/tcp  fullnat  revision 41  table 65537 slots  check http every 2s  when all down drop  ok
BACKEND  ADDRESS      STATE  HEALTH   WEIGHT          SLOTS   PACKETS  NEW FLOWS  FLOWS  LAST CHECK                BYTES  NEXT HOP                    NOTE
web-1    10.0.1.1:80  ready  up       100             100.0%  1.2M     4096       214    L7OK status 200 in 1.8ms  310MB  02:00:00:00:00:01 via eth0
web-2    10.0.1.2:80  maint  unknown  50 of 100 (p1)  0.0%    0        0          -      -                         0B     no route to 10.0.1.2        set by anna 2m ago, in maintenance, no route to 10.0.1.2
";

pub const SHOW_BACKEND: &str = "\
web-1       10.0.1.1:80
state       ready
health      up
for         2m58s
last check  L7OK status 200 in 1.8ms
weight      100
slots       65537
next hop    02:00:00:00:00:01 via eth0
packets     1.2M
bytes       310MB
new flows   4096
flows       214
";

pub const STATUS: &str = "\
lb          0.1.0
node        lb1
daemon      up 1h1m, data plane adopted when it started
data plane  up 1d1h, ABI 1
interfaces  eth0 (native)
revision    41
config      ok
services    1
backends    2: 1 up, 0 down, 1 unknown
next hops   1 not known; see lb show SERVICE
slots       65.5k of 1.0M (6.3%)
flows       214 of 1.0M (0.0%)
dropped     12 packets; see lb drops
warning     eth0 is a veth: its peer needs an XDP program
";

pub const INTERFACES: &str = "\
INTERFACE  XDP                LINK  KIND  MTU    MAC                ADDRESSES
eth0       native             up    veth  1500   02:00:00:00:00:02  10.0.0.11/24
eth1       other (program 7)  up    veth  1500   02:00:00:00:00:02  10.0.0.11/24
lo         -                  down  -     65536  00:00:00:00:00:00
";

pub const DROPS: &str = "\
REASON      VERDICT  PACKETS  MEANING
no_service  pass     99.0k    The meaning of no_service.
no_backend  drop     12       The meaning of no_backend.
";

pub const DROPS_WIDE: &str = "\
REASON      VERDICT  PACKETS  MEANING
no_service  pass     99.0k    The meaning of no_service.
bad_length  drop     0        The meaning of bad_length.
no_backend  drop     12       The meaning of no_backend.
";
