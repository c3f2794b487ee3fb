//! Power cuts: at any operation, of writing as of recovering; then the un-synced is dropped, torn or reordered.

use super::World;
use crate::for_each_seed;

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_at_random() {
    for_each_seed(300, |seed| {
        let mut world = World::new(seed);
        for _ in 0..12 {
            let cut_at = 1 + world.random.below(120);
            world.disk.cut_power_at(cut_at);
            if world.random.one_in(3) {
                // And before that, an operation fails.
                let fails_at = 1 + world.random.below(cut_at);
                world.disk.fail_operation(fails_at, std::io::ErrorKind::Other);
            }
            world.run(30);
            world.log = None;
            world.disk.power_cycle(&mut world.random);
        }
        assert!(world.reopen());
    });
}

#[test]
fn nothing_acknowledged_is_lost_at_any_crash_point() {
    for_each_seed(4, |seed| {
        let steps = 25;
        let mut whole = World::new(seed);
        whole.run(steps);
        let mut torn_tails = 0;
        for cut_at in 1..=whole.disk.operations() {
            let mut world = World::new(seed);
            world.disk.cut_power_at(cut_at);
            world.run(steps);
            world.log = None;
            world.disk.power_cycle(&mut world.random);
            // Once more while it recovers.
            let cut_again_at = 1 + world.random.below(12);
            world.disk.cut_power_at(cut_again_at);
            world.run(2);
            world.log = None;
            world.disk.power_cycle(&mut world.random);
            world.run(6);
            world.log = None;
            assert!(world.reopen(), "crash point {cut_at}");
            torn_tails += world.torn_tails;
        }
        assert!(torn_tails > 0, "the simulation tears something");
    });
}

#[test]
fn a_crash_loop_does_not_grow_the_log() {
    let mut world = World::new(1);
    world.run(20);
    world.log = None;
    let used = world.disk.used_bytes();
    for _ in 0..50 {
        assert!(world.reopen());
        world.log = None;
        world.disk.kill_process();
    }
    assert_eq!(world.disk.used_bytes(), used);
}
