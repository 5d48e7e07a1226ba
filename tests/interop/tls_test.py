"""heph-http over TLS against other programs. Run by interop_test.py."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

from support import LIMIT, PROGRAMS, Client, end, free_port, letters, nginx, run

__all__ = ["TlsServer", "TlsClientOfNginx", "TlsClientOfNode"]


class Authority:
    """Issues certificates into a folder: NAME.pem and NAME.key."""

    def __init__(self, folder, name):
        self.folder = folder
        self.own = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.make(name, "-addext", "basicConstraints=critical,CA:true")

    def make(self, name, *options):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.folder / f"{name}.key",
            "-out", self.folder / f"{name}.pem", *options)

    def issue(self, name, *alternatives):
        self.make(name, "-CA", self.own, "-CAkey", self.key, "-addext",
                  "basicConstraints=critical,CA:false", "-addext",
                  "subjectAltName=" + ",".join(alternatives))


def make_certificates(folder):
    """Those of a server, of a client, and of a client that nobody vouches for."""
    authority = Authority(folder, "ca")
    authority.issue("server", "DNS:service.example", "DNS:localhost", "IP:127.0.0.1")
    authority.issue("client", "DNS:alice.example")
    Authority(folder, "other").issue("stranger", "DNS:mallory.example")
    shutil.copy(folder / "server.pem", folder / "chain.pem")
    shutil.copy(folder / "server.key", folder / "key.pem")


class TlsServer(unittest.TestCase):
    """Our server, which asks for certificates and does without."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="heph-interop-"))
        os.chmod(cls.folder, 0o755)
        make_certificates(cls.folder)
        cls.server = subprocess.Popen(
            [PROGRAMS / "heph_interop_server", "127.0.0.1:0", cls.folder],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        cls.port = int(cls.server.stdout.readline().rsplit(b":", 1)[1])
        cls.url = f"https://localhost:{cls.port}"

    @classmethod
    def tearDownClass(cls):
        end(cls.server)
        log = cls.server.stderr.read().decode()
        cls.server.stdout.close()
        cls.server.stderr.close()
        shutil.rmtree(cls.folder)
        if cls.server.returncode != 0:
            raise AssertionError(f"the server ended with {cls.server.returncode}: {log}")

    def curl(self, *arguments, source=None):
        return run("curl", "--silent", "--show-error", "--max-time", "30", "--cacert",
                   self.folder / "ca.pem", *arguments, input=source)

    def refusal(self, *command):
        """Runs what has to fail, and gives what it says."""
        done = subprocess.run([str(part) for part in command], capture_output=True, timeout=LIMIT,
                              check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr.decode(errors="replace")

    def s_client(self, source, *arguments):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"localhost:{self.port}", "-servername",
             "localhost", "-CAfile", self.folder / "ca.pem", "-verify_return_error", *arguments],
            input=source, capture_output=True, timeout=LIMIT, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def check_that_it_serves(self):
        self.assertEqual(self.curl(f"{self.url}/hello"), b"Hello, World!")

    def context(self, version=None):
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.set_alpn_protocols(["http/1.1"])
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), LIMIT)

    def test_curl_in_each_version(self):
        data = letters(3_000_000)
        for version in ("1.2", "1.3"):
            only = (f"--tlsv{version}", "--tls-max", version)
            session = self.curl(*only, f"{self.url}/session").decode()
            self.assertRegex(session, rf"^TLSv{version} \S+ http/1\.1 localhost -$")
            got = self.curl(*only, "--upload-file", "-", f"{self.url}/echo", source=data)
            self.assertEqual(got, data)
            out = self.curl(*only, "--write-out", "\n%{num_connects} ", *[f"{self.url}/hello"] * 3)
            self.assertEqual(re.findall(rb"\n(\d) ", out), [b"1", b"0", b"0"])
        for old in ("1.0", "1.1"):
            self.refusal("curl", "--silent", "--cacert", self.folder / "ca.pem", "--tls-max", old,
                         f"{self.url}/hello")

    def test_curl_knows_who_it_speaks_to(self):
        self.assertIn("certificate", self.refusal("curl", "-sS", f"{self.url}/hello"))
        resolve = ("--resolve", f"elsewhere.example:{self.port}:127.0.0.1")
        self.assertIn("elsewhere.example",
                      self.refusal("curl", "-sS", "--cacert", self.folder / "ca.pem", *resolve,
                                   f"https://elsewhere.example:{self.port}/hello"))
        resolve = ("--resolve", f"service.example:{self.port}:127.0.0.1")
        self.assertIn(b" service.example ",
                      self.curl(*resolve, f"https://service.example:{self.port}/session"))

    def test_curl_shows_a_certificate(self):
        for version in ("1.2", "1.3"):
            only = (f"--tlsv{version}", "--tls-max", version)
            session = self.curl(*only, "--cert", self.folder / "client.pem", "--key",
                                self.folder / "client.key", f"{self.url}/session").decode()
            self.assertTrue(session.endswith(" localhost CN=client"), session)
            self.refusal("curl", "-sS", "--cacert", self.folder / "ca.pem", *only, "--cert",
                         self.folder / "stranger.pem", "--key", self.folder / "stranger.key",
                         f"{self.url}/session")

    def test_protocols_are_negotiated(self):
        # A browser's offer, and a client that knows nothing of it.
        self.assertEqual(self.curl("--http2", "--write-out", " %{http_version}",
                                   f"{self.url}/hello"), b"Hello, World! 1.1")
        self.assertIn(b" http/1.1 ", self.curl("--http2", f"{self.url}/session"))
        self.assertRegex(self.curl("--no-alpn", f"{self.url}/session").decode(), r"^\S+ \S+ - ")
        self.assertIn("no application protocol", self.s_client(b"", "-alpn", "h2"))

    def test_openssl_resumes_sessions(self):
        kept = self.folder / "session"
        request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for version in ("-tls1_2", "-tls1_3"):
            first = self.s_client(request, version, "-ign_eof", "-sess_out", kept)
            self.assertIn("Hello, World!", first)
            self.assertIn("\nNew, TLSv1", first)
            again = self.s_client(request, version, "-ign_eof", "-sess_in", kept)
            self.assertIn("Hello, World!", again)
            self.assertIn("\nReused, TLSv1", again)

    @contextlib.contextmanager
    def s_client_at_work(self, *arguments):
        """Gives what sends a text, and reads until there is another one. It ends with its input."""
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"localhost:{self.port}", "-CAfile",
             self.folder / "ca.pem", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = b""

        def converse(text, until):
            nonlocal said
            client.stdin.write(text)
            client.stdin.flush()
            while until not in said:
                piece = client.stdout.read1()
                self.assertTrue(piece, said)
                said += piece

        with client:
            yield converse

    def test_openssl_may_not_renegotiate(self):
        with self.s_client_at_work("-tls1_2") as converse:
            converse(b"R\n", b"no renegotiation")
        self.check_that_it_serves()

    def test_openssl_changes_keys(self):
        # New ones of its own, and then of both sides.
        for command in (b"k\n", b"K\n"):
            with self.s_client_at_work("-tls1_3") as converse:
                converse(command, b"KEYUPDATE")
                converse(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", b"Hello, World!")

    def test_what_is_no_handshake(self):
        hello = self.first_flight()
        for sent in (b"\0" * 100,
                     b"\x16\x03\x01\x40\x00" + b"\xff" * 100,  # A record that is not all there.
                     b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",  # A hello of 16 MiB.
                     b"\x80\x2e\x01\x03\x01" + b"\0" * 43,  # One of SSLv2.
                     b"\x15\x03\x01\x00\x02\x02\x28",  # An alert at once.
                     hello[:50], hello[:-1], hello + b"\x17\x03\x03\x00\x10" + b"x" * 16):
            with self.raw() as stream:
                stream.sendall(sent)
                stream.shutdown(socket.SHUT_WR)
                # An alert, a hello, or nothing; then the end.
                with contextlib.suppress(ConnectionResetError):
                    while stream.recv(4096):
                        pass
        with self.raw() as stream:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(stream.recv(4096).startswith(b"HTTP/1.1 400 "))
        self.check_that_it_serves()

    def first_flight(self):
        """What a client of Python's begins with."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = self.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            engine.do_handshake()
        return outgoing.read()

    def drive(self, step, incoming, outgoing, stream, most=1 << 20):
        """Carries an engine's records, as many bytes at a time as `most` says."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                result = None
            records = outgoing.read()
            for at in range(0, len(records), most):
                stream.sendall(records[at:at + most])
            if result is not None:
                return result
            got = stream.recv(4096)
            self.assertTrue(got, "the server has ended the connection")
            incoming.write(got)

    def test_python_in_crumbs_and_with_half_closes(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            engine = self.context(version).wrap_bio(incoming, outgoing, server_hostname="localhost")
            with self.raw() as stream:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

                def drive(step, most=1 << 20):
                    return self.drive(step, incoming, outgoing, stream, most)

                drive(lambda: engine.do_handshake() or True, 7)
                drive(lambda: engine.write(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n"), 1)
                # The client announces its end before there is an answer, and still reads.
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
                    engine.unwrap()
                stream.sendall(outgoing.read())
                answered = b""
                while got := stream.recv(4096):
                    answered += got
                incoming.write(answered)
                incoming.write_eof()
                self.assertIn(b"late", self.rest_of(engine))

    def rest_of(self, engine):
        text = b""
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLError):
            while piece := engine.read(4096):
                text += piece
        return text

    def test_python(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=LIMIT,
                                                     context=self.context(version))
            with contextlib.closing(connection):
                for size in (0, 1, 16_384, 16_385, 500_000):
                    connection.request("POST", "/echo", body=letters(size))
                    self.assertEqual(connection.getresponse().read(), letters(size))
                self.assertEqual(connection.sock.version(), name)
                connection.request("PUT", "/length", body=iter([letters(n) for n in (1, 100_000)]),
                                   encode_chunked=True)
                self.assertEqual(connection.getresponse().read(), b"100001")
                # It answers our end with its own.
                connection.sock.unwrap().close()

    NODE = r"""
        import https from "node:https";
        import fs from "node:fs";
        const [url, folder] = process.argv.slice(2);
        const equal = (a, b) => { if (a !== b) throw new Error(`${a} is not ${b}`); };
        const text = async (path, options) => (await fetch(url + path, options)).text();
        equal(await text("/hello"), "Hello, World!");
        equal((await text("/bytes/1000000")).length, 1000000);
        const body = "y".repeat(1 << 20);
        equal(await text("/echo", {method: "POST", body}), body);
        const sizes = await Promise.all(
            Array.from({length: 50}, async (_, i) => (await text("/bytes/" + i)).length));
        equal(sizes.reduce((a, b) => a + b), 1225);
        const stop = new AbortController();
        const answer = await fetch(url + "/bytes/60000000", {signal: stop.signal});
        stop.abort();
        await answer.text().then(() => { throw new Error("not aborted"); }, () => {});
        const read = name => fs.readFileSync(folder + "/" + name);
        const ask = options => new Promise((resolve, reject) => {
            https.get(url + "/session", options, answer => {
                let got = "";
                answer.on("data", piece => { got += piece; });
                answer.on("end", () => resolve([got, answer.socket.isSessionReused()]));
            }).on("error", reject);
        });
        const agent = new https.Agent({ca: read("ca.pem"), cert: read("client.pem"),
                                       key: read("client.key"), ALPNProtocols: ["h2", "http/1.1"]});
        const first = await ask({agent});
        if (!/^TLSv1\.3 \S+ http\/1\.1 localhost CN=client$/.test(first[0])) throw new Error(first);
        equal(first[1], false);
        equal((await ask({agent}))[1], true);
        console.log("passed");
    """

    def test_node(self):
        script = self.folder / "fetch.mjs"
        script.write_text(self.NODE)
        out = run("node", script, self.url, self.folder,
                  env={**os.environ, "NODE_EXTRA_CA_CERTS": str(self.folder / "ca.pem")})
        self.assertEqual(out, b"passed\n")

    def test_wrk(self):
        report = run("wrk", "-t1", "-c16", "-d1s", f"{self.url}/hello").decode()
        self.assertNotIn("Non-2xx", report)
        self.assertNotIn("Socket errors", report)

    def test_nginx_asks_over_tls(self):
        port = free_port()
        process = nginx(self.folder, port, f"""
            upstream service {{ server 127.0.0.1:{self.port}; keepalive 4; }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass https://service;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header Host localhost;
                    proxy_ssl_verify on;
                    proxy_ssl_trusted_certificate {self.folder}/ca.pem;
                    proxy_ssl_name service.example;
                    proxy_ssl_server_name on;
                    proxy_ssl_certificate {self.folder}/client.pem;
                    proxy_ssl_certificate_key {self.folder}/client.key;
                    proxy_ssl_protocols TLSv1.2 TLSv1.3;
                }}
            }}""")
        self.addCleanup(end, process)
        url = f"http://127.0.0.1:{port}"
        data = letters(3_000_000)
        self.assertIn(b" service.example CN=client", self.curl(f"{url}/session"))
        self.assertEqual(self.curl(*[f"{url}/hello"] * 20), b"Hello, World!" * 20)
        self.assertEqual(self.curl("--upload-file", "-", f"{url}/echo", source=data), data)
        self.assertEqual(len(self.curl(f"{url}/pieces/10000")), 100_000)


class TlsClientOfNginx(Client):
    """Our client of servers in different versions, that ask for certificates or not."""

    def setUp(self):
        super().setUp()
        make_certificates(self.folder)
        (self.folder / "300000").write_bytes(letters(300_000))
        self.ports = [free_port() for _ in range(3)]
        blocks = ""
        for port, protocol, more in zip(
                self.ports, ("TLSv1.2", "TLSv1.3", "TLSv1.3"),
                ("", "", f"ssl_verify_client on; ssl_client_certificate {self.folder}/ca.pem;")):
            blocks += f"""
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate {self.folder}/server.pem;
                    ssl_certificate_key {self.folder}/server.key;
                    ssl_protocols {protocol};
                    ssl_session_cache shared:all:1m;
                    {more}
                    root {self.folder};
                    location /session {{
                        keepalive_requests 1;
                        return 200 "$ssl_protocol $ssl_session_reused $ssl_server_name $ssl_client_s_dn";
                    }}
                    location /back {{ return 302 https://localhost:{self.ports[0]}/300000; }}
                }}"""
        process = nginx(self.folder, self.ports[0], blocks)
        self.addCleanup(end, process)
        self.urls = [f"https://localhost:{port}" for port in self.ports]

    def error(self, *arguments):
        done = subprocess.run([PROGRAMS / "heph_interop_client",
                               *[str(part) for part in arguments]],
                              capture_output=True, timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout.decode()

    def test_versions_and_resumption(self):
        for url, version in zip(self.urls, ("TLSv1.2", "TLSv1.3")):
            told = self.ask("--tls", self.folder / "ca.pem", f"{url}/session", f"{url}/session",
                            f"{url}/300000")
            self.assertEqual(told, [
                self.expect(200, f"{version} . localhost ".encode()),
                self.expect(200, f"{version} r localhost ".encode()),
                self.expect(200, letters(300_000))])
        self.assertEqual(self.ask("--tls", self.folder / "ca.pem", "--redirects", "1",
                                  f"{self.urls[1]}/back"), [self.expect(200, letters(300_000))])

    def test_certificates_of_ours(self):
        own = ("--tls", self.folder / "ca.pem", "--certificate")
        url = f"{self.urls[2]}/session"
        self.assertEqual(self.ask(*own, self.folder / "client", url),
                         [self.expect(200, b"TLSv1.3 . localhost CN=client")])
        # nginx says so by HTTP.
        self.assertEqual(self.ask("--tls", self.folder / "ca.pem", url)[0][0], 400)
        self.assertEqual(self.ask(*own, self.folder / "stranger", url)[0][0], 400)

    def test_who_cannot_prove_its_name(self):
        self.assertTrue(self.error("--tls", self.folder / "other.pem", f"{self.urls[0]}/session")
                        .startswith("error "))
        self.assertTrue(self.error("--tls", self.folder / "ca.pem",
                                   f"https://localhost.localdomain:{self.ports[0]}/session")
                        .startswith("error "))


class TlsClientOfNode(Client):
    SCRIPT = r"""
        import fs from "node:fs";
        import https from "node:https";
        const folder = process.argv[2] + "/";
        const options = {key: fs.readFileSync(folder + "server.key"),
                         cert: fs.readFileSync(folder + "server.pem"),
                         maxVersion: process.argv[3]};
        const server = https.createServer(options, (request, response) => {
            if (request.url === "/cut") {
                response.writeHead(200);
                response.write("a part", () => request.socket.destroy());
            } else {
                request.pipe(response);
            }
        });
        server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    """

    def test_both_ways_and_cut(self):
        make_certificates(self.folder)
        script = self.folder / "server.mjs"
        script.write_text(self.SCRIPT)
        for version in ("TLSv1.2", "TLSv1.3"):
            process = subprocess.Popen(["node", script, self.folder, version],
                                       stdout=subprocess.PIPE)
            self.addCleanup(process.stdout.close)
            self.addCleanup(end, process)
            url = f"https://localhost:{int(process.stdout.readline())}"
            trusting = ("--tls", self.folder / "ca.pem")
            for option in ("--body", "--stream"):
                self.assertEqual(
                    self.ask(*trusting, "--method", "POST", option, 5_000_000, f"{url}/echo"),
                    [self.expect(200, letters(5_000_000))])
            done = subprocess.run([PROGRAMS / "heph_interop_client",
                                   *[str(part) for part in trusting], f"{url}/cut"],
                                  capture_output=True, timeout=LIMIT, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
