"""Shards on a real etcd: no two owners at any time, whatever is cut."""

from world import check_owners, runs_of_shards, wait_for

HOSTS = "abcd"
SHARDS = 12
# The time to live, after which the others take over what a lost node had.
SETTINGS = {"etcd": True, "ttl": 3000, "shards": SHARDS, "heartbeat": 200, "silence": 1000,
            "patience": 500, "pause_max": 300, "grace": 2000}


WORD = (1 << 64) - 1


def spread(number):
    number = (number + 0x9E3779B97F4A7C15) & WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & WORD
    return number ^ (number >> 31)


def hash_of(text):
    number = 0xCBF29CE484222325
    for each in text.encode():
        number = ((number ^ each) * 0x100000001B3) & WORD
    return spread(number)


def placed(names, shards=SHARDS):
    """Gives which shards belong to each of these hosts: rendezvous hashing."""
    owners = {name: [] for name in names}
    for shard in range(shards):
        best = max(names, key=lambda name: spread(hash_of(name) ^ spread(shard)))
        owners[best].append(shard)
    return owners


def hosted(world, names):
    return {name: sorted(world.nodes[name].status()["shards"]) for name in names}


def wait_placed(world, names=HOSTS):
    """Waits until each shard runs where it belongs when these are the hosts."""
    wanted = placed(names)
    wait_for(f"all shards run at {names}", lambda: hosted(world, names) == wanted)


def others_than(name):
    return [each for each in HOSTS if each != name]


def test_an_owner_that_is_cut_from_etcd_stops_before_another_one_starts(world):
    world.build(HOSTS, **SETTINGS)
    wait_placed(world)
    lost = world.nodes["b"]
    # Both directions; then only the answers: etcd may prolong the lease once more, untold.
    for cut, mend in ((lambda: world.net.cut("b", "etcd"), lambda: world.net.mend("b", "etcd")),
                      (lambda: world.net.cut_one_way("etcd", "b"),
                       lambda: world.net.mend_one_way("etcd", "b"))):
        cut()
        wait_for("b hosts nothing", lambda: not lost.status()["shards"])
        assert set(lost.status()["linked"]) >= set(others_than("b")), "its links are not cut"
        wait_placed(world, others_than("b"))
        mend()
        wait_placed(world)
    check_owners(world)


def test_a_partition_leaves_shards_to_those_who_reach_etcd(world):
    world.build(HOSTS, **SETTINGS)
    wait_placed(world)
    world.net.partition("ab", ["c", "d", "etcd"])
    wait_placed(world, "cd")
    wait_for("a and b host nothing", lambda: not any(hosted(world, "ab").values()))
    world.net.heal()
    wait_placed(world)
    # Nobody reaches etcd: all stop, and begin again.
    world.net.plug("etcd", False)
    wait_for("nobody hosts anything", lambda: not any(hosted(world, HOSTS).values()))
    world.net.plug("etcd", True)
    wait_placed(world)
    check_owners(world)


def test_an_owner_that_is_killed_or_stands_still_is_followed_by_one(world):
    world.build(HOSTS, **SETTINGS)
    wait_placed(world)
    world.nodes["c"].kill()
    wait_placed(world, others_than("c"))
    world.start("c")
    wait_placed(world)
    # Longer than its lease: what it does when it goes on, it does not as an owner.
    world.nodes["d"].freeze()
    wait_placed(world, others_than("d"))
    world.nodes["d"].thaw()
    wait_placed(world)
    # Both at once, while a third one is stopped in order.
    world.nodes["a"].freeze()
    world.nodes["b"].kill()
    world.nodes["c"].stop()
    wait_placed(world, "d")
    world.nodes["a"].thaw()
    world.start("b")
    world.start("c")
    wait_placed(world)
    check_owners(world)


def test_a_killed_owner_that_starts_again_follows_itself_long_before_its_lease_ends(world):
    world.build("abc", **{**SETTINGS, "ttl": 600_000})
    wait_placed(world, "abc")
    for _ in range(2):
        world.nodes["c"].kill()
        world.start("c")
        wait_placed(world, "abc")
    check_owners(world)


def test_shards_have_one_owner_on_a_network_that_loses_packets_in_one_direction(world):
    world.build("abc", **SETTINGS)
    wait_placed(world, "abc")
    world.net.lose_or_skip("etcd", "b", 10)
    world.net.lose_or_skip("a", "etcd", 10)
    world.nodes["c"].kill()
    wait_placed(world, "ab")
    world.start("c")
    wait_placed(world, "abc")
    check_owners(world)


def test_shards_stay_where_they_are_while_etcd_is_restarted(world):
    world.build(HOSTS, **{**SETTINGS, "ttl": 60_000})
    wait_placed(world)
    runs = len(runs_of_shards(world))
    for _ in range(2):
        world.kill_etcd()
        world.start_etcd()
    world.net.break_connections("etcd")
    world.nodes["d"].stop()
    wait_placed(world, "abc")  # For that, etcd is asked again.
    check_owners(world)
    assert len(runs_of_shards(world)) == runs + len(placed(HOSTS)["d"]), "shards were begun anew"
