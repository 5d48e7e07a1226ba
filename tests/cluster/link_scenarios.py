"""Nodes that are linked to each other by their addresses, while the network is cut up."""

import os
import time

import network
from world import busy, wait_for

FIVE = "abcde"
# So soon a silent connection is given up. Two seconds are long even for a machine that is slow.
QUICK = {"heartbeat": 400, "silence": 2000, "patience": 500, "pause_max": 300}
LONG = 120_000  # No session is lost meanwhile.
# Who sends waits for a link that is down, too: then nothing is refused, either.
PATIENT = {**QUICK, "patience": LONG}


def across(left, right):
    return [(one, other) for one in left for other in right] + \
           [(other, one) for one in left for other in right]


def within(group):
    return [(one, other) for one in group for other in group if one != other]


def test_a_partition_that_heals_within_the_grace_loses_no_message(world):
    world.build(FIVE, grace=LONG, **PATIENT)
    world.watch_all()
    world.flow_all()
    world.wait_flowing()
    world.net.partition("ab", "cde")
    for one, other in across("ab", "cde"):
        world.wait_unlinked(one, other)
    world.wait_flowing(within("ab") + within("cde"))
    world.net.heal()
    world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"


def test_a_partition_beyond_the_grace_reports_what_it_lost(world):
    world.build(FIVE, grace=3000, **QUICK)
    world.watch_all()
    world.flow_all()
    world.wait_flowing()
    world.net.partition("ab", "cde")
    for name, lost in {"a": "cde", "b": "cde", "c": "ab", "d": "ab", "e": "ab"}.items():
        wait_for(f"{name} has lost {lost}",
                 lambda name=name, lost=lost: sorted(world.nodes[name].losses()) == list(lost))
    world.net.heal()
    world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=within("ab") + within("cde"))
    for name, lost in {"a": "cde", "b": "cde", "c": "ab", "d": "ab", "e": "ab"}.items():
        assert sorted(world.nodes[name].losses()) == list(lost), f"a false alarm at {name}"


def test_a_cut_in_one_direction_is_noticed_by_both_and_loses_nothing(world):
    world.build("abc", grace=LONG, **PATIENT)
    world.watch_all()
    world.flow_all()
    world.wait_flowing()
    # In silence, and as somebody whose attempts to connect fail at once.
    for cut, mend in ((world.net.cut_one_way, world.net.mend_one_way),
                      (world.net.refuse_one_way, world.net.allow_one_way)):
        cut("a", "b")
        world.wait_unlinked("a", "b")
        world.wait_unlinked("b", "a")
        world.wait_flowing([("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")])
        mend("a", "b")
        world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"


def test_a_killed_node_is_lost_for_all_and_its_next_run_is_a_new_one(world):
    world.build(FIVE, grace=LONG, **QUICK)
    world.watch_all()
    world.flow_all(pause_ms=2)
    world.wait_flowing()
    others = [name for name in FIVE if name != "c"]
    world.nodes["c"].kill()
    # Its port refuses connections: nobody has to wait for the grace.
    for name in others:
        wait_for(f"{name} has lost c", lambda name=name: world.nodes[name].losses() == ["c"])
    world.wait_flowing(within("abde"))
    world.start("c")
    world.wait_flowing([(name, "c") for name in others])
    # One that is back before anybody could tell is another one as well.
    for name in others:
        world.nodes[name].tell("watch c")
    world.nodes["c"].kill()
    world.start("c")
    for name in others:
        wait_for(f"{name} has lost c", lambda name=name: world.nodes[name].losses() == ["c", "c"])
    world.wait_flowing([(name, "c") for name in others])
    world.end_flows()
    world.check_flows(undisturbed=within("abde"))


def test_a_node_that_stands_still_for_three_seconds_is_no_false_alarm(world):
    world.build("abc", heartbeat=500, silence=30_000, grace=1000, patience=500, pause_max=300)
    world.watch_all()
    world.flow_all()
    world.wait_flowing()
    world.nodes["b"].freeze()
    world.wait_flowing([("a", "c"), ("c", "a")])
    time.sleep(3)  # It is the time that is tested.
    world.nodes["b"].thaw()
    world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"


def test_nodes_that_get_little_of_a_processor_raise_no_false_alarm(world):
    world.build("abc", grace=1000, **QUICK)
    world.watch_all()
    processor = min(os.sched_getaffinity(0))
    for node in world.nodes.values():
        node.run_on(processor)
    world.flow_all(pause_ms=20)
    world.wait_flowing(more=5)
    # Of the processor, the loops have some 97 %.
    with busy(processor, 12):
        for _ in range(3):
            world.nodes["b"].freeze()
            time.sleep(1)  # It is the time that is tested: half of that after which silence counts.
            world.nodes["b"].thaw()
            time.sleep(0.5)
        world.wait_flowing(more=5)
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"
        assert not node.log_lines("is down"), f"{node.name} gave up a connection"


def test_a_node_that_stands_still_for_too_long_is_lost_and_comes_back(world):
    world.build("abc", grace=3000, **QUICK)
    for name in "ac":
        world.nodes[name].tell("watch b")
    world.flow_all()
    world.wait_flowing()
    world.nodes["b"].freeze()
    for name in "ac":
        wait_for(f"{name} has lost b", lambda name=name: world.nodes[name].losses() == ["b"])
    world.nodes["b"].thaw()
    world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=[("a", "c"), ("c", "a")])


def test_links_that_flap_deliver_each_message_once_and_in_order(world):
    world.build("ab", heartbeat=100, silence=400, grace=LONG, patience=LONG, pause_max=50)
    world.watch_all()
    world.flow_all(pause_ms=1, burst=10, size=100)
    for flaps in range(15):
        world.wait_flowing()
        if flaps % 3 == 2:  # For so long that the connection is given up.
            world.net.plug("a", False)
            world.wait_unlinked("a", "b")
            world.wait_unlinked("b", "a")
            world.net.plug("a", True)
        elif flaps % 3 == 1:
            world.net.break_connections("a")
        else:
            world.net.plug("a", False)
            time.sleep(0.05)  # For less than that.
            world.net.plug("a", True)
    world.wait_flowing()
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"


def test_a_network_that_loses_packets_in_one_direction_loses_no_message(world):
    world.build("abc", grace=LONG, heartbeat=500, silence=10_000, patience=LONG, pause_max=300)
    if network.has_netem():
        world.net.disturb("a", "delay", "20ms", "10ms", "loss", "3%", "reorder", "20%")
        world.net.disturb("b", "delay", "5ms")
    elif network.has_nftables():
        world.net.lose("a", "b", 10)
        world.net.lose("c", "a", 2)
    else:
        print("SKIPPED: this machine has neither netem nor nftables (Debian: nftables)")
        raise SystemExit(77)
    world.watch_all()
    world.flow_all(pause_ms=1, size=200)
    world.wait_flowing(more=500)
    world.end_flows()
    world.check_flows(undisturbed=world.each_pair())
    for node in world.nodes.values():
        assert not node.losses(), f"a false alarm at {node.name}: {node.losses()}"
