//! Signs of life on demand.

use lama_identity::InstanceId;

use super::{DELAY, World, secs};
use crate::{Command, NodeError, Reply, Status};

fn status(world: &mut World, actor: usize) -> Status {
    match world.ask(actor, Command::Status) {
        Ok(Reply::Status(status)) => *status,
        other => panic!("{other:?}"),
    }
}

fn peer_of(world: &mut World, actor: usize) -> InstanceId {
    status(world, actor).peers[0].peer.instance
}

#[test]
fn a_ping_is_answered_by_the_program_at_the_other_end_and_takes_one_round_trip() {
    let mut world = World::new();
    let (ada, bob) = (
        world.add("ada@lama.test", Some("ws://localhost:1")),
        world.add("bob@lama.test", Some("ws://localhost:2")),
    );
    world.pair(ada, bob);
    for (actor, dialled) in [(ada, false), (bob, true)] {
        let instance = peer_of(&mut world, actor);
        match world.ask(actor, Command::Ping { instance }) {
            Ok(Reply::Pong { round_trip, relayed, url }) => {
                assert_eq!(round_trip, 2 * DELAY);
                assert!(!relayed);
                assert_eq!(url.is_some(), dialled);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(status(&mut world, actor).peers[0].round_trip, Some(2 * DELAY));
    }
}

#[test]
fn a_ping_into_a_session_that_is_cut_or_is_not_there_says_so() {
    let mut world = World::new();
    let (ada, bob) = (
        world.add("ada@lama.test", Some("ws://localhost:1")),
        world.add("bob@lama.test", Some("ws://localhost:2")),
    );
    world.pair(ada, bob);
    let (instance, person) = (peer_of(&mut world, ada), world.person(bob));
    let ticket = world.command(ada, Command::Ping { instance });
    world.stop(bob);
    world.run(secs(1));
    assert_eq!(world.actors[ada].replies.remove(&ticket), Some(Err(NodeError::NotConnected { person })));
    assert_eq!(world.ask(ada, Command::Ping { instance }), Err(NodeError::NotConnected { person }));
    let row = status(&mut world, ada).peers.remove(0);
    let problem = row.problem.expect("why it is not connected");
    assert_eq!(problem.code, "dial.refused");
    assert!(row.again.is_some() && row.failures > 0, "{:?} {}", row.again, row.failures);
}
