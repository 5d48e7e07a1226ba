"""Asks the example of a reverse proxy what an origin in Python hears of it: `PROGRAM` is started."""
import socket
import subprocess
import sys
import threading
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=200)
heard = []
connections = set()


def read_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


def read_to_end(connection, echo=False):
    while piece := connection.recv(65536):
        if echo:
            connection.sendall(piece)


def answer(connection, request):
    """Tells whether the connection takes further requests."""
    target = request.split()[1]
    if target == b"/never":
        read_to_end(connection)
    elif target == b"/socket":
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                           b"Upgrade: websocket\r\n\r\n")
        read_to_end(connection, echo=True)
    elif target == b"/events":
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        read_to_end(connection)
    elif target == b"/old":
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    else:
        while b"\r\nTransfer-Encoding: chunked\r\n" in request and not (
                b"\r\n0\r\n" in request and request.endswith(b"\r\n\r\n")):
            request += connection.recv(65536)
        heard.append(request)
        if target == b"/426":
            connection.sendall(b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\n"
                               b"Upgrade: websocket\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True
    return False


def serve(connection):
    connections.add(connection)
    try:
        while (request := read_head(connection)) and answer(connection, request):
            pass
    except OSError:
        pass
    finally:
        connections.discard(connection)
        connection.close()


def serve_all():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=serve_all, daemon=True).start()
proxy = subprocess.Popen([sys.argv[1], "127.0.0.1:0",
                          "http://127.0.0.1:%d" % listener.getsockname()[1]],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def send(line, fields="", body=b""):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(f"{line}\r\nHost: a\r\n{fields}\r\n".encode() + body)
    return connection


def ask(line, fields="", body=b""):
    with send(line, fields, body) as connection:
        return read_head(connection)


def wait_for(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


try:
    port = int(proxy.stdout.readline().rsplit(":", 1)[1])

    # More clients than there were connections to the origin wait for it, and are no hindrance.
    clients = [send("GET /never HTTP/1.1") for _ in range(70)]
    wait_for(lambda: len(connections) == 70, "all requests reach the origin at once")
    assert b" 200 " in ask("GET /a HTTP/1.1")
    for client in clients:
        client.close()
    wait_for(lambda: len(connections) <= 1, "a client that goes gives its connection back")

    upgrade = ("Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
    clients = [send("GET /socket HTTP/1.1", upgrade) for _ in range(70)]
    for client in clients:
        assert b" 101 " in read_head(client)
    assert b" 200 " in ask("GET /a HTTP/1.1")
    clients[0].sendall(b"hello")
    assert clients[0].recv(5) == b"hello"
    for client in clients:
        client.close()
    wait_for(lambda: len(connections) <= 1, "a WebSocket ends on both sides")

    client = send("GET /events HTTP/1.1")
    assert b" 200 " in read_head(client)
    before = len(connections)
    client.close()
    wait_for(lambda: len(connections) < before, "who listens for events and goes is noticed")

    # What is said of the client, and of the way, is said by the proxy alone.
    ask("GET /a HTTP/1.0", "X_Forwarded_For: 7\r\nContent_Length: 3\r\nX-Own: 1\r\n")
    assert b"Via: 1.0 heph" in heard[-1] and b"X-Own: 1" in heard[-1], heard[-1]
    assert b"_" not in heard[-1], heard[-1]
    ask("POST /a HTTP/1.1", "Transfer-Encoding: chunked\r\n",
        b"2\r\nab\r\n0\r\nX-Forwarded-User: root\r\nX_Forwarded_For: 7\r\nX-Own: 1\r\n\r\n")
    assert b"X-Own: 1" in heard[-1] and b"-User" not in heard[-1] and b"_" not in heard[-1], heard[-1]
    assert b"Via: 1.0 heph" in ask("GET /old HTTP/1.1")
    assert b"Upgrade: websocket" in ask("GET /426 HTTP/1.1")

    ask("GET /a? HTTP/1.1")
    assert heard[-1].startswith(b"GET /a? HTTP/1.1"), heard[-1]
    ask("PURGE /a HTTP/1.1")
    assert heard[-1].startswith(b"PURGE /a HTTP/1.1"), heard[-1]
    ask("OPTIONS /a HTTP/1.1", "Max-Forwards: 5\r\n")
    assert b"Max-Forwards: 4" in heard[-1], heard[-1]
    count = len(heard)
    assert b" 204 " in ask("OPTIONS /a HTTP/1.1", "Max-Forwards: 0\r\n")
    assert len(heard) == count
finally:
    proxy.terminate()
    proxy.wait()
