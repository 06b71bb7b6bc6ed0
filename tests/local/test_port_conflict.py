"""Who holds a port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from authsvc.errors import SetupRefused
from authsvc.listen_address import ListenAddress
from authsvc.local.port_conflict import parse_owners, refuse_if_taken
from tests.support.waiting import PATIENCE

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 123456 1 0 100 0 0 10 0
   1: 0100007F:1388 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   999        0 123457 1 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000001000000:1389 00000000000000000000000000000000:0000 0A 0:0 00:0 0 1000 0 7 1 0
   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 8 1 0
"""


@contextmanager
def held(host: str, port: int, *, name: str = "holder") -> Iterator[int]:
    """Let another process listen; return its id."""
    code = (
        "import socket, sys, time; s = socket.create_server((sys.argv[1], int(sys.argv[2])), "
        "family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, host, str(port), name], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process.pid
        finally:
            process.kill()


def test_parse_owners() -> None:
    """Listening sockets are read from the kernel's text, IPv6 words in its byte order; connections are left out."""
    assert parse_owners(TCP, "little") == {(ip_address("127.0.0.1"), 5000): 999}
    assert parse_owners(TCP6, "little") == {(ip_address("::1"), 5001): 1000, (ip_address("::"), 80): 0}
    assert parse_owners(TCP.replace("0100007F", "7F000001"), "big") == {(ip_address("127.0.0.1"), 5000): 999}


def test_a_free_port_is_fine(free_port: int) -> None:
    """Nothing is raised, and nothing keeps the port."""
    listen = ListenAddress("127.0.0.1", free_port)

    refuse_if_taken(listen, also_loopback=True)
    refuse_if_taken(listen, also_loopback=True)
    refuse_if_taken(ListenAddress("::", free_port), also_loopback=False)
    refuse_if_taken(ListenAddress("0.0.0.0", free_port), also_loopback=True)


@pytest.mark.parametrize(
    ("holder", "wanted"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::1", "::1")],
)
def test_the_holder_is_named(free_port: int, holder: str, wanted: str) -> None:
    """The refusal has the holder's process id and command."""
    expected = rf":{free_port} is in use by pid {{}} \(.*python.*\); stop that, or choose another .* --listen$"
    with held(holder, free_port) as pid, pytest.raises(SetupRefused, match=expected.format(pid)):
        refuse_if_taken(ListenAddress(wanted, free_port), also_loopback=False)


def test_a_long_command_is_cut_and_cleaned(free_port: int) -> None:
    """What another program was called with is shown as one short line."""
    with held("127.0.0.1", free_port, name="\n\x1b[31m" * 50), pytest.raises(SetupRefused) as caught:
        refuse_if_taken(ListenAddress("127.0.0.1", free_port), also_loopback=False)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 240


def test_the_other_loopback_address_counts_for_localhost(free_port: int) -> None:
    """A server on [::1] would get the clients that try IPv6 first."""
    listen = ListenAddress("127.0.0.1", free_port)
    with held("::1", free_port) as pid:
        with pytest.raises(SetupRefused, match=rf"^\[::1\]:{free_port} is in use by pid {pid} .*localhost"):
            refuse_if_taken(listen, also_loopback=True)
        refuse_if_taken(listen, also_loopback=False)


def test_a_port_just_released_is_free(free_port: int) -> None:
    """Connections in TIME_WAIT do not stand in the way of a quick restart."""
    with socket.create_server(("127.0.0.1", free_port)) as server:
        client = socket.create_connection(("127.0.0.1", free_port))
        accepted, _ = server.accept()
        accepted.close()
        time.sleep(0.05)
        client.close()

    refuse_if_taken(ListenAddress("127.0.0.1", free_port), also_loopback=False)


def test_a_foreign_address_is_refused() -> None:
    """An address of another machine is said to be one (TEST-NET-1, RFC 5737)."""
    with pytest.raises(SetupRefused, match=r"192\.0\.2\.1 is not an address of this machine"):
        refuse_if_taken(ListenAddress("192.0.2.1", 5000), also_loopback=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become another user")
def test_what_another_user_may_see(free_port: int) -> None:
    """An ordinary user is told the holder's user and how to learn more, and which ports are root's."""
    code = (
        "import os, sys; from authsvc.listen_address import ListenAddress\n"
        "from authsvc.local.port_conflict import refuse_if_taken\n"
        "import encodings.ascii, psutil  # both are loaded late, and `nobody` may not enter root's Python\n"
        "os.setuid(65534)\n"
        "try: refuse_if_taken(ListenAddress('127.0.0.1', int(sys.argv[1])), also_loopback=False)\n"
        "except Exception as error: print(error)"
    )

    def refusal(port: int) -> str:
        command = [sys.executable, "-c", code, str(port)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    with held("127.0.0.1", free_port):
        assert f"a process of root on 127.0.0.1:{free_port} (`sudo ss" in refusal(free_port)
