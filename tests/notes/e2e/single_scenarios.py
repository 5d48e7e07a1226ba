"""What one node by itself has to do, from outside. Each function is one test of ctest."""

import http.client
import os
import resource
import signal
import socket
import threading

from changes import check_notes_api, put_all
from service import is_listening, path_of, wait_for


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


def test_stops_with_open_connections(world):
    node = world.single("--threads", "2").start()
    idle = [node.connect() for _ in range(20)]
    for each in idle:
        assert node.ask("GET", "/hello", connection=each).status == 200
    # Idle connections do not hold the stop up until the grace of ten seconds is over.
    assert node.stop(seconds=8) == 0


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
