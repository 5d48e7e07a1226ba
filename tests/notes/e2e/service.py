"""Starts the notes program, talks to it, and stops it. Only Python's standard library."""

import ctypes
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

PROGRAM = None  # Set by run.py.
STARTED = re.compile(r"serving HTTP on (\S+):(\d+)")


def wait_for(what, condition, seconds=15):
    """Waits until the condition gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(0.02)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


def prctl(option, *arguments):
    return ctypes.CDLL(None, use_errno=True).prctl(option, *map(ctypes.c_ulong, arguments), 0)


def obey_permissions():
    """Takes root's right to pass over the permissions of files, in the program to be started."""
    pr_capbset_drop, cap_dac_override, cap_dac_read_search = 24, 1, 2
    prctl(pr_capbset_drop, cap_dac_override, 0, 0)
    prctl(pr_capbset_drop, cap_dac_read_search, 0, 0)


def refuse_io_uring():
    """Answers io_uring_setup with EPERM, as the system call filters of containers do."""
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    io_uring_setup, allow, errno_is, eperm = 425, 0x7fff0000, 0x00050000, 1
    program = b"".join(struct.pack("HBBI", *step) for step in (
        (load, 0, 0, 0), (jump_if_equal, 0, 1, io_uring_setup), (answer, 0, 0, errno_is | eperm),
        (answer, 0, 0, allow)))
    code = ctypes.create_string_buffer(program, len(program))
    filtered = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    pr_set_no_new_privs, pr_set_seccomp, mode_filter = 38, 22, 2
    assert prctl(pr_set_no_new_privs, 1, 0, 0) == 0
    assert prctl(pr_set_seccomp, mode_filter, ctypes.addressof(filtered), 0) == 0


def path_of(note_id):
    return "/notes/" + urllib.parse.quote(note_id, safe="")


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.body = body
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def problem(self):
        assert self.headers.get("content-type", "").startswith("application/problem+json"), (
            self.status, self.headers)
        problem = json.loads(self.body)
        assert problem["status"] == self.status, problem
        return problem


class Node:
    """One process of the program."""

    def __init__(self, data, *arguments, before_exec=None, environment=None):
        self.data = data
        self.arguments = list(arguments)
        self.before_exec = before_exec
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.lines = []
        self.port = None

    def start(self, wait=True):
        self.lines = []
        self.port = None
        http = [] if "--http" in self.arguments else ["--http", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [PROGRAM, "--data", self.data, *http, *self.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=self.before_exec, env=self.environment)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        if wait:
            wait_for("the start of " + " ".join(self.arguments),
                     lambda: self.port or self.process.poll() is not None)
            assert self.port, "ended instead of starting:\n" + self.log()
        return self

    def _read(self, process):
        for line in process.stdout:
            line = line.decode(errors="replace").rstrip("\n")
            self.lines.append(line)
            started = STARTED.search(line)
            if started:
                self.port = int(started.group(2))

    def log(self):
        return "\n".join(self.lines)

    def logged(self, text):
        return text in self.log()

    def log_file(self):
        return os.path.join(self.data, "notes.log")

    def kill(self):
        self.process.kill()
        self.wait()

    def stop(self, how=signal.SIGTERM, seconds=15):
        self.process.send_signal(how)
        return self.wait(seconds)

    def wait(self, seconds=15):
        """Gives the exit status, once all of the output has been read."""
        status = self.process.wait(seconds)
        self.reader.join()
        return status

    def thread_states(self):
        """Gives each thread's state as the kernel names it: R, S, T (stopped), ..."""
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/stat", encoding="ascii") as file:
                yield file.read().rpartition(")")[2].split()[0]

    def connect(self, timeout=15):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        own = connection is None
        connection = connection or self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            if own:
                connection.close()

    def put(self, note_id, body, content_type="text/plain", connection=None):
        return self.ask("PUT", path_of(note_id), body, {"content-type": content_type}, connection)

    def get(self, note_id, connection=None):
        return self.ask("GET", path_of(note_id), connection=connection)

    def delete(self, note_id):
        return self.ask("DELETE", path_of(note_id))

    def ids(self):
        answer = self.ask("GET", "/notes")
        assert answer.status == 200, (answer.status, answer.body)
        text = answer.body.decode()
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]

    def raw(self, data, port=None, timeout=5):
        """Sends bytes, and gives what comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", port or self.port), timeout=timeout) as sock:
            answer = b""
            try:
                sock.sendall(data)
                while piece := sock.recv(65536):
                    answer += piece
            except (ConnectionError, TimeoutError):
                pass
            return answer


class World:
    """A folder and the nodes in it; ends them all."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="notes-e2e-")
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.kill()
            if kind:
                print(f"--- {' '.join(node.arguments)}\n{node.log()}")
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def secret(self, text="a secret that only the nodes know", name="secret", mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def single(self, *arguments, data="data", **more):
        node = Node(self.path(data), *arguments, **more)
        self.nodes.append(node)
        return node

    def pair(self, *arguments, secrets=None):
        """Two linked nodes, a and b, not started yet."""
        ports = free_ports(2)
        secrets = secrets or [self.secret()] * 2
        for own, other in ((0, 1), (1, 0)):
            self.nodes.append(Node(
                self.path("ab"[own]), "--node", "ab"[own], "--listen", f"127.0.0.1:{ports[own]}",
                "--peer", f"{'ab'[other]}=127.0.0.1:{ports[other]}", "--secret-file", secrets[own],
                *arguments))
            self.nodes[-1].link_port = ports[own]
        return self.nodes[-2:]


def wait_until_linked(*nodes):
    """Waits until each node reaches all others: only then a list is answered with 200."""
    for node in nodes:
        wait_for("the link", lambda: node.ask("GET", "/notes").status == 200)


def ids_of(owner, count, prefix="note"):
    """Gives ids that the node of this name keeps, of the nodes a and b."""
    mask = (1 << 64) - 1

    def score(name, note_id):
        value = 0xCBF29CE484222325
        for byte in name + b"\0" + note_id:
            value = (value ^ byte) * 0x100000001B3 & mask
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
        return value ^ value >> 31

    found = []
    number = 0
    while len(found) < count:
        note_id = f"{prefix}-{number}"
        number += 1
        if max("ab", key=lambda name: score(name.encode(), note_id.encode())) == owner:
            found.append(note_id)
    return found
