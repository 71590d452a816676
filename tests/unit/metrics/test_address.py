"""Where metrics are served: what an address means, and what is said of one that means nothing."""

import pytest

from memtierd.errors import MemtierdError
from memtierd.metrics.address import LOCAL, Address, parse_address, resolve


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9860", LOCAL, 9860),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
        ("[::]:1", "::", 1),
    ],
)
def test_hosts_and_ports(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "9860", "host", "host:", "::1:80", "a:b", ":65536", ":-1", "http://x:1", "x:1 "])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(MemtierdError, match=r"give -metrics HOST:PORT, \[IPV6\]:PORT, or :PORT for this machine only"):
        parse_address(text)


def test_addresses_are_written_as_they_are_read() -> None:
    assert str(parse_address("[::1]:5")) == "[::1]:5"
    assert str(parse_address(":5")) == "127.0.0.1:5"


def test_a_name_that_means_nothing() -> None:
    with pytest.raises(MemtierdError, match="give -metrics an address of this machine"):
        resolve(Address("a" * 70, 1))
