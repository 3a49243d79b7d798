"""A shut network: refuses and remembers everything that is not for this machine.

Python tells an audit hook of every look-up of a name and every connection before it happens.
"""

import ipaddress
from pathlib import Path

CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


class Guard:
    """An audit hook. `told`, when given, is a file that gets a line per attempt."""

    def __init__(self, *, shut: bool = False, told: Path | None = None) -> None:
        self.shut = shut
        self.attempts: list[str] = []
        self._told = told

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.shut or event not in CALLS:
            return
        address = args[0] if event.startswith("socket.get") else args[1]
        host = address[0] if isinstance(address, tuple) else address
        if is_here(host):
            return
        self.attempts.append(f"{event} {host!r}")
        if self._told:
            with self._told.open("a") as file:
                print(self.attempts[-1], file=file)
        raise PermissionError(f"the network is shut: {self.attempts[-1]}")


def is_here(host: object) -> bool:
    """Loopback, no host at all (a listener), or a socket file."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost") or str(name).startswith("/"):
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False
