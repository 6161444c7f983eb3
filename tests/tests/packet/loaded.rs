//! A program that was used by another test behaves as a new one.

use lb_tests::needs_bpf;
use lb_tests::packet::objects::{modes_with, objects};
use lb_tests::packet::places::{SERVICE, STRANGER, backend, client, vip};
use lb_tests::packet::{Flows, Frame, Setup, World, pool, service};
use lb_userspace::core::model::{Limits, Mode, Protocol, Vip};
use lb_userspace::edge::dataplane::run::Outcome;
use lb_userspace::edge::dataplane::testing::Hands;

const MODES: [Mode; 5] = [Mode::Fullnat, Mode::Nat, Mode::L2, Mode::Ipip, Mode::Gue];

fn address_of(mode: Mode) -> Vip {
    vip(Protocol::Tcp).at(SERVICE.port() + mode as u16)
}

/// Sends packets of many flows through a service in each mode, and some to nobody.
fn play(world: &mut World, modes: &[Mode], backends: impl Iterator<Item = u8> + Clone) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for mode in modes {
        let address = address_of(*mode);
        world.serve(&service(address, *mode, pool(backends.clone().map(backend))));
        let to = std::net::SocketAddr::new(address.address, address.port);
        for n in 0..40 {
            outcomes.push(world.run(&Frame::tcp(client(n), to).syn().bytes()));
            outcomes.push(world.run(&Frame::tcp(client(n), to).data(b"data").bytes()));
        }
    }
    outcomes.push(world.run(&Frame::tcp(client(0), STRANGER).syn().bytes()));
    outcomes
}

#[test]
fn a_program_that_was_used_behaves_as_a_new_one() {
    needs_bpf!();
    for flow_table in objects() {
        // Make: a new one, and what comes out of it.
        let defaults = Setup::default();
        let setup = Setup {
            // As no other test has it: what this one leaves, nobody else takes.
            limits: Limits {
                services: 65,
                ..defaults.limits
            },
            flow_table,
            ..defaults
        };
        let modes = modes_with(flow_table, &MODES);
        let mut new = World::new(&setup);
        let program = new.dataplane.program_id();
        let wanted = play(&mut new, &modes, 1..=5);
        let counted = new.reasons();
        // Set up: it is used, for other things too, and comes back.
        play(&mut new, &modes, 3..=9);
        new.remove(address_of(modes[0]));
        new.route_clients(None);
        Hands::on(&mut new.dataplane)
            .expect("the maps are mapped")
            .clock
            .store(0, &7);
        drop(new);
        let mut again = World::new(&setup);
        // Check.
        assert_eq!(again.dataplane.program_id(), program, "it is the same program");
        assert!(again.reasons().iter().all(|packets| *packets == 0));
        if flow_table {
            assert!(Flows::on(&mut again).all().is_empty());
        }
        assert_eq!(play(&mut again, &modes, 1..=5), wanted);
        assert_eq!(again.reasons(), counted);
    }
}
