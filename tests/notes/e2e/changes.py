"""Changing notes from outside, alone and in a storm."""

import os
import random
import threading
import time

from service import path_of

ODD_IDS = ["a", "shopping list", "2026/11/24", "100%", "?q=1#x", "...", "<b>&\"'", "\u00e4\u20ac\U0001f349",
           "x" * 256]


def check_notes_api(writer, reader):
    """Everything one can do to a note, written through one node and read through another."""
    for note_id in ODD_IDS:
        body = os.urandom(100) + note_id.encode()
        answer = writer.put(note_id, body, "application/x-odd; a=b")
        assert answer.status == 201, (note_id, answer.status, answer.body)
        answer = reader.get(note_id)
        assert (answer.status, answer.body) == (200, body), note_id
        assert answer.headers["content-type"] == "application/x-odd; a=b"
        assert writer.put(note_id, b"").status == 204
        answer = reader.get(note_id)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"] == "text/plain"
    assert sorted(reader.ids()) == sorted(ODD_IDS)

    head = reader.ask("HEAD", path_of("a"))
    assert (head.status, head.body) == (200, b"")
    for note_id in ODD_IDS:
        assert writer.delete(note_id).status == 204
        assert reader.get(note_id).problem()["status"] == 404
        assert reader.delete(note_id).problem()["status"] == 404
    assert reader.ids() == []

    largest = os.urandom(64 * 1024)
    assert writer.put("largest", largest).status == 201
    assert reader.get("largest").body == largest
    assert writer.put("larger", largest + b"x").problem()["status"] == 413
    assert reader.get("larger").status == 404
    for bad in ["/notes/" + "x" * 257, "/notes/%00", "/notes/a%0Ab", "/notes/%7F", "/notes/%FF",
                "/notes/%2E%2E", "/notes/%2e", "/notes/a%zz"]:
        answer = writer.ask("PUT", bad, b"x")
        assert answer.status == 400, (bad, answer.status)
    answer = writer.ask("PUT", "/notes/typed", b"x", {"content-type": "t" * 257})
    assert answer.status == 400, answer.status
    assert writer.delete("largest").status == 204


def put_all(node, ids):
    connection = node.connect()
    for note_id in ids:
        answer = node.put(note_id, b"x", connection=connection)
        assert answer.status in (201, 204), (note_id, answer.status, answer.body)
    connection.close()


class Storm:
    """Writers that change notes through a node until they are stopped, and what they know of them."""

    def __init__(self, nodes, name, writers=4):
        self.name = name
        self.stopped = threading.Event()
        self.refused = [0] * writers  # How often nobody answered, or with 503.
        self.acknowledged = [{} for _ in range(writers)]  # What each note must hold.
        self.unknown = [{} for _ in range(writers)]       # What it may hold as well.
        self.threads = [threading.Thread(target=self._write, args=(nodes[n % len(nodes)], n))
                        for n in range(writers)]
        for each in self.threads:
            each.start()

    def count(self):
        return sum(len(each) for each in self.acknowledged)

    def stop(self):
        self.stopped.set()
        for each in self.threads:
            each.join()

    def _write(self, node, writer):
        number = 0
        connection = node.connect(timeout=5)
        chance = random.Random(writer)
        while not self.stopped.is_set():
            # Every fifth change is of a note that is there already.
            note_id = f"{self.name}-{writer}-{number // 5 * 4 + number % 5 % 4}"
            body = b"%d %d " % (writer, number) + os.urandom(chance.choice((10, 1000, 30000)))
            number += 1
            self.unknown[writer].setdefault(note_id, []).append(body)
            try:
                answer = node.put(note_id, body, connection=connection)
            except OSError:
                self.refused[writer] += 1
                connection.close()
                connection = node.connect(timeout=5)
                time.sleep(0.02)
                continue
            except Exception:  # http.client's, when the answer breaks off.
                connection.close()
                connection = node.connect(timeout=5)
                continue
            if answer.status in (201, 204):
                self.acknowledged[writer][note_id] = body
                self.unknown[writer][note_id] = []
            else:
                assert answer.status == 503, (answer.status, answer.body)
                self.refused[writer] += 1
                time.sleep(0.02)
        connection.close()

    def check(self, node):
        for acknowledged, unknown in zip(self.acknowledged, self.unknown):
            connection = node.connect()
            for note_id, body in acknowledged.items():
                answer = node.get(note_id, connection)
                assert answer.status == 200, (note_id, answer.status, answer.body)
                assert answer.body in [body, *unknown[note_id]], note_id
            connection.close()
