"""A network of namespaces: each host has one, with a veth pair to a bridge that stands here.

The script `run` has made namespaces for mounts, network and processes before, so that nothing of
this is seen outside, and all of it is gone with the test, however that ends.
"""

import shutil
import subprocess

SUBNET = "10.77.0."
NOWHERE = "02:00:00:00:00:ff"  # The address of no network card.


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def has_netem():
    """Tells whether the kernel has it."""
    tried = subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
                           capture_output=True, check=False)
    if tried.returncode == 0:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)
    return tried.returncode == 0


def has_nftables():
    return shutil.which("nft") is not None and \
        subprocess.run(["nft", "list", "tables"], capture_output=True, check=False).returncode == 0


class Network:
    """Hosts by name, each with an address."""

    def __init__(self, names):
        self.addresses = {name: f"{SUBNET}{at + 1}" for at, name in enumerate(names)}
        self._bridges = set()
        self._bridge(0)
        ip("addr", "add", f"{SUBNET}254/24", "dev", "part0")  # For clients that stand here.
        ip("link", "set", "lo", "up")
        for name, address in self.addresses.items():
            ip("netns", "add", name)
            ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"to-{name}", "master", "part0", "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")

    def _bridge(self, part):
        if part not in self._bridges:
            ip("link", "add", f"part{part}", "type", "bridge")
            ip("link", "set", f"part{part}", "up")
            self._bridges.add(part)

    def partition(self, *groups):
        """Leaves each group by itself; hosts that are in none stay together."""
        for at, group in enumerate(groups):
            self._bridge(at + 1)
            for name in group:
                ip("link", "set", f"to-{name}", "master", f"part{at + 1}")

    def heal(self):
        """Joins all parts."""
        for name in self.addresses:
            ip("link", "set", f"to-{name}", "master", "part0")

    def cut_one_way(self, sender, receiver):
        """Loses all that one host sends to another, in silence; not what comes from there."""
        ip("-n", sender, "neigh", "replace", self.addresses[receiver], "lladdr", NOWHERE,
           "dev", "eth0", "nud", "permanent")

    def cut(self, one, other):
        """Loses all that two hosts send to each other; both reach everybody else."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def mend_one_way(self, sender, receiver):
        ip("-n", sender, "neigh", "del", self.addresses[receiver], "dev", "eth0")

    def mend(self, one, other):
        self.mend_one_way(one, other)
        self.mend_one_way(other, one)

    def refuse_one_way(self, sender, receiver):
        """Has a host know no way to another: attempts to connect fail at once."""
        ip("-n", sender, "route", "add", "unreachable", self.addresses[receiver])

    def allow_one_way(self, sender, receiver):
        ip("-n", sender, "route", "del", "unreachable", self.addresses[receiver])

    def plug(self, name, is_in):
        """Pulls the cable of a host, or plugs it in."""
        ip("link", "set", f"to-{name}", "up" if is_in else "down")

    def break_connections(self, name):
        """Resets all TCP connections of a host, as a firewall that forgot them does."""
        subprocess.run(["ip", "netns", "exec", name, "ss", "--kill", "--tcp", "state",
                        "established"], capture_output=True, check=False)

    def disturb(self, name, *how):
        """Disturbs what a host sends, as `tc-netem` says. Requires: has_netem()."""
        subprocess.run(["tc", "-n", name, "qdisc", "replace", "dev", "eth0", "root", "netem",
                        *how], check=True)

    def lose_or_skip(self, sender, receiver, percent):
        """Loses some of what one host sends to another, where this machine lets it."""
        if not has_nftables():
            print("SKIPPED: this machine has no nftables (Debian: nftables)")
            raise SystemExit(77)
        self.lose(sender, receiver, percent)

    def lose(self, sender, receiver, percent):
        """Loses some of what one host sends to another. Requires: has_nftables()."""
        subprocess.run(["ip", "netns", "exec", receiver, "nft",
                        "add table ip loss; "
                        "add chain ip loss in { type filter hook input priority 0; }; "
                        f"add rule ip loss in ip saddr {self.addresses[sender]} "
                        f"numgen random mod 100 < {percent} drop"], check=True)
