"""Where metrics are served: HOST:PORT, [IPV6]:PORT, or :PORT for this machine only."""

import re
import socket

import attrs

from memtierd.errors import MemtierdError

_FORM = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
LOCAL = "127.0.0.1"


@attrs.frozen
class Address:
    """A host by name or number, and a TCP port; 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return what an address means; without a host it is this machine only.

    Metrics name processes and control groups, and nobody has to say who he is to read them: other machines may do so
    only where that is said, by the address of an interface or 0.0.0.0 or [::] for all.  Raises MemtierdError.
    """
    match = _FORM.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise MemtierdError(
            f"serve metrics at {text!r}: this is no address; give -metrics HOST:PORT, [IPV6]:PORT, or :PORT for this"
            " machine only"
        )
    return Address(match["six"] or match["host"] or LOCAL, int(match["port"]))


def resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the family and the socket address of the first thing that a host name means.  Raises MemtierdError."""
    try:
        family, _, _, _, found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, socket.gaierror) else str(error)
        raise MemtierdError(
            f"serve metrics at {address}: {(said or '').lower()}; give -metrics an address of this machine"
        ) from error
    return family, (str(found[0]), address.port)
