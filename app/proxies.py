"""Who a request comes from: forwarded headers are used only when a trusted proxy sent them."""

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger("app.proxies")
FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "forwarded")
REMEMBERED_AT_MOST = 100
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Proxies:
    """The trusted networks, and the addresses outside them that sent forwarded headers."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self._ignored: dict[str, None] = {}

    @property
    def ignored(self) -> Sequence[str]:
        """Untrusted addresses whose forwarded headers were ignored since the start."""
        return tuple(self._ignored)

    def trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def client(self, peer: str, chain: Sequence[str]) -> str:
        """The rightmost untrusted address of the chain; the peer when there is none.

        Each proxy appends the address it saw, so everything left of that one may be invented.
        """
        found = peer
        for hop in reversed(chain):
            address = parsed(hop)
            if address is None:
                return found
            found = str(address)
            if not self.trusts(address):
                return found
        return found

    def ignore(self, peer: str) -> None:
        """Remember and log, once for each address, that its forwarded headers are not used."""
        if peer in self._ignored or len(self._ignored) >= REMEMBERED_AT_MOST:
            return
        self._ignored[peer] = None
        log.warning(
            "forwarded headers ignored: add this address to TRUSTED_PROXIES if it is your proxy",
            extra={"fields": {"address": peer}},
        )


class ForwardedHeaders:
    """Sets client and scheme from the headers of a trusted proxy.

    Behind an untrusted one many people share an address: `state.shared_address` says so.
    """

    def __init__(self, app: ASGIApp, *, proxies: Proxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._read(scope)
        await self._app(scope, receive, send)

    def _read(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if not any(name in headers for name in FORWARDED):
            return
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._proxies.trusts(parsed(peer)):
            self._proxies.ignore(peer)
            scope.setdefault("state", {})["shared_address"] = True
            return
        chain = ",".join(headers.getlist("x-forwarded-for"))
        scope["client"] = (self._proxies.client(peer, chain.split(",")), 0)
        scheme = headers.getlist("x-forwarded-proto")[-1:] or [""]
        last = scheme[0].rpartition(",")[2].strip().lower()
        if last in ("http", "https"):
            scope["scheme"] = last


def parsed(hop: str) -> Address | None:
    """The address of `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; None for anything else."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
