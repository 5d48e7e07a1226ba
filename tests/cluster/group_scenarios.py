"""Groups that follow nodes, on a real etcd: who is there is a member, and who is not is none."""

from world import wait_for

HOSTS = "abc"
# A session waits for its connection far longer than a lease: what ends a membership here, while a
# node is silent, is the lease.
SETTINGS = {"etcd": True, "ttl": 3000, "shards": 1, "heartbeat": 200, "silence": 1000,
            "patience": 500, "pause_max": 300, "grace": 600_000}


def wait_group(world, name, members):
    wanted = sorted(members)
    wait_for(f"{name} has the group {wanted}",
             lambda: world.nodes[name].status()["group"] == wanted)


def begin(world, name):
    world.nodes[name].tell("group work/")
    world.nodes[name].tell(f"publish work/{name}")


def changes(world, name):
    return [f"{each['what']} {each['who']}" for each in world.nodes[name].events("group")]


def test_a_group_follows_nodes_that_are_killed_cut_off_and_started_again(world):
    world.build(HOSTS, **SETTINGS)
    everyone = [f"{name}/work/{name}" for name in HOSTS]
    without_c = everyone[:2]
    for name in HOSTS:
        begin(world, name)
    for name in HOSTS:
        wait_group(world, name, everyone)
    world.nodes["b"].tell("publish work/more")
    wait_group(world, "a", everyone + ["b/work/more"])
    world.nodes["b"].tell("unpublish work/more")
    wait_group(world, "a", everyone)

    world.nodes["c"].kill()
    wait_group(world, "a", without_c)
    world.start("c")
    wait_for("c is linked again", lambda: "c" in world.nodes["a"].status()["linked"])
    assert world.nodes["a"].status()["group"] == without_c, "it has published nothing yet"
    begin(world, "c")
    for name in HOSTS:
        wait_group(world, name, everyone)

    # Silent: it is away first, and no member any more once its lease has ended. It does not reach
    # etcd, and keeps the others, which it does not reach either.
    world.net.plug("c", False)
    wait_for("c is away", lambda: "away c/work/c" in changes(world, "a"))
    wait_group(world, "a", without_c)
    wait_group(world, "c", ["?a/work/a", "?b/work/b", "c/work/c"])
    world.net.plug("c", True)
    for name in HOSTS:
        wait_group(world, name, everyone)

    # A lease alone, while the links are up, ends no membership: its actors are reached.
    world.net.cut("c", "etcd")
    wait_for("c is no member of the cluster", lambda: not world.nodes["c"].status()["member"])
    assert world.nodes["a"].status()["group"] == everyone
    world.net.mend("c", "etcd")

    world.nodes["c"].stop()
    wait_group(world, "a", without_c)
    # It came and went three times; how often it was away meanwhile is a matter of time.
    of_c = [each.split()[0] for each in changes(world, "a") if each.endswith("c/work/c")]
    assert [each for each in of_c if each in ("joined", "left")] == 3 * ["joined", "left"], of_c
