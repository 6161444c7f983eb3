//! A report for people: a line a step.

use super::report::{Flow, Report, Way};
use crate::core::model::AdminState;
use crate::core::observed::Health;
use crate::edge::dataplane::run::Verdict;

impl Report {
    /// The steps in their order, each with its name; those that the packet did not come to are left out.
    pub fn steps(&self) -> Vec<(&'static str, String)> {
        let steps = [
            ("packet", Some(self.packet_step())),
            ("service", Some(self.service_step())),
            ("flow", self.flow.map(flow_step)),
            ("slot", self.slot_step()),
            ("backend", self.backend_step()),
        ];
        let mut said: Vec<_> = steps
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)))
            .collect();
        said.extend(self.rewritten_steps());
        said.extend(self.egress_step().map(|text| ("leaves", text)));
        said.push(("verdict", self.verdict_step()));
        said.push(("names", self.names_note.clone()));
        said
    }

    fn packet_step(&self) -> String {
        let vlan = self
            .vlan
            .as_ref()
            .map_or_else(String::new, |id| format!(" in VLAN {id}"));
        let others = match self.other_interfaces.as_slice() {
            [] => String::new(),
            others => format!(" (--interface takes {}, too)", others.join(", ")),
        };
        format!("{}, comes in by {}{vlan}{others}", self.packet, self.interface)
    }

    fn service_step(&self) -> String {
        let (Some(name), Some(vip), Some(mode)) = (&self.fate.service, &self.vip, self.fate.mode) else {
            return match &self.no_service {
                Some(why) => why.clone(),
                None => "not looked for".to_owned(),
            };
        };
        let back = match self.way {
            Some(Way::ToClient) => ", on the way back to a client",
            _ => "",
        };
        match name == vip {
            true => format!("{vip}, mode {mode}{back}"),
            false => format!("{name}, {vip}, mode {mode}{back}"),
        }
    }

    fn slot_step(&self) -> Option<String> {
        let (slot, size, state) = (self.fate.slot?, self.table_size?, self.fate.slot_state?);
        let owner = match &self.slot_backend {
            Some(backend) => format!("{backend}'s"),
            None => "nobody's".to_owned(),
        };
        Some(format!("{slot} of {size} by the flow's hash: {owner}, {state}"))
    }

    fn backend_step(&self) -> Option<String> {
        let (name, address) = (self.fate.backend.as_ref()?, self.backend_address.as_ref()?);
        let mut text = match name == address {
            true => address.clone(),
            false => format!("{name}, {address}"),
        };
        if let Some(state) = self.backend_state {
            text += match state {
                AdminState::Ready => ", ready",
                AdminState::Drain => ", drain",
                AdminState::Maint => ", maint",
            };
        }
        if let Some(health) = self.backend_health {
            text += match health {
                Health::Up => ", up",
                Health::Down => ", down",
                Health::Unknown => ", not checked",
            };
        }
        if let Some(why) = &self.backend_out_because {
            text += &format!("; gets no new flows: {why}");
        }
        Some(text)
    }

    /// A line for each change.
    fn rewritten_steps(&self) -> Vec<(&'static str, String)> {
        let named = |what: &str| match what {
            "outer_header" => "outer header",
            "vlan" => "VLAN",
            "source_mac" => "source MAC",
            "destination_mac" => "destination MAC",
            "source" => "source",
            _ => "destination",
        };
        let changes = self.rewritten.iter().map(|change| {
            let what = named(change.what);
            let text = match (&change.before, &change.after) {
                (Some(before), Some(after)) => format!("{what} {before} to {after}"),
                (None, Some(after)) => format!("{what} {after}, put on"),
                (Some(before), None) => format!("{what} {before}, taken off"),
                (None, None) => what.to_owned(),
            };
            ("rewritten", text)
        });
        changes.collect()
    }

    fn egress_step(&self) -> Option<String> {
        let name = self.egress.as_ref()?;
        Some(match self.fate.verdict {
            Verdict::Tx => format!("by {name}, as it came in"),
            _ => format!("by {name}"),
        })
    }

    fn verdict_step(&self) -> String {
        let verdict = match self.fate.verdict {
            Verdict::Tx | Verdict::Redirect if self.fate.reason.is_some() => "answered",
            Verdict::Tx | Verdict::Redirect => "sent",
            Verdict::Pass => "passed to the kernel",
            Verdict::Drop => "dropped",
            Verdict::Aborted => "dropped, the program gave up",
        };
        let mut text = format!("{}: {verdict}", self.fate.verdict.name());
        if let (Some(reason), Some(meaning)) = (self.fate.reason, self.meaning) {
            text += &format!(", {reason}: {meaning}");
        }
        if let Some(bytes) = self.told_mtu_bytes {
            text += &format!(" At most {bytes} bytes fit.");
        }
        text
    }
}

fn flow_step(flow: Flow) -> String {
    let text = match flow {
        Flow::Known => "in the flow table, which says the backend",
        Flow::New => "not in the flow table: a new one",
        Flow::Unknown => "not in the flow table, and only a SYN begins one",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fate::Fate;
    use crate::trace::headers::Change;
    use crate::trace::names::Teller;

    fn sent() -> Report {
        let change = |what, before: Option<&str>, after: &str| Change {
            what,
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
        };
        Report {
            fate: Fate {
                verdict: Verdict::Redirect,
                reason: None,
                service: Some("web".into()),
                backend: Some("web-1".into()),
                mode: Some("gue"),
                slot: Some(7),
                slot_state: Some("stable"),
                length_in: 58,
                length_out: 86,
            },
            meaning: None,
            packet: "TCP SYN 198.51.100.7:40000 > 192.0.2.10:443, 40 bytes".into(),
            vlan: Some("10".into()),
            interface: "eth0".into(),
            other_interfaces: vec!["eth1".into()],
            egress: Some("eth1".into()),
            way: Some(Way::ToBackend),
            vip: Some("192.0.2.10:443/tcp".into()),
            no_service: None,
            flow: None,
            table_size: Some(251),
            slot_backend: Some("web-1".into()),
            backend_address: Some("10.0.1.1:443".into()),
            backend_state: Some(AdminState::Drain),
            backend_health: Some(Health::Up),
            backend_out_because: Some("drain".into()),
            rewritten: vec![
                change("outer_header", None, "UDP 10.0.0.11:50000 > 10.0.1.1:6080"),
                change("vlan", Some("10"), "20"),
            ],
            told_mtu_bytes: None,
            names_from: Teller::Daemon,
            names_note: "the daemon's, revision 3".into(),
        }
    }

    fn text(report: &Report) -> String {
        let line = |(name, text): (&str, String)| format!("{name}: {text}\n");
        report.steps().into_iter().map(line).collect()
    }

    #[test]
    fn each_step_is_a_line() {
        let wanted = "\
            packet: TCP SYN 198.51.100.7:40000 > 192.0.2.10:443, 40 bytes, comes in by eth0 in VLAN 10 (--interface takes eth1, too)\n\
            service: web, 192.0.2.10:443/tcp, mode gue\n\
            slot: 7 of 251 by the flow's hash: web-1's, stable\n\
            backend: web-1, 10.0.1.1:443, drain, up; gets no new flows: drain\n\
            rewritten: outer header UDP 10.0.0.11:50000 > 10.0.1.1:6080, put on\n\
            rewritten: VLAN 10 to 20\n\
            leaves: by eth1\n\
            verdict: redirect: sent\n\
            names: the daemon's, revision 3\n";
        assert_eq!(text(&sent()), wanted);
    }

    #[test]
    fn steps_that_were_not_come_to_are_left_out() {
        let mut report = sent();
        report.fate = Fate {
            verdict: Verdict::Pass,
            reason: Some("no_service"),
            mode: None,
            ..Fate::not_run(58)
        };
        report.meaning = Some("Nobody's.");
        report.no_service = Some("none has the address 192.0.2.10".into());
        (report.vip, report.egress, report.rewritten) = (None, None, Vec::new());
        let said = text(&report);
        let wanted = "service: none has the address 192.0.2.10\n\
            verdict: pass: passed to the kernel, no_service: Nobody's.\n";
        assert!(said.contains(wanted) && said.lines().count() == 4, "{said}");
    }
}
