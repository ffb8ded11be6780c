"""Opening a WebSocket: only to an address that the dial allows, and failures by their names."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import WebSocketException

_SHARED = ipaddress.ip_network("100.64.0.0/10")
_CERTIFICATE = {9: "notYetValid", 10: "expired", 18: "unknownIssuer", 19: "unknownIssuer", 20: "unknownIssuer",
                21: "unknownIssuer", 23: "revoked", 62: "wrongName", 64: "wrongName"}
"""OpenSSL's numbers."""


class DialFailure(Exception):
    """Nobody was reached: the cause by its name."""

    def __init__(self, cause: str):
        super().__init__(cause)
        self.cause = cause


def allowed(address: str, *, loopback: bool, private: bool) -> bool:
    """Whether a dial may go to this address; every one that a name resolves to is asked about."""
    ip = ipaddress.ip_address(address)
    if ip.is_loopback:
        return loopback
    if ip.version == 6 and (ip.ipv4_mapped or ip.sixtofour or ip in ipaddress.ip_network("64:ff9b::/96")):
        return False  # addresses of the other family in disguise
    if ip.is_unspecified or ip.is_multicast or (ip.version == 4 and ip.is_reserved):
        return False
    return private or not (ip.is_private or ip.is_link_local or ip in _SHARED)


async def connect(dial: dict[str, Any], max_size: int) -> ClientConnection:
    """Opens the first address that is allowed and answers. Raises `DialFailure`."""
    url = urlsplit(dial["url"])
    port = url.port or (443 if url.scheme == "wss" else 80)
    try:
        addresses = await _addresses(url.hostname or "", port)
    except (OSError, UnicodeError):
        raise DialFailure("notFound") from None
    last = DialFailure("notAllowed")
    for address in addresses:
        if not allowed(address, loopback=dial["loopback"], private=dial["private"]):
            continue
        try:
            # The address that was checked is the one that is dialled.
            return await websocket(dial["url"], host=address, port=port, subprotocols=[dial["subprotocol"]], proxy=None,
                                   compression=None, max_size=max_size, ping_interval=None, open_timeout=None)
        except (OSError, WebSocketException, ValueError, EOFError) as error:
            last = DialFailure(_cause(error))
    raise last


async def _addresses(host: str, port: int) -> list[str]:
    # `localhost` is never looked up: it is this machine, whatever a resolver thinks.
    if host == "localhost" or host.endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).split("%")[0] for entry in found))


def _cause(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "refused"
        case TimeoutError():
            return "timeout"
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE.get(error.verify_code, "tls")
        case ssl.SSLError():
            return "tls"
        case OSError() if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
            return "unreachable"
        case WebSocketException() | ValueError() | EOFError():
            return "notLama"
        case _:
            return "other"
