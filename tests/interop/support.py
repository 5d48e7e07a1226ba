"""What the tests of tests/interop share: programs, ports, and our client."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

PROGRAMS = pathlib.Path(os.environ["HEPH_PROGRAMS"])
LIMIT = 60  # Seconds that any program may take.


def letters(size):
    return (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]


def fnv(data):
    total = 0x811C9DC5
    for byte in data:
        total = ((total ^ byte) * 0x01000193) & 0xFFFFFFFF
    return total


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=LIMIT, check=False, **options
    )
    if done.returncode != 0:
        raise AssertionError(
            f"{command[0]} ended with {done.returncode}: "
            f"{done.stderr.decode(errors='replace')} {done.stdout[:2000]!r}"
        )
    return done.stdout


def wait_for_port(port):
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def nginx(folder, port, server):
    """Starts nginx with one `server` block's inside."""
    config = folder / "nginx.conf"
    config.write_text(f"""
        worker_processes 1;
        daemon off;
        pid {folder}/pid;
        error_log {folder}/error.log;
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            client_max_body_size 100m;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {server}
        }}
    """)
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([program, "-c", config, "-p", folder], stderr=subprocess.DEVNULL)
    wait_for_port(port)
    return process


class Client(unittest.TestCase):
    """Our client against servers of others."""

    def ask(self, *arguments):
        out = run(PROGRAMS / "heph_interop_client", *arguments).decode()
        return [tuple(int(part) for part in line.split()) for line in out.splitlines()]

    def expect(self, status, data):
        return (status, len(data), fnv(data))

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="heph-interop-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder)
