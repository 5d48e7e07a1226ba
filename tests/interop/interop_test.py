"""heph-http against other programs. Run by tests/interop/run, which builds what this needs."""

import contextlib
import http.client
import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from support import (
    LIMIT, PROGRAMS, Client, end, fnv, free_port, letters, nginx, run, wait_for_port)
from tls_test import *  # noqa: F403  Its tests are run with those here.


class WithServer(unittest.TestCase):
    """Our server, one for each class of tests."""

    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [PROGRAMS / "heph_interop_server", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        cls.port = int(cls.server.stdout.readline().rsplit(b":", 1)[1])
        cls.url = f"http://127.0.0.1:{cls.port}"
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="heph-interop-"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)
        end(cls.server)
        # It leaves in order, and had nothing to complain of but what tests provoke.
        log = cls.server.stderr.read().decode()
        cls.server.stdout.close()
        cls.server.stderr.close()
        if cls.server.returncode != 0:
            raise AssertionError(f"the server ended with {cls.server.returncode}: {log}")

    def file(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path


class Curl(WithServer):
    def curl(self, *arguments, source=None):
        return run("curl", "--silent", "--show-error", "--max-time", "30", *arguments, input=source)

    def test_plain(self):
        self.assertEqual(self.curl(f"{self.url}/hello"), b"Hello, World!")

    def test_http_1_0(self):
        shown = self.curl("--http1.0", "--include", f"{self.url}/pieces/3").decode()
        head, _, body = shown.partition("\r\n\r\n")
        self.assertEqual(body, "ten bytes\n" * 3)
        self.assertNotRegex(head, "(?i)transfer-encoding")

    def test_chunked_answer(self):
        self.assertEqual(len(self.curl(f"{self.url}/pieces/10000")), 100_000)

    def test_chunked_upload(self):
        got = self.curl("--upload-file", "-", f"{self.url}/echo", source=letters(3_000_000))
        self.assertEqual(got, letters(3_000_000))

    def test_upload_with_length_expects_100(self):
        source = self.file("expect", letters(2_000_000))
        done = subprocess.run(
            ["curl", "--silent", "--verbose", "--header", "Expect: 100-continue",
             "--data-binary", f"@{source}", f"{self.url}/length"],
            capture_output=True, timeout=LIMIT, check=True)
        self.assertEqual(done.stdout, b"2000000")
        self.assertIn(b"HTTP/1.1 100 Continue", done.stderr)

    def test_resume(self):
        part = self.file("resumed", letters(40_000))
        self.curl("--continue-at", "-", "--output", part, f"{self.url}/bytes/100000")
        self.assertEqual(part.read_bytes(), letters(100_000))

    def test_ranges(self):
        self.assertEqual(self.curl("--range", "26-28", f"{self.url}/bytes/1000"), b"abc")
        self.assertEqual(self.curl("--range", "-2", f"{self.url}/bytes/26"), b"yz")
        several = self.curl("--range", "0-1,26-27", f"{self.url}/bytes/1000")
        self.assertEqual(several.count(b"\r\n\r\nab"), 2)

    def test_etag_saves_the_body(self):
        tag = self.folder / "tag"
        self.curl("--etag-save", tag, f"{self.url}/bytes/100")
        code = self.curl("--etag-compare", tag, "--write-out", "%{http_code}", f"{self.url}/bytes/100")
        self.assertEqual(code, b"304")

    def test_connection_is_kept(self):
        out = self.curl("--write-out", "\n%{num_connects} ", *[f"{self.url}/hello"] * 5)
        self.assertEqual([int(n) for n in re.findall(rb"\n(\d) ", out)], [1, 0, 0, 0, 0])

    def test_head(self):
        head = self.curl("--head", f"{self.url}/bytes/1234").decode().lower()
        self.assertIn("content-length: 1234", head)

    def test_cookie_jar_and_redirects(self):
        jar = self.folder / "jar"
        self.curl("--cookie-jar", jar, f"{self.url}/cookie/set")
        self.assertEqual(self.curl("--cookie", jar, f"{self.url}/cookie/get"), b"crumbs")
        self.assertEqual(self.curl("--location", f"{self.url}/redirect/5"), b"Hello, World!")

    def test_form(self):
        got = self.curl("--data-urlencode", "name=a b&c=d%", f"{self.url}/form")
        self.assertEqual(got.decode(), "a b&c=d%")

    def test_parallel(self):
        out = self.curl("--parallel", "--parallel-max", "20", f"{self.url}/late?[1-100]")
        self.assertEqual(out, b"late" * 100)

    def test_methods(self):
        code = ["--output", "/dev/null", "--write-out", "%{http_code}"]
        self.assertEqual(self.curl("--request", "DELETE", *code, f"{self.url}/hello"), b"405")
        self.assertEqual(self.curl("--request", "OPTIONS", *code, f"{self.url}/hello"), b"204")
        self.assertEqual(self.curl("--request", "BREW", *code, f"{self.url}/hello"), b"501")
        self.assertEqual(self.curl(*code, f"{self.url}/no/such"), b"404")


class Wget(WithServer):
    def test_download_and_resume(self):
        part = self.file("part", letters(10_000))
        run("wget", "--quiet", "--tries=1", "--continue", "--output-document", part,
            f"{self.url}/bytes/200000")
        self.assertEqual(part.read_bytes(), letters(200_000))

    def test_post_and_mirror_time(self):
        body = self.file("body", letters(100_000))
        got = run("wget", "--quiet", "--tries=1", "--output-document", "-", f"--post-file={body}",
                  f"{self.url}/length")
        self.assertEqual(got, b"100000")


class Load(WithServer):
    def test_wrk_sees_no_error(self):
        report = run("wrk", "-t1", "-c32", "-d2s", f"{self.url}/hello").decode()
        self.assertNotIn("Non-2xx", report)
        self.assertNotIn("Socket errors", report)

    def test_wrk_pipelines(self):
        script = self.file("pipeline.lua", b"""
            init = function(args)
                local parts = {}
                for i = 1, 16 do parts[i] = wrk.format(nil, "/bytes/" .. i) end
                request_text = table.concat(parts)
            end
            request = function() return request_text end
        """)
        report = run("wrk", "-t1", "-c8", "-d2s", "-s", script, self.url).decode()
        self.assertNotIn("Non-2xx", report)
        self.assertNotIn("Socket errors", report)

    def test_ab_with_and_without_keep_alive(self):
        for options in (["-k"], []):
            report = run("ab", "-q", "-n", "5000", "-c", "20", *options,
                         f"{self.url}/hello").decode()
            self.assertRegex(report, r"Complete requests: +5000\b")
            self.assertRegex(report, r"Failed requests: +0\b")
            self.assertNotIn("Non-2xx", report)
            if options:
                self.assertRegex(report, r"Keep-Alive requests: +5000\b")


class Python(WithServer):
    def connection(self):
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT))

    def test_one_connection_for_all(self):
        with self.connection() as connection:
            for size in (0, 1, 1000, 500_000):
                connection.request("POST", "/echo", body=letters(size))
                self.assertEqual(connection.getresponse().read(), letters(size))
            local = connection.sock.getsockname()
            connection.request("GET", "/pieces/50")
            self.assertEqual(len(connection.getresponse().read()), 500)
            self.assertEqual(connection.sock.getsockname(), local)

    def test_chunked_request(self):
        with self.connection() as connection:
            pieces = [letters(n) for n in (1, 10, 100_000)]
            connection.request("PUT", "/length", body=iter(pieces), encode_chunked=True)
            self.assertEqual(connection.getresponse().read(), b"100011")

    def test_headers_arrive(self):
        with self.connection() as connection:
            connection.request("GET", "/show", headers={"X-Some": "value", "Accept": "a, b;q=0.5"})
            shown = connection.getresponse().read().decode()
            self.assertIn("X-Some: value\n", shown)
            self.assertIn("Accept: a, b;q=0.5\n", shown)


class Node(WithServer):
    SCRIPT = r"""
        const url = process.argv[2];
        const equal = (a, b) => { if (a !== b) throw new Error(`${a} is not ${b}`); };
        const text = async (path, options) => (await fetch(url + path, options)).text();
        equal(await text("/hello"), "Hello, World!");
        equal((await text("/pieces/1000")).length, 10000);
        equal((await text("/bytes/1000000")).length, 1000000);
        equal(await text("/redirect/4"), "Hello, World!");
        const body = "y".repeat(1 << 20);
        equal(await text("/echo", {method: "POST", body}), body);
        const stream = new ReadableStream({
            start(to) {
                for (let i = 0; i < 100; ++i) to.enqueue(new Uint8Array(1000));
                to.close();
            }
        });
        equal(await text("/length", {method: "POST", body: stream, duplex: "half"}), "100000");
        const sizes = await Promise.all(
            Array.from({length: 200}, async (_, i) => (await text("/bytes/" + i)).length));
        equal(sizes.reduce((a, b) => a + b), 19900);
        const stop = new AbortController();
        const aborted = fetch(url + "/bytes/60000000", {signal: stop.signal});
        const answer = await aborted;
        stop.abort();
        await answer.text().then(() => { throw new Error("not aborted"); }, () => {});
        equal(await text("/hello"), "Hello, World!");
        console.log("passed");
    """

    def test_fetch(self):
        script = self.file("fetch.mjs", self.SCRIPT.encode())
        self.assertEqual(run("node", script, self.url), b"passed\n")


class Chromium(WithServer):
    def test_page(self):
        profile = self.folder / "profile"
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--no-first-run",
             "--disable-sync", "--remote-debugging-port=0", f"--user-data-dir={profile}",
             self.url + "/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            log = ""
            deadline = time.monotonic() + LIMIT
            while not log and time.monotonic() < deadline and browser.poll() is None:
                time.sleep(0.1)
                log = run("curl", "--silent", f"{self.url}/report").decode()
        finally:
            try:
                end(browser)
            finally:
                self.end_helpers(browser, profile)
        self.assertRegex(log, "finished$")
        self.assertNotIn("FAILED", log)
        self.assertEqual(log.count(": passed"), 12)


    def end_helpers(self, browser, profile):
        """The browser's own processes outlive it for a moment, and write to its profile."""
        try:
            os.killpg(browser.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + LIMIT
        while profile.exists():
            try:
                shutil.rmtree(profile)
            except OSError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)


class WebSockets(WithServer):
    """Debian's python3-websockets and node-ws as clients."""

    PYTHON = r"""
import asyncio, os, sys, websockets

async def main(url):
    for compression in ("deflate", None):
        async with websockets.connect(url, compression=compression, max_size=None,
                                      subprotocols=["echo.v1"]) as socket:
            assert socket.subprotocol == "echo.v1"
            for size in (0, 1, 125, 126, 65535, 65536, 3_000_000):
                for message in (os.urandom(size), "z" * size):
                    await socket.send(message)
                    assert await socket.recv() == message, size
            await socket.send(["in ", "several ", "fragments"])
            assert await socket.recv() == "in several fragments"
            await (await socket.ping(b"here"))
            await asyncio.gather(*[socket.send(str(i)) for i in range(1000)])
            assert [await socket.recv() for _ in range(1000)] == [str(i) for i in range(1000)]
    async with websockets.connect(url) as socket:
        await socket.send(b"x" * (17 << 20))
        try:
            await socket.recv()
        except websockets.ConnectionClosedError as closed:
            assert closed.rcvd.code == 1009, closed
        else:
            raise AssertionError("too large a message was taken")
    print("passed")

asyncio.run(main(sys.argv[1]))
"""
    NODE = r"""
        const {WebSocket} = require("/usr/share/nodejs/ws");
        const crypto = require("crypto");
        const messages = [0, 1, 125, 126, 65536, 2000000].map(size => crypto.randomBytes(size));
        const run = perMessageDeflate => new Promise((resolve, reject) => {
            const socket = new WebSocket(process.argv[2], "echo.v1", {perMessageDeflate});
            let received = 0;
            socket.on("error", reject);
            socket.on("open", () => { for (const each of messages) socket.send(each); });
            socket.on("message", data => {
                if (!data.equals(messages[received++])) reject(new Error("not the same"));
                if (received === messages.length) socket.close(1000, "done");
            });
            socket.on("close", (code, reason) =>
                code === 1000 ? resolve() : reject(new Error(code + " " + reason)));
        });
        run(true).then(() => run(false)).then(() => console.log("passed"));
    """

    def test_python(self):
        script = self.file("client.py", self.PYTHON.encode())
        out = run("/usr/bin/python3", script, f"ws://127.0.0.1:{self.port}/ws/echo")
        self.assertEqual(out, b"passed\n")

    def test_node(self):
        script = self.file("client.cjs", self.NODE.encode())
        out = run("node", script, f"ws://127.0.0.1:{self.port}/ws/echo")
        self.assertEqual(out, b"passed\n")

    def test_refused_handshakes(self):
        code = ("--silent", "--output", "/dev/null", "--max-time", "10", "--write-out",
                "%{http_code}")
        url = f"{self.url}/ws/echo"
        self.assertEqual(run("curl", *code, url), b"426")
        upgrade = ("--header", "Connection: Upgrade", "--header", "Upgrade: websocket")
        key = ("--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        version = ("--header", "Sec-WebSocket-Version: 13")
        old = ("--header", "Sec-WebSocket-Version: 8")
        origin = ("--header", "Origin: http://elsewhere.example")
        self.assertEqual(run("curl", *code, *upgrade, *version, url), b"400")
        self.assertEqual(run("curl", *code, *upgrade, *key, *old, url), b"426")
        self.assertEqual(run("curl", *code, *upgrade, *key, *version, *origin, url), b"403")


class NginxBeforeUs(WithServer):
    """nginx as a reverse proxy, with and without buffering and kept connections."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.front = free_port()
        os.chmod(cls.folder, 0o755)
        cls.proxy = nginx(cls.folder, cls.front, f"""
            upstream heph {{ server 127.0.0.1:{cls.port}; keepalive 8; }}
            server {{
                listen 127.0.0.1:{cls.front};
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                location / {{ proxy_pass http://heph; }}
                location /streamed/ {{
                    proxy_buffering off;
                    proxy_request_buffering off;
                    proxy_pass http://heph/;
                }}
                location /ws/ {{
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade;
                    proxy_set_header Host $http_host;
                    proxy_pass http://heph;
                }}
                location /old/ {{
                    proxy_http_version 1.0;
                    proxy_set_header Connection close;
                    proxy_pass http://127.0.0.1:{cls.port}/;
                }}
            }}""")

    @classmethod
    def tearDownClass(cls):
        end(cls.proxy)
        super().tearDownClass()

    def test_through_each_kind(self):
        for prefix in ("", "/streamed", "/old"):
            url = f"http://127.0.0.1:{self.front}{prefix}"
            with self.subTest(prefix=prefix):
                self.assertEqual(run("curl", "-s", f"{url}/hello"), b"Hello, World!")
                self.assertEqual(len(run("curl", "-s", f"{url}/pieces/5000")), 50_000)
                self.assertEqual(len(run("curl", "-s", f"{url}/bytes/5000000")), 5_000_000)
                body = self.file("proxied", letters(1_000_000))
                self.assertEqual(
                    run("curl", "-s", "--data-binary", f"@{body}", f"{url}/length"), b"1000000")
                self.assertEqual(
                    run("curl", "-s", "-r", "26-28", f"{url}/bytes/100"), b"abc")

    def test_web_socket(self):
        script = self.file("client.cjs", WebSockets.NODE.encode())
        out = run("node", script, f"ws://127.0.0.1:{self.front}/ws/echo")
        self.assertEqual(out, b"passed\n")

    def test_kept_connections_under_load(self):
        report = run("wrk", "-t1", "-c16", "-d2s", f"http://127.0.0.1:{self.front}/hello").decode()
        self.assertNotIn("Non-2xx", report)
        self.assertNotIn("Socket errors", report)


class OverUnixSocket(unittest.TestCase):
    """Our server and our client over Unix sockets."""

    EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/http"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="heph-interop-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "app.sock"

    def serve(self, program):
        process = subprocess.Popen([PROGRAMS / program, f"unix:{self.path}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and end(process))
        deadline = time.monotonic() + LIMIT
        # The listener of a killed server accepts for some milliseconds after that has ended.
        while self.who_listens() != process.pid:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        os.chmod(self.path, 0o666)  # For nginx, whose workers may be somebody else.
        return process

    def who_listens(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.path))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                           struct.calcsize("iII"))
            return struct.unpack("iII", credentials)[0]
        return None

    def curl(self, *arguments, source=None):
        return run("curl", "--silent", "--show-error", "--max-time", "30",
                   "--unix-socket", self.path, *arguments, input=source)

    def test_curl(self):
        self.serve("heph_interop_server")
        self.assertEqual(self.curl("http://any.example/hello"), b"Hello, World!")
        self.assertEqual(self.curl("http://any.example/bytes/3000000"), letters(3_000_000))
        self.assertEqual(self.curl("--upload-file", "-", "http://any.example/echo",
                                   source=letters(3_000_000)), letters(3_000_000))
        self.assertIn("\nHost: any.example:81\n",
                      self.curl("http://any.example:81/show").decode())

    def test_a_killed_server_is_replaced_and_a_live_one_is_not(self):
        first = self.serve("heph_interop_server")
        refused = subprocess.run([PROGRAMS / "http_my_ip", f"unix:{self.path}"],
                                 capture_output=True, timeout=LIMIT, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(f"unix:{self.path}: Address already in use", refused.stderr.decode())
        for _ in range(3):
            first.kill()
            first.wait()
            first = self.serve("heph_interop_server")
            self.assertEqual(self.curl("http://any.example/hello"), b"Hello, World!")
        end(first)
        self.assertFalse(self.path.exists())

    def test_behind_nginx(self):
        self.serve("http_my_ip")
        port = free_port()
        text = (self.EXAMPLES / "my_ip.nginx.conf").read_text()
        for old, new in (("unix:/run/my_ip/http.sock", f"unix:{self.path}"),
                         ("listen 80;", f"listen 127.0.0.1:{port};")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.addCleanup(end, nginx(self.folder, port, text))
        url = f"http://127.0.0.1:{port}/"
        for _ in range(3):
            self.assertEqual(run("curl", "-s", url), b"127.0.0.1\n")
        # What a client says of itself counts for nothing.
        self.assertEqual(run("curl", "-s", "-H", "X-Forwarded-For: 192.0.2.1", url),
                         b"127.0.0.1\n")

    def test_our_client_asks_nginx(self):
        port = free_port()
        (self.folder / "file").write_bytes(letters(300_000))
        self.addCleanup(end, nginx(self.folder, port, f"""
            server {{
                listen 127.0.0.1:{port};
                listen unix:{self.path};
                root {self.folder};
                location = /name {{ return 200 $http_host; }}
            }}"""))
        out = run(PROGRAMS / "heph_interop_client", "--unix-socket", self.path,
                  "http://any.example/file", "http://any.example:81/name").decode()
        self.assertEqual(
            out.split(), ["200", "300000", str(fnv(letters(300_000))),
                          "200", "14", str(fnv(b"any.example:81"))])


class ClientOfNginx(Client):
    def setUp(self):
        super().setUp()
        files = self.folder / "files"
        files.mkdir()
        for size in (0, 1, 1000, 300_000):
            (files / str(size)).write_bytes(letters(size))
        self.port = free_port()
        process = nginx(self.folder, self.port, f"""
            server {{
                listen 127.0.0.1:{self.port};
                keepalive_requests 3;
                root {files};
                ssi on; ssi_types *;
                location /plain/ {{ ssi off; alias {files}/; }}
                location /zipped/ {{ ssi off; gzip on; gzip_types *; gzip_min_length 1; alias {files}/; }}
                location /hop {{ return 302 /plain/1000; }}
                location /teapot {{ return 418 "short and stout"; }}
            }}""")
        self.addCleanup(end, process)
        self.url = f"http://127.0.0.1:{self.port}"

    def test_files_over_connections_that_nginx_ends(self):
        # After three requests nginx closes: the client has to notice and connect again.
        urls = [f"{self.url}/plain/{size}" for size in (0, 1, 1000, 300_000)] * 5
        expected = [self.expect(200, letters(size)) for size in (0, 1, 1000, 300_000)] * 5
        self.assertEqual(self.ask(*urls), expected)

    def test_chunked_by_server_side_includes(self):
        self.assertEqual(self.ask(f"{self.url}/300000"), [self.expect(200, letters(300_000))])

    def test_compressed(self):
        urls = [f"{self.url}/zipped/{size}" for size in (0, 1, 1000, 300_000)]
        expected = [self.expect(200, letters(size)) for size in (0, 1, 1000, 300_000)]
        self.assertEqual(self.ask("--decompress", "yes", *urls), expected)
        small = self.ask("--header", "Accept-Encoding:gzip", f"{self.url}/zipped/300000")
        self.assertLess(small[0][1], 10_000)

    def test_head_redirect_range_and_errors(self):
        self.assertEqual(self.ask("--method", "HEAD", f"{self.url}/plain/1000"),
                         [self.expect(200, b"")])
        self.assertEqual(self.ask("--redirects", "2", f"{self.url}/hop"),
                         [self.expect(200, letters(1000))])
        self.assertEqual(self.ask("--header", "Range:bytes=26-28", f"{self.url}/plain/1000"),
                         [self.expect(206, b"abc")])
        self.assertEqual(self.ask("--header", "Range:bytes=5000-", f"{self.url}/plain/1000")[0][0],
                         416)
        self.assertEqual(self.ask(f"{self.url}/teapot"), [self.expect(418, b"short and stout")])
        self.assertEqual(self.ask(f"{self.url}/plain/none")[0][0], 404)


class Quirks(http.server.BaseHTTPRequestHandler):
    """Answers in the ways that servers of different ages do."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/until-close":
            self.wfile.write(b"HTTP/1.1 200\r\n\r\n" + letters(50_000))
            self.close_connection = True
        elif self.path == "/old":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + letters(100))
            self.close_connection = True
        elif self.path == "/interim":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                             b"HTTP/1.1 102 Processing\r\n\r\n"
                             b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif self.path == "/chunks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked \r\n\r\n"
                             b"00A;x=\"y\"\r\nabcdefghij\r\n3\r\nklm\r\n000\r\nT: v\r\n\r\n")
        else:
            self.send_error(404)

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ClientOfPython(Client):
    def setUp(self):
        super().setUp()
        Quirks.protocol_version = "HTTP/1.1"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quirks)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def test_answers_of_all_ages(self):
        self.assertEqual(
            self.ask(f"{self.url}/until-close", f"{self.url}/old", f"{self.url}/interim",
                     f"{self.url}/chunks"),
            [self.expect(200, letters(50_000)), self.expect(200, letters(100)),
             self.expect(200, b"ok"), self.expect(200, letters(13))])

    def test_bodies(self):
        for option in ("--body", "--stream"):
            for size in (0, 1, 100_000):
                self.assertEqual(self.ask("--method", "POST", option, size, f"{self.url}/echo"),
                                 [self.expect(200, letters(size))])


class ClientOfNode(Client):
    SCRIPT = r"""
        import http from "node:http";
        const server = http.createServer((request, response) => {
            if (request.url === "/trailers") {
                response.writeHead(200, {Trailer: "X-Sum"});
                response.write("with ");
                response.addTrailers({"X-Sum": "1"});
                response.end("trailers");
            } else {
                request.pipe(response);
            }
        });
        server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    """

    def setUp(self):
        super().setUp()
        script = self.folder / "server.mjs"
        script.write_text(self.SCRIPT)
        process = subprocess.Popen(["node", script], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end, process)
        self.url = f"http://127.0.0.1:{int(process.stdout.readline())}"

    def test_trailers_and_both_ways_at_once(self):
        self.assertEqual(self.ask(f"{self.url}/trailers"), [self.expect(200, b"with trailers")])
        for option in ("--body", "--stream"):
            self.assertEqual(
                self.ask("--method", "POST", option, 5_000_000, f"{self.url}/echo"),
                [self.expect(200, letters(5_000_000))])


class ClientThroughProxies(Client):
    """Our client through proxies of others, to an origin of others."""

    TUNNELS = r"""
        import http from "node:http";
        import net from "node:net";
        const secret = "Basic " + Buffer.from("user:secret").toString("base64");
        const server = http.createServer((request, response) => response.writeHead(501).end());
        server.on("connect", (request, client, head) => {
            if (request.headers["proxy-authorization"] !== secret) {
                client.end("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            const [host, port] = request.url.split(":");
            const origin = net.connect(port, host, () => {
                client.write("HTTP/1.1 200 Connection Established\r\nVia: node\r\n\r\n");
                origin.write(head);
                origin.pipe(client);
                client.pipe(origin);
            });
            origin.on("error", () => client.destroy());
            client.on("error", () => origin.destroy());
        });
        server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    """

    def setUp(self):
        super().setUp()
        files = self.folder / "files"
        files.mkdir()
        (files / "1000").write_bytes(letters(1000))
        (files / "300000").write_bytes(letters(300_000))
        self.origin, self.port = free_port(), free_port()
        # The target is in the absolute form, or nginx would answer 405 by itself.
        process = nginx(self.folder, self.port, f"""
            server {{
                listen 127.0.0.1:{self.origin};
                root {files};
                add_header X-Leaked "$http_proxy_authorization";
                location / {{ if ($http_proxy_authorization) {{ return 418; }} }}
            }}
            server {{
                listen 127.0.0.1:{self.port};
                location / {{
                    if ($http_proxy_authorization != "Basic dXNlcjpzZWNyZXQ=") {{ return 407; }}
                    if ($request !~ " http://127.0.0.1:{self.origin}/") {{ return 405; }}
                    proxy_set_header Proxy-Authorization "";
                    proxy_pass http://$http_host$request_uri;
                }}
            }}""")
        self.addCleanup(end, process)
        self.urls = [f"http://127.0.0.1:{self.origin}/{size}" for size in (1000, 300_000, 1000)]
        self.expected = [self.expect(200, letters(size)) for size in (1000, 300_000, 1000)]

    def error(self, *arguments):
        done = subprocess.run([PROGRAMS / "heph_interop_client", *arguments],
                              capture_output=True, timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 1)
        return done.stdout.decode()

    def test_nginx_passes_requests_on(self):
        proxy = f"http://user:secret@127.0.0.1:{self.port}"
        self.assertEqual(self.ask("--proxy", proxy, *self.urls), self.expected)
        self.assertIn("credentials",
                      self.error("--proxy", f"http://127.0.0.1:{self.port}", self.urls[0]))

    def test_node_opens_tunnels(self):
        script = self.folder / "proxy.mjs"
        script.write_text(self.TUNNELS)
        process = subprocess.Popen(["node", script], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end, process)
        address = f"127.0.0.1:{int(process.stdout.readline())}"
        # What asks for another protocol goes through a tunnel; nginx ignores that it asks.
        tunnelled = ("--header", "Upgrade:other", "--proxy")
        self.assertEqual(self.ask(*tunnelled, f"http://user:secret@{address}", *self.urls),
                         self.expected)
        self.assertIn("credentials", self.error(*tunnelled, f"http://{address}", self.urls[0]))


class ClientThroughSocks(Client):
    """Our client through microsocks, which finds addresses and tells who may use it."""

    def setUp(self):
        super().setUp()
        files = self.folder / "files"
        files.mkdir()
        (files / "1000").write_bytes(letters(1000))
        (files / "300000").write_bytes(letters(300_000))
        self.origin = free_port()
        process = nginx(self.folder, self.origin, f"""
            server {{ listen 127.0.0.1:{self.origin}; root {files}; }}""")
        self.addCleanup(end, process)
        self.urls = [f"http://localhost:{self.origin}/{size}" for size in (1000, 300_000, 1000)]
        self.expected = [self.expect(200, letters(size)) for size in (1000, 300_000, 1000)]

    def start(self, *options):
        port = free_port()
        process = subprocess.Popen(["microsocks", "-i", "127.0.0.1", "-p", str(port), *options],
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(end, process)
        wait_for_port(port)
        return f"127.0.0.1:{port}"

    def test_names_and_addresses(self):
        address = self.start()
        for scheme in ("socks5", "socks5h"):
            self.assertEqual(self.ask("--proxy", f"{scheme}://{address}", *self.urls),
                             self.expected)

    def test_who_we_are(self):
        address = self.start("-u", "user", "-P", "secret")
        self.assertEqual(self.ask("--proxy", f"socks5h://user:secret@{address}", *self.urls),
                         self.expected)
        for who in ("", "user:wrong@"):
            done = subprocess.run([PROGRAMS / "heph_interop_client", "--proxy",
                                   f"socks5h://{who}{address}", self.urls[0]],
                                  capture_output=True, timeout=LIMIT, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("credentials", done.stdout.decode())

    def test_refusals(self):
        address = self.start()
        for url, told in ((f"http://127.0.0.1:{free_port()}/", "refused"),
                          ("http://nowhere.invalid/", "")):
            done = subprocess.run([PROGRAMS / "heph_interop_client", "--proxy",
                                   f"socks5h://{address}", url],
                                  capture_output=True, timeout=LIMIT, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("SOCKS", done.stdout.decode())
            self.assertIn(told, done.stdout.decode())


class Production(unittest.TestCase):
    """The example http/production, behind its nginx.conf and with a socket that outlives it."""

    EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/http/production"

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="heph-interop-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]
        self.admin = free_port()

    def start(self):
        """Starts the program as systemd does, with the socket as descriptor 3."""

        def give_socket():
            os.dup2(self.listener.fileno(), 3)
            os.set_inheritable(3, True)

        process = subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", PROGRAMS / "http_production",
             "127.0.0.1:1", f"127.0.0.1:{self.admin}"],
            env={**os.environ, "LISTEN_FDS": "1"}, preexec_fn=give_socket, pass_fds=(3,),
            stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: process.poll() is None and end(process))
        return process

    def nginx_before_it(self):
        text = (self.EXAMPLE / "nginx.conf").read_text()
        front, plain = free_port(), free_port()
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=service.example",
            "-addext", "subjectAltName=DNS:service.example",
            "-keyout", self.folder / "key.pem", "-out", self.folder / "fullchain.pem")
        for old, new in (("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
                         ("listen 80;", f"listen 127.0.0.1:{plain};"),
                         ("listen [::]:80;", ""),
                         ("listen 443 ssl;", f"listen 127.0.0.1:{front} ssl;"),
                         ("listen [::]:443 ssl;", ""),
                         ("/etc/ssl/service.example", str(self.folder))):
            self.assertIn(old, text)
            text = text.replace(old, new)
        process = nginx(self.folder, front, text)
        self.addCleanup(end, process)
        return front, plain

    def test_behind_its_nginx(self):
        self.start()
        front, plain = self.nginx_before_it()
        curl = ("curl", "--silent", "--show-error", "--max-time", "30",
                "--cacert", self.folder / "fullchain.pem",
                "--resolve", f"service.example:{front}:127.0.0.1",
                "--resolve", f"service.example:{plain}:127.0.0.1")
        url = f"https://service.example:{front}"
        shown = run(*curl, "--include", f"{url}/hello/nginx").decode()
        head, _, body = shown.partition("\r\n\r\n")
        self.assertEqual(body, "Hello, nginx!\n")
        self.assertEqual(len(re.findall("(?im)^x-request-id: [0-9a-f]{32}\r?$", head)), 1)
        self.assertEqual(run(*curl, "--data", "hello", f"{url}/length"), b"5 bytes\n")
        code = ("--output", "/dev/null", "--write-out", "%{http_code}")
        source = self.folder / "large"
        source.write_bytes(letters(70_000))
        self.assertEqual(run(*curl, *code, "--data-binary", f"@{source}", f"{url}/length"), b"413")
        # The service itself refuses it as well, in pieces, too.
        own = f"http://127.0.0.1:{self.port}/length"
        self.assertEqual(run(*curl, *code, "--data-binary", f"@{source}", own), b"413")
        self.assertEqual(run(*curl, *code, "--header", "Transfer-Encoding: chunked",
                             "--data-binary", f"@{source}", own), b"413")
        self.assertEqual(run(*curl, *code, f"http://service.example:{plain}/"), b"308")
        inside = f"http://127.0.0.1:{self.admin}"
        self.assertEqual(run(*curl, f"{inside}/healthz"), b"good\n")
        self.assertIn(b'http_requests_total{method="GET",status="2xx"} 1',
                      run(*curl, f"{inside}/metrics"))
        self.assertEqual(run(*curl, *code, f"{url}/metrics"), b"404")

    def test_a_restart_refuses_nobody(self):
        first = self.start()
        url = f"http://127.0.0.1:{self.port}/hello/you"
        self.assertEqual(run("curl", "--silent", url), b"Hello, you!\n")
        end(first)
        self.assertEqual(first.returncode, 0)
        # There is nobody, but there is the socket.
        waiting = subprocess.Popen(["curl", "--silent", "--max-time", "30", url],
                                   stdout=subprocess.PIPE)
        self.addCleanup(waiting.stdout.close)
        self.start()
        self.assertEqual(waiting.communicate(timeout=LIMIT)[0], b"Hello, you!\n")

    def test_its_units_are_good(self):
        text = (self.EXAMPLE / "heph-production.service").read_text()
        start = "ExecStart=/usr/local/bin/http_production 127.0.0.1:8080 127.0.0.1:9100\n"
        self.assertIn(start, text)
        self.assertIn("\nRequires=heph-production.socket\n", text)
        unit = self.folder / "heph-production.service"
        unit.write_text(text.replace("/usr/local/bin", str(PROGRAMS)))
        held = shutil.copy(self.EXAMPLE / "heph-production.socket", self.folder)
        if shutil.which("systemd-analyze"):
            run("systemd-analyze", "verify", unit, held)


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not result.testsRun else 0)
