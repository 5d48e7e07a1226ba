"""What keeps the program from starting, and how it says so. Each function is one test of ctest."""

import os
import socket

from service import free_ports, obey_permissions, refuse_io_uring

USAGE, DATA, ADDRESS, SECRET = 2, 3, 4, 5


def refusal(world, status, *arguments, data="refused", says, **more):
    """The program must end at once, with this status and one line that says why."""
    node = world.single(*arguments, data=data, **more)
    node.start(wait=False)
    ended_with = node.wait()
    assert ended_with == status, (ended_with, node.log())
    assert says in node.lines[-1], (says, node.log())
    assert node.lines[-1].startswith("notes: "), node.log()
    assert len(node.lines) <= 3, node.log()


def test_wrong_arguments_are_told(world):
    refusal(world, USAGE, "--bogus", says="--bogus")
    refusal(world, USAGE, "--threads", "0", says="--threads")
    refusal(world, USAGE, "--http", "8080", says="--http 8080")
    refusal(world, USAGE, "--node", "a", "--listen", "127.0.0.1:1", says="--peer")
    refusal(world, USAGE, "--node", "a", "--listen", "127.0.0.1:1", "--peer", "b=127.0.0.1:2",
            says="--secret-file")


def test_help_names_every_option(world):
    node = world.single("--help").start(wait=False)
    assert node.wait() == 0
    for option in ("--http", "--node", "--listen", "--peer", "--secret-file", "--data", "--threads"):
        assert node.logged(option), (option, node.log())


def test_workers_share_a_port_that_was_named(world):
    port = free_ports(1)[0]
    node = world.single("--threads", "2", "--http", f"127.0.0.1:{port}").start()
    assert node.port == port
    assert node.ask("GET", "/hello").status == 200


def test_busy_ports_are_told(world):
    busy = socket.socket()
    busy.bind(("127.0.0.1", 0))
    busy.listen()
    taken = "127.0.0.1:%d" % busy.getsockname()[1]
    refusal(world, ADDRESS, "--http", taken, says=taken)
    refusal(world, ADDRESS, "--http", taken, "--threads", "3", says=taken)
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


def test_io_uring_that_is_refused_is_told_when_nothing_else_will_do(world):
    refusal(world, 1, says="io_uring", before_exec=refuse_io_uring,
            environment={"HEPH_DRIVER": "uring"})
    refusal(world, 1, says="HEPH_DRIVER", environment={"HEPH_DRIVER": "kqueue"})


def test_epoll_serves_where_io_uring_is_refused_with_one_warning(world):
    node = world.single(before_exec=refuse_io_uring, environment={"HEPH_DRIVER": "auto"}).start()
    for number in range(20):
        assert node.put(f"n{number}", b"text").status == 201
        assert node.ask("GET", f"/notes/n{number}").body == b"text"
    assert node.stop() == 0
    warnings = [line for line in node.lines if "epoll is used instead" in line]
    assert len(warnings) == 1, node.log()
    again = world.single(environment={"HEPH_DRIVER": "epoll"}).start()
    assert again.ask("GET", "/notes/n7").body == b"text"
    assert again.stop() == 0
    assert not any("epoll is used instead" in line for line in again.lines), again.log()
