"""What the notes program has to do, from outside. Each function is one test of ctest."""

import http.client
import os
import random
import resource
import signal
import socket
import threading
import time

from service import (free_ports, ids_of, is_listening, obey_permissions, path_of, refuse_io_uring,
                     wait_for, wait_until_linked)

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


def test_single_node(world):
    node = world.single("--threads", "2").start()
    hello = node.ask("GET", "/hello")
    assert (hello.status, hello.body) == (200, b"Hello, World!")
    assert hello.headers["content-type"].startswith("text/plain")
    assert hello.headers["content-length"] == "13"
    assert node.ask("GET", "/healthz").status == 200
    page = node.ask("GET", "/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert b"<title>Notes</title>" in page.body and b"innerHTML" not in page.body
    assert "content-security-policy" in page.headers
    check_notes_api(node, node)

    for body in (b"", b"x", os.urandom(1_000_000)):
        echo = node.ask("POST", "/echo", body, {"content-type": "application/x-echo"})
        assert (echo.status, echo.body) == (200, body)
        assert echo.headers["content-type"] == "application/x-echo"
    assert node.ask("GET", "/nowhere").problem()["status"] == 404
    wrong = node.ask("POST", path_of("a"), b"x")
    assert wrong.problem()["status"] == 405
    assert {"GET", "PUT", "DELETE"} <= set(wrong.headers["allow"].replace(" ", "").split(","))
    assert node.stop() == 0


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


def put_all(node, ids):
    connection = node.connect()
    for note_id in ids:
        answer = node.put(note_id, b"x", connection=connection)
        assert answer.status in (201, 204), (note_id, answer.status, answer.body)
    connection.close()


def test_restart_keeps_notes(world):
    node = world.single().start()
    for number in range(50):
        assert node.put(f"n{number}", b"first %d" % number).status == 201
    for number in range(0, 50, 2):
        assert node.put(f"n{number}", b"second %d" % number).status == 204
    for number in range(0, 50, 5):
        assert node.delete(f"n{number}").status == 204
    assert node.stop(signal.SIGINT) == 0
    node.start()
    for number in range(50):
        answer = node.get(f"n{number}")
        if number % 5 == 0:
            assert answer.status == 404
        else:
            word = b"second" if number % 2 == 0 else b"first"
            assert answer.body == b"%s %d" % (word, number)
    assert node.stop() == 0


class Storm:
    """Writers that change notes through a node until they are stopped, and what they know of them."""

    def __init__(self, nodes, name, writers=4):
        self.name = name
        self.stopped = threading.Event()
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
        time.sleep(0.1)
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


def refusal(world, status, *arguments, data="refused", says, **more):
    """The program must end at once, with this status and one line that says why."""
    node = world.single(*arguments, data=data, **more)
    node.start(wait=False)
    ended_with = node.wait()
    wait_for("its last words", lambda: node.lines)
    assert ended_with == status, (ended_with, node.log())
    assert says in node.lines[-1], (says, node.log())
    assert node.lines[-1].startswith("notes: "), node.log()
    assert len(node.lines) <= 3, node.log()


USAGE, DATA, ADDRESS, SECRET = 2, 3, 4, 5


def test_wrong_arguments_are_told(world):
    refusal(world, USAGE, "--bogus", says="--bogus")
    refusal(world, USAGE, "--threads", "0", says="--threads")
    refusal(world, USAGE, "--http", "8080", says="--http 8080")
    refusal(world, USAGE, "--node", "a", "--listen", "127.0.0.1:1", says="--peer")
    refusal(world, USAGE, "--node", "a", "--listen", "127.0.0.1:1", "--peer", "b=127.0.0.1:2",
            says="--secret-file")


def test_busy_ports_are_told(world):
    busy = socket.socket()
    busy.bind(("127.0.0.1", 0))
    busy.listen()
    taken = "127.0.0.1:%d" % busy.getsockname()[1]
    refusal(world, ADDRESS, "--http", taken, says=taken)
    refusal(world, ADDRESS, "--node", "a", "--listen", taken, "--peer",
            f"b=127.0.0.1:{free_ports(1)[0]}", "--secret-file", world.secret(), says=taken)
    refusal(world, ADDRESS, "--http", "192.0.2.1:80", says="192.0.2.1:80")
    busy.close()


def test_unusable_secrets_are_told(world):
    ports = free_ports(2)
    link = ["--node", "a", "--listen", f"127.0.0.1:{ports[0]}", "--peer", f"b=127.0.0.1:{ports[1]}",
            "--secret-file"]
    refusal(world, SECRET, *link, world.path("absent"), says="absent")
    refusal(world, SECRET, *link, world.secret("0123456789abcdef", "open", 0o644), says="chmod 600")
    refusal(world, SECRET, *link, world.secret("short", "short"), says="16 bytes")


def test_unusable_data_is_told(world):
    with open(world.path("file"), "w", encoding="ascii") as file:
        file.write("not a directory")
    refusal(world, DATA, data="file", says="file")
    os.mkdir(world.path("closed"), 0o500)
    refusal(world, DATA, data="closed", says="Permission denied", before_exec=obey_permissions)

    first = world.single(data="shared").start()
    refusal(world, DATA, data="shared", says="in use by another process")
    assert first.put("a", b"one").status == 201
    assert first.put("b", b"two").status == 201
    assert first.stop() == 0
    refusal(world, DATA, "--node", "z", data="shared", says="belongs to another node")
    with open(first.log_file(), "r+b") as file:
        file.seek(70)
        file.write(b"\xff")
    refusal(world, DATA, data="shared", says="at byte 32")


def test_refused_io_uring_is_told(world):
    refusal(world, 1, says="io_uring", before_exec=refuse_io_uring)


def test_torn_write_is_cut_off(world):
    node = world.single().start()
    whole = []
    for number in range(5):
        assert node.put(f"n{number}", b"note %d" % number).status == 201
        whole.append(os.path.getsize(node.log_file()))
    node.kill()
    with open(node.log_file(), "rb") as file:
        good = file.read()
    assert len(good) == whole[-1]
    # As a crash leaves it: a part of the last frame, or all of it with bytes that never came.
    for torn, kept in ((good[:-1], 4), (good[:whole[3] + 5], 4), (good[:whole[3] + 28], 4),
                       (good[:-3] + bytes(3), 4), (good + b"HNLf" + os.urandom(90), 5),
                       (good + bytes(4096), 5)):
        with open(node.log_file(), "wb") as file:
            file.write(torn)
        node.start()
        assert node.logged(f"a torn write at byte {whole[kept - 1]}"), node.log()
        assert os.path.getsize(node.log_file()) == whole[kept - 1]
        assert sorted(node.ids()) == [f"n{number}" for number in range(kept)]
        for number in range(kept):
            assert node.get(f"n{number}").body == b"note %d" % number
        assert node.put("after", b"still writable").status == 201
        node.kill()
        node.start()
        assert not node.logged("torn"), node.log()
        assert node.get("after").body == b"still writable"
        assert node.stop() == 0


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


def test_stops_with_open_connections(world):
    node = world.single("--threads", "2").start()
    idle = [node.connect() for _ in range(20)]
    for each in idle:
        assert node.ask("GET", "/hello", connection=each).status == 200
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < 5, "idle connections must not hold the stop up"


def test_stop_answers_what_is_under_way(world):
    node = world.single("--threads", "2").start()
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as slow:
        slow.sendall(b"PUT /notes/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
                     b"Expect: 100-continue\r\n\r\n")
        assert slow.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        slow.sendall(b"12345")
        node.process.send_signal(signal.SIGTERM)
        wait_for("the stop", lambda: node.logged("SIGTERM: stopping"))
        wait_for("the end of listening", lambda: not is_listening(node.port))
        slow.sendall(b"67890")
        answer = b""
        while piece := slow.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    assert b"\r\nconnection: close\r\n" in answer.lower(), answer
    assert node.wait() == 0
    assert node.start().get("slow").body == b"1234567890"
    assert node.stop() == 0


def send_chunked(sock, body, chunk_bytes=50_000):
    sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-large\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n")
    for at in range(0, len(body), chunk_bytes):
        chunk = body[at:at + chunk_bytes]
        sock.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    sock.sendall(b"0\r\n\r\n")


def test_bodies_are_streamed(world):
    """Large bodies pass through in pieces; none is held as a whole."""
    node = world.single("--threads", "2").start()
    body = os.urandom(10 * 1024 * 1024)
    connection = node.connect()
    connection.connect()
    # The answer begins before the request is all there: who only sends would wait for ever.
    sender = threading.Thread(target=send_chunked, args=(connection.sock, body))
    sender.start()
    response = http.client.HTTPResponse(connection.sock, method="POST")
    response.begin()
    assert response.status == 200 and response.getheader("transfer-encoding") == "chunked"
    assert response.getheader("content-type") == "application/x-large"
    assert response.read() == body
    sender.join()
    connection.close()
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"5\r\nfirst\r\n")
        answer = b""
        while b"first" not in answer:
            piece = sock.recv(4096)
            assert piece, answer
            answer += piece
        sock.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        while not answer.endswith(b"0\r\n\r\n"):
            piece = sock.recv(4096)
            assert piece, answer
            answer += piece
        assert b"second" in answer
    put_all(node, [f"{number:04}-" + "x" * 200 for number in range(2000)])
    listed = node.ask("GET", "/notes")
    assert listed.headers["transfer-encoding"] == "chunked"
    assert listed.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(listed.body.splitlines()) == 2000
    head = node.ask("HEAD", "/notes")
    assert (head.status, head.body) == (200, b"")
    assert node.stop() == 0


def test_full_disk_is_told_and_survived(world):
    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    node = world.single(before_exec=limit_file_size).start()
    body = os.urandom(60_000)
    stored = 0
    while True:
        answer = node.put(f"big-{stored}", body)
        if answer.status != 201:
            break
        stored += 1
        assert stored < 10
    assert stored == 4
    assert answer.problem()["status"] == 507
    assert node.get(f"big-{stored}").status == 404
    assert node.put("small", b"fits").status == 201, "a smaller note still fits"
    for number in range(stored):
        assert node.get(f"big-{number}").body == body
    assert node.stop() == 0
    node.start()
    assert not node.logged("torn"), node.log()
    assert sorted(node.ids()) == sorted(["small", *(f"big-{number}" for number in range(stored))])
    assert node.stop() == 0
