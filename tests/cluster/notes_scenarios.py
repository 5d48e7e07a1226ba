"""The notes service on three nodes and an etcd: what was acknowledged stays, and who is not hit by
a fault does not notice it."""

import http.client
import re
import subprocess
import threading
import time

import network
import world as nodes
from shard_scenarios import WORD, placed
from world import wait_for

NAMES = "abc"
SHARDS = 16


def shard_of(note_id):
    number = 0xCBF29CE484222325
    for each in b"\0" + note_id.encode():
        number = ((number ^ each) * 0x100000001B3) & WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & WORD
    return (number ^ (number >> 31)) % SHARDS


class Service:
    """Three nodes that share a directory."""

    def __init__(self, world, lease):
        self.world = world
        self.lease = lease
        world.net = network.Network(list(NAMES) + ["etcd"])
        self.secret = world.folder / "secret"
        self.secret.write_text("a secret that only the nodes know")
        self.secret.chmod(0o600)
        self.data = world.folder / "data"
        self.running = {}
        world.start_etcd()
        for name in NAMES:
            self.start(name)
        self.wait_placed()

    def start(self, name):
        address = self.world.net.addresses[name]
        with open(self.world.folder / f"{name}.log", "a", encoding="utf-8") as log:
            self.running[name] = subprocess.Popen(
                ["ip", "netns", "exec", name, nodes.PROGRAM, "--node", name,
                 "--http", f"{address}:8080", "--listen", f"{address}:9001",
                 "--etcd", f"http://{self.world.net.addresses['etcd']}:2379",
                 "--secret-file", self.secret, "--data", self.data,
                 "--shards", str(SHARDS), "--lease", str(self.lease)],
                stdout=log, stderr=log)

    def kill(self, name):
        self.running[name].kill()
        self.running[name].wait()

    def stop_all(self):
        for process in self.running.values():
            process.terminate()
        for name, process in self.running.items():
            code = process.wait(nodes.PATIENCE)
            assert code == 0, f"node {name} ended with {code}"

    def ask(self, name, method, path, body=None):
        """Gives the status and the body; a status of 0 when there is no answer."""
        connection = http.client.HTTPConnection(self.world.net.addresses[name], 8080, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def places(self, name):
        """Gives which shards are where, as a node knows."""
        found = {}
        for shard, at in re.findall(r'notes_shard_at{shard="(\d+)",node="(\w+)"} 1',
                                    self.ask(name, "GET", "/metrics")[1]):
            found.setdefault(at, []).append(int(shard))
        return found

    def wait_placed(self, names=NAMES, seen_by=None):
        """Waits until each shard is where it belongs when these are the nodes, and answers."""
        wanted = placed(names, SHARDS)
        for name in seen_by or names:
            wait_for(f"{name} sees all shards at {names}",
                     lambda name=name: self.places(name) == wanted)
            wait_for(f"{name} lists all notes",
                     lambda name=name: self.ask(name, "GET", "/notes")[0] == 200)


class Writer(threading.Thread):
    """Writes notes through one node, and remembers what it was told."""

    def __init__(self, service, node, count=40):
        super().__init__(daemon=True)
        self.service, self.node, self.count = service, node, count
        self.possible = {}  # By note: the acknowledged text, and the later ones that were not.
        self.answers = []   # The time, the note, the status.
        self.ends = False

    def run(self):
        turn = 0
        while not self.ends:
            note = f"{self.node}-{turn % self.count}"
            text = f"{note} in turn {turn}"
            status, _ = self.service.ask(self.node, "PUT", f"/notes/{note}", text)
            if status in (201, 204):
                self.possible[note] = [text]
            else:
                self.possible.setdefault(note, [None]).append(text)
            self.answers.append((time.monotonic(), note, status))
            if status == 0:
                time.sleep(0.02)
            turn += 1

    def finish(self):
        self.ends = True
        self.join()

    def refusals(self, owners, since=0.0):
        """Gives the answers that were none, of notes in the shards of these nodes."""
        shards = {shard for each in owners for shard in placed(NAMES, SHARDS)[each]}
        return [answer for answer in self.answers
                if answer[0] >= since and answer[2] not in (201, 204)
                and shard_of(answer[1]) in shards]


def start_writers(service, names=NAMES):
    writers = [Writer(service, name) for name in names]
    for each in writers:
        each.start()
    wait_progress(writers)
    return writers


def wait_progress(writers):
    before = [len(each.answers) for each in writers]
    wait_for("more answers", lambda: all(len(each.answers) > old + each.count
                                         for each, old in zip(writers, before)))


def check_notes(service, writers, names=NAMES):
    """Ends the writers, and checks that nothing that was acknowledged is lost."""
    for each in writers:
        each.finish()
    for name in names:
        for writer in writers:
            for note, possible in writer.possible.items():
                status, text = service.ask(name, "GET", f"/notes/{note}")
                found = text if status == 200 else None if status == 404 else status
                assert found in possible, f"{note} through {name}: {found!r}, not {possible}"
    print("answers:", *(f"{each.node}: {len(each.answers)}, refused: "
                        f"{sum(answer[2] not in (201, 204) for answer in each.answers)};"
                        for each in writers))


def test_notes_a_killed_node_is_followed_after_its_lease(world):
    service = Service(world, lease=4)
    writers = start_writers(service)
    service.kill("c")
    service.wait_placed("ab")
    wait_progress(writers[:2])
    service.start("c")
    service.wait_placed()
    wait_progress(writers)
    check_notes(service, writers)
    for each in writers[:2]:
        assert not each.refusals("ab"), f"{each.node} was disturbed: {each.refusals('ab')[:5]}"
    service.stop_all()


def test_notes_a_node_that_is_restarted_has_its_shards_back_after_its_lease(world):
    service = Service(world, lease=3)
    writers = start_writers(service)
    for victim in NAMES:
        service.kill(victim)
        service.start(victim)
        service.wait_placed()
        wait_progress(writers)
    check_notes(service, writers)
    service.stop_all()


def test_notes_a_restarted_etcd_disturbs_nobody(world):
    service = Service(world, lease=60)
    writers = start_writers(service)
    world.kill_etcd()
    wait_progress(writers)
    world.start_etcd()
    wait_progress(writers)
    # It is asked again: a node that stops gives its shards away.
    for each in writers:
        assert not each.refusals(NAMES), f"{each.node} was disturbed: {each.refusals(NAMES)[:5]}"
    service.running["c"].terminate()
    assert service.running.pop("c").wait(nodes.PATIENCE) == 0
    service.wait_placed("ab")
    check_notes(service, writers, "ab")
    service.stop_all()


def test_notes_a_network_cut_of_ten_seconds_disturbs_only_who_is_cut(world):
    service = Service(world, lease=4)
    writers = start_writers(service)
    for other in ("a", "b", "etcd"):
        world.net.cut("c", other)
    begun = time.monotonic()
    service.wait_placed("ab")
    wait_progress(writers[:2])
    # All that c has left is a way to its clients.
    wait_for("c refuses everything",
             lambda: [answer[2] for answer in writers[2].answers[-3:]] == [503] * 3)
    time.sleep(max(0.0, begun + 10 - time.monotonic()))
    for other in ("a", "b", "etcd"):
        world.net.mend("c", other)
    service.wait_placed()
    wait_progress(writers)
    check_notes(service, writers)
    for each in writers[:2]:
        assert not each.refusals("ab"), f"{each.node} was disturbed: {each.refusals('ab')[:5]}"
    service.stop_all()
