"""What two linked nodes have to do, from outside. Each function is one test of ctest."""

import os
import random
import signal
import socket
import threading
import time

from changes import Storm, check_notes_api, put_all
from service import free_ports, ids_of, wait_for, wait_until_linked


def test_linked_nodes(world):
    a, b = world.pair("--threads", "2")
    a.start()
    b.start()
    wait_until_linked(a, b)
    check_notes_api(a, b)
    check_notes_api(b, a)
    expected = []
    for number in range(3000):
        expected.append(f"{number:05}-" + "x" * 100)
    threads = [threading.Thread(target=put_all, args=((a, b)[n % 2], expected[n::8])) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    # Several pages from each node.
    assert sorted(a.ids()) == expected
    assert sorted(b.ids()) == expected
    assert a.stop() == 0 and b.stop() == 0


def test_kill_loses_nothing_acknowledged(world):
    a, b = world.pair("--threads", "2")
    a.start()
    b.start()
    wait_until_linked(a, b)
    storms = []
    for round_number in range(4):
        victim, other = (a, b) if round_number % 2 else (b, a)
        storm = Storm([other, victim], f"round{round_number}")
        wait_for("200 writes", lambda: storm.count() >= 200)
        victim.kill()
        wait_for("a refusal", lambda: any(storm.refused))
        storm.stop()
        storms.append(storm)
        torn = round_number >= 2
        if torn:
            # What a power cut leaves of a group that was being written.
            log = os.path.join(victim.data, "notes.log")
            with open(log, "rb") as file:
                tail = file.read()[-5000:]
            with open(log, "ab") as file:
                file.write(tail[:17] if round_number == 2 else b"HNLf" + tail[1:4000])
        victim.start()
        assert victim.logged("torn") == torn, victim.log()
        wait_until_linked(a, b)
        for each in storms:
            each.check(a)
        storms[-1].check(b)
    print(sum(each.count() for each in storms), "acknowledged notes, none lost in 4 kills")
    assert a.stop() == 0 and b.stop() == 0


def test_both_killed_at_once(world):
    a, b = world.pair("--threads", "2")
    storms = []
    for round_number in range(3):
        a.start()
        b.start()
        wait_until_linked(a, b)
        for storm in storms:
            storm.check(a)
        storm = Storm([a, b], f"round{round_number}")
        wait_for("200 writes", lambda: storm.count() >= 200)
        a.kill()
        b.kill()
        storm.stop()
        storms.append(storm)
    a.start()
    b.start()
    wait_until_linked(a, b)
    for storm in storms:
        storm.check(b)
    assert a.stop() == 0 and b.stop() == 0


def test_hung_owner_is_told_and_recovers(world):
    a, b = world.pair()
    a.start()
    b.start()
    wait_until_linked(a, b)
    of_a, of_b = ids_of("a", 1)[0], ids_of("b", 1)[0]
    assert a.put(of_a, b"x").status == 201
    assert a.put(of_b, b"x").status == 201
    b.process.send_signal(signal.SIGSTOP)
    wait_for("the halt of all threads", lambda: set(b.thread_states()) == {"T"})
    answer = a.get(of_b)
    assert answer.problem()["status"] == 503 and "retry-after" in answer.headers
    assert a.get(of_a).status == 200
    b.process.send_signal(signal.SIGCONT)
    wait_for("the recovery", lambda: a.get(of_b).status == 200)
    assert a.stop() == 0 and b.stop() == 0


def test_owner_away_and_back(world):
    a, b = world.pair()
    a.start()
    b.start()
    wait_until_linked(a, b)
    of_a, of_b = ids_of("a", 5), ids_of("b", 5)
    for note_id in of_a + of_b:
        assert a.put(note_id, note_id.encode()).status == 201
    for how in ("kill", "stop"):
        b.kill() if how == "kill" else b.stop()
        started = time.monotonic()
        for note_id in of_a:
            assert a.get(note_id).body == note_id.encode()
            assert a.put(note_id, note_id.encode()).status == 204
        for note_id in of_b:
            for answer in (a.get(note_id), a.put(note_id, b"x"), a.delete(note_id)):
                assert answer.problem()["status"] == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert "'b'" in answer.problem()["detail"]
        listed = a.ask("GET", "/notes")
        assert listed.problem()["status"] == 503 and "retry-after" in listed.headers
        assert a.ask("GET", "/healthz").status == 200
        assert time.monotonic() - started < 60, "a dead owner must not hold requests up for long"
        b.start()
        wait_until_linked(a, b)
        for note_id in of_a + of_b:
            assert a.get(note_id).body == note_id.encode()
            assert b.get(note_id).body == note_id.encode()
    assert a.stop() == 0 and b.stop() == 0


def test_start_order_does_not_matter(world):
    a, b = world.pair()
    b.start()
    note_id = ids_of("a", 1)[0]
    assert b.put(note_id, b"x").status == 503
    a.start()
    wait_until_linked(a, b)
    assert b.put(note_id, b"x").status == 201
    assert a.stop() == 0 and b.stop() == 0


def test_wrong_secret_is_kept_out(world):
    a, b = world.pair(secrets=[world.secret(), world.secret("another secret of many bytes", "other")])
    a.start()
    b.start()
    of_a, of_b = ids_of("a", 1)[0], ids_of("b", 1)[0]
    wait_for("a log line about the secret",
             lambda: "secret" in a.log() and "secret" in b.log())
    assert a.put(of_a, b"x").status == 201
    assert a.put(of_b, b"x").status == 503
    assert b.put(of_a, b"y").status == 503
    assert a.get(of_a).body == b"x"
    secrets = ("a secret that only the nodes know", "another secret of many bytes")
    assert not any(text in node.log() for text in secrets for node in (a, b))
    assert len(a.lines) < 200, "the log is flooded"
    assert a.stop() == 0 and b.stop() == 0


def test_garbage_disturbs_nobody(world):
    a, b = world.pair()
    a.start()
    b.start()
    wait_until_linked(a, b)
    chance = random.Random(1)
    silent = [socket.create_connection(("127.0.0.1", port))
              for port in (a.port, a.link_port) for _ in range(5)]
    for size in (0, 1, 5, 100, 5000, 100_000):
        for prefix in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
            a.raw(prefix + chance.randbytes(size), a.link_port, timeout=1)
    for garbage, status in ((b"NONSENSE\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00\x01\x00", 400),
                            (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\nHost: x\n\n", 400),
                            (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
                            (b"PUT /notes/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                            (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", 431)):
        answer = a.raw(garbage)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (garbage[:40], answer[:100])
    for size in (1, 10, 1000, 100_000):
        a.raw(chance.randbytes(size), timeout=1)
    for each in (a, b):
        for note_id in ids_of("a", 3) + ids_of("b", 3):
            assert each.put(note_id, b"still here").status in (201, 204)
    assert len(a.lines) < 300, "the log is flooded"
    for each in silent:
        each.close()
    assert a.stop() == 0 and b.stop() == 0


def test_notes_of_other_nodes_are_kept_back(world):
    """What a node holds that belongs to another one since the nodes are others: told, not lost."""
    alone = world.single("--node", "a").start()
    of_a, of_b = ids_of("a", 3), ids_of("b", 3)
    for note_id in of_a + of_b:
        assert alone.put(note_id, b"x").status == 201
    assert alone.stop() == 0
    ports = free_ports(2)
    linked = world.single("--node", "a", "--listen", f"127.0.0.1:{ports[0]}", "--peer",
                          f"b=127.0.0.1:{ports[1]}", "--secret-file", world.secret()).start()
    assert linked.logged("3 notes belong to other nodes"), linked.log()
    assert linked.get(of_a[0]).status == 200
    assert linked.get(of_b[0]).status == 503
    assert linked.stop() == 0
    assert sorted(alone.start().ids()) == sorted(of_a + of_b)
    assert alone.stop() == 0
