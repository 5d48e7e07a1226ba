"""Nodes under test, each a process in a namespace of its own, and an etcd in another."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

import network

PROGRAM = None  # Set by cluster_test.py.
PATIENCE = 100  # Seconds that anything may take, on a slow machine.


def wait_for(what, condition, seconds=PATIENCE):
    """Waits until the condition gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(0.02)


class Node:
    """One run of the program at one host."""

    def __init__(self, world, name, options):
        self.name = name
        number = sum(each.name == name for each in world.all_runs)
        self.label = f"{name}{number}"  # Of this run, in the names of its flows.
        self.ledger = world.folder / self.label
        self._log = open(f"{self.ledger}.log", "w", encoding="utf-8")
        self._changed = threading.Condition()
        self._events = []
        command = ["ip", "netns", "exec", name, PROGRAM, "--name", name, "--label", self.label,
                   "--ledger", self.ledger,
                   "--listen", world.address_of(name)]
        for option, value in options.items():
            command += ["--" + option.replace("_", "-"), str(value)]
        if "etcd" not in options:
            for peer in world.names:
                if peer != name:
                    command += ["--peer", f"{peer}={world.address_of(peer)}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self._log, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._events.append({"event": "ended"})
            self._changed.notify_all()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def events(self, kind):
        with self._changed:
            return [each for each in self._events if each["event"] == kind]

    def next_event(self, kind, after):
        """Waits for an event of a kind behind the first so many ones of it."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                found = [each for each in self._events if each["event"] == kind]
                if len(found) > after:
                    return found[after]
                ended = any(each["event"] == "ended" for each in self._events)
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"node {self.name}: no {kind}; ended: {ended}")
                self._changed.wait(0.1)

    def status(self):
        after = len(self.events("status"))
        self.tell("status")
        return self.next_event("status", after)

    def losses(self):
        """Gives which peers were lost, of those that are watched."""
        return [each["peer"] for each in self.events("lost")]

    def log_lines(self, part):
        """Gives the lines of its log that have something in them."""
        text = pathlib.Path(f"{self.ledger}.log").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if part in line]

    def run_on(self, processor):
        """Leaves it one processor only."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), {processor})

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise AssertionError(f"node {self.name} ended with {code}")

    def lines(self):
        """Gives what it recorded; a line that was cut off by its death is none."""
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [line.split(" ", 2) for line in text.split("\n")[:-1]]


class World:
    """All of a scenario. Leaves nothing behind."""

    def __init__(self, folder):
        self.folder = folder
        self.names = []
        self.net = None
        self.nodes = {}
        self.all_runs = []
        self.options = {}
        self.etcd = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for each in self.all_runs:
            each.process.kill()  # Others end with the namespace of processes.
        if self.etcd is not None:
            self.etcd.kill()
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                lines = log.read_text(errors="replace").splitlines()
                print(f"== {log.name}", *lines[-25:], sep="\n")

    def build(self, names, **options):
        """Makes hosts and a node at each, all linked to each other."""
        self.names = list(names)
        self.options = options
        hosts = self.names + (["etcd"] if "etcd" in options else [])
        self.net = network.Network(hosts)
        if "etcd" in options:
            self.options["etcd"] = f"http://{self.net.addresses['etcd']}:2379"
            self.start_etcd()
        for name in self.names:
            self.start(name)
        for name in self.names:
            self.wait_linked(name, set(self.names) - {name})
        return self

    def address_of(self, name):
        return f"{self.net.addresses[name]}:9000"

    def start(self, name):
        self.nodes[name] = Node(self, name, self.options)
        self.all_runs.append(self.nodes[name])
        self.nodes[name].next_event("ready", 0)

    def start_etcd(self):
        url = f"http://{self.net.addresses['etcd']}"
        with open(self.folder / "etcd.log", "a", encoding="utf-8") as log:
            self.etcd = subprocess.Popen(
                ["ip", "netns", "exec", "etcd", "etcd", "--data-dir", self.folder / "etcd",
                 "--listen-client-urls", f"{url}:2379", "--advertise-client-urls", f"{url}:2379",
                 "--listen-peer-urls", f"{url}:2380",
                 "--initial-advertise-peer-urls", f"{url}:2380",
                 "--initial-cluster", f"default={url}:2380",
                 "--heartbeat-interval", "50", "--election-timeout", "500"],
                stdout=log, stderr=log)

        def answers():
            if self.etcd.poll() is not None:
                raise AssertionError("etcd has ended")
            connection = http.client.HTTPConnection(self.net.addresses["etcd"], 2379, timeout=2)
            try:
                connection.request("GET", "/health")
                return b"true" in connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()
        wait_for("etcd answers", answers)

    def kill_etcd(self):
        self.etcd.kill()
        self.etcd.wait()

    def wait_linked(self, name, peers):
        peers = set(peers)
        wait_for(f"{name} is linked to {sorted(peers)}",
                 lambda: peers <= set(self.nodes[name].status()["linked"]))

    def wait_unlinked(self, name, peers):
        peers = set(peers)
        wait_for(f"{name} has lost its links to {sorted(peers)}",
                 lambda: not peers & set(self.nodes[name].status()["linked"]))

    def each_pair(self):
        return [(one, other) for one in self.names for other in self.names if one != other]

    def watch_all(self):
        for one, other in self.each_pair():
            self.nodes[one].tell(f"watch {other}")

    def flow_all(self, pause_ms=5, burst=1, count=0, size=16):
        """Has each node send to each other one."""
        for one, other in self.each_pair():
            self.nodes[one].tell(f"flow {other} {pause_ms} {burst} {count} {size}")

    def flow(self, one, other):
        """Names the flow of the current run of a node."""
        return f"{self.nodes[one].label}>{other}"

    def wait_flowing(self, pairs=None, more=20):
        """Waits until each receiver has got so many more messages of each flow."""
        pairs = pairs or self.each_pair()
        receivers = {other for _, other in pairs}
        before = self.received_counts(receivers)

        def moved():
            now = self.received_counts(receivers)
            return all(now.get(flow, 0) >= before.get(flow, 0) + more
                       for flow in (self.flow(*pair) for pair in pairs))
        wait_for(f"messages on each of {pairs}", moved)

    def received_counts(self, receivers):
        counts = {}
        for name in receivers:
            counts.update(self.nodes[name].status()["got"])
        return counts

    def end_flows(self):
        for node in self.nodes.values():
            node.tell("end")
        for node in self.nodes.values():
            wait_for(f"the flows of {node.name} end",
                     lambda node=node: all(flow["done"]
                                           for flow in node.status()["flows"].values()))

    def records(self):
        """Gives what became of each flow, over all runs of all nodes."""
        flows = {}
        for run in self.all_runs:
            for kind, flow, rest in (line for line in run.lines() if line[0] in "ARUG"):
                book = flows.setdefault(flow, {"A": [], "R": [], "U": [], "G": []})
                book[kind].append(rest if kind == "U" else int(rest))
        return flows

    def check_flows(self, undisturbed=()):
        """Checks the promises of all flows once they have ended.

        Each message at most once, in order, and only what was taken over; of what did not come,
        there is a report for each. On `undisturbed` pairs, nothing was refused or reported."""
        living = [self.flow(*pair) for pair in self.each_pair()]

        def accounted():
            flows = self.records()
            return all(len(book["G"]) + len(book["U"]) >= len(book["A"])
                       for book in (flows[flow] for flow in living if flow in flows))
        try:
            wait_for("all that was taken over is delivered or reported", accounted)
        finally:
            flows = self.records()
            for flow, book in sorted(flows.items()):
                print(flow, *(f"{kind}:{len(book[kind])}" for kind in "ARUG"))
        for flow, book in flows.items():
            got = book["G"]
            if any(late >= early for late, early in zip(got, got[1:])):
                at = next(at for at in range(len(got) - 1) if got[at] >= got[at + 1])
                raise AssertionError(f"{flow}: {got[at + 1]} came behind {got[at]}")
            refused = set(book["R"])
            if wrong := [number for number in got if number in refused]:
                raise AssertionError(f"{flow}: {wrong[:5]} came though they were refused")
        for one, other in undisturbed:
            book = flows[self.flow(one, other)]
            if book["R"] or book["U"] or book["G"] != book["A"]:
                raise AssertionError(f"{one}>{other} was disturbed")
        return flows


@contextlib.contextmanager
def busy(processor, count):
    """Keeps a processor busy by loops of a higher priority than the nodes have."""
    loops = [subprocess.Popen(["nice", "-n", "-10", "sh", "-c", "while :; do :; done"])
             for _ in range(count)]
    try:
        for each in loops:
            os.sched_setaffinity(each.pid, {processor})
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


def temporary_folder():
    shared = pathlib.Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=shared if shared.exists() else None)


def runs_of_shards(world):
    """Gives when each run of each shard was, and where: (shard, fence) to [start, last, node].

    All processes of a machine have one clock."""
    runs = {}
    for run in world.all_runs:
        for kind, shard, rest in (line for line in run.lines() if line[0] in "SL"):
            fence, at = (int(word) for word in rest.split())
            key = (int(shard), fence)
            if key not in runs:
                runs[key] = [at, at, run.name]
            if runs[key][2] != run.name:
                raise AssertionError(f"shard {shard}: two owners with the fence {fence}")
            runs[key][1] = max(runs[key][1], at)
    return runs


def check_owners(world):
    """Checks that no shard ever ran at two nodes at a time, and that fences grow."""
    runs = runs_of_shards(world)
    by_shard = {}
    for (shard, fence), (start, last, name) in runs.items():
        by_shard.setdefault(shard, []).append((start, last, fence, name))
    for shard, each in by_shard.items():
        each.sort()
        for before, after in zip(each, each[1:]):
            if after[0] <= before[1]:
                raise AssertionError(f"shard {shard}: {before} and {after} overlap")
            if after[2] <= before[2]:
                raise AssertionError(f"shard {shard}: the fence of {after} is not above {before}")
    print("runs of shards:", {shard: "".join(run[3] for run in each)
                              for shard, each in sorted(by_shard.items())})
    return by_shard
