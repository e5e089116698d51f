//! Runs the timers of a reactor's sockets, on its thread. Each slot has one: the timeout of its connection, or the deadline of its request or close.

use super::connections::Connections;
use super::ingress::Ingress;
use super::sockets::Sockets;
use super::sockets::slot::State;

/// Runs every timer that may be due. `ingress` is `None` on reactors without the public port and during a drain.
pub(super) fn run_due(connections: &mut Connections, mut ingress: Option<&mut Ingress>, sockets: &mut Sockets) {
    while let Some(slots) = sockets.pop_expired() {
        for slot in slots {
            let deadline = match sockets.state(slot) {
                Some(State::Open(_)) => {
                    connections.on_timer(sockets, slot);
                    continue;
                }
                Some(State::Receiving(request)) => request.deadline,
                Some(State::Closing(closing)) => closing.deadline(),
                Some(State::Vacant) | None => continue,
            };
            if sockets.now < deadline {
                sockets.schedule(slot, deadline);
                continue;
            }
            match (&mut ingress, sockets.state(slot)) {
                (Some(ingress), Some(State::Receiving(_))) => ingress.on_deadline(sockets, slot),
                _ => sockets.remove(slot),
            }
        }
    }
}
