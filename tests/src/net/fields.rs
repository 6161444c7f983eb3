//! The JSON fields that scripts rely on.

use anyhow::{Result, ensure};
use serde_json::Value;

pub const COUNTERS: &str = "packets bytes new_flows";
pub const OF_SERVICE: &str = "name vip mode state check table_size when_all_down counters backends";
pub const OF_BACKEND: &str = "name address state health out_because weight configured_weight priority slots flows counters \
                          last_check next_hop next_hop_resolved set_by";
pub const OF_STATUS: &str = "version abi_version name revision started_at data_plane data_plane_since interfaces services \
                         backends backends_up backends_down next_hops_unresolved slots_used slots_capacity \
                         flow_table_entries flow_table_capacity dropped_packets config_last_load_successful warnings";
/// The first line as of `lb replay`.
pub const OF_TRACE: &str = "verdict reason service backend mode slot slot_state length_in length_out \
                        meaning packet vlan interface other_interfaces egress way vip no_service flow table_size slot_backend \
                        backend_address backend_state backend_health backend_out_because rewritten told_mtu_bytes \
                        names_from names_note";
pub const OF_INTERFACE: &str = "name index kind mac mtu_bytes up addresses attached other_program";

/// That a value has these fields, be they null.
pub fn has(value: &Value, fields: &str) -> Result<()> {
    for field in fields.split_whitespace() {
        ensure!(value.get(field).is_some(), "no {field} in {value}");
    }
    Ok(())
}
