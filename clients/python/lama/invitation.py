"""The invitation: docs/protocol/invitation.md."""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import keys, objects
from .objects import ProtocolError

MAX_LINK = 4096
MAX_INVITATION = 2048


class LinkError(ProtocolError):
    """A link that must not be used; `code` is the one of invitation.md, section 4."""

    def __init__(self, code: str, text: str = ""):
        super().__init__(f"{code} {text}".strip())
        self.code = code


@dataclass(frozen=True)
class Url:
    text: str
    tls: bool
    host: str
    port: int
    path: str
    kind: str  # loopback, private or public


@dataclass(frozen=True)
class Invitation:
    fields: dict

    @property
    def token(self) -> bytes:
        return self.fields["token"]

    @property
    def info(self) -> bytes:
        public = {name: value for name, value in self.fields.items() if name != "token"}
        return objects.sha256(objects.encode(public))

    @property
    def psk(self) -> bytes:
        return self._derive(b"LAMA/pair/1 psk", 32)

    @property
    def locator(self) -> bytes:
        return self._derive(b"LAMA/pair/1 locator", 16)

    def _derive(self, salt: bytes, length: int) -> bytes:
        return HKDF(SHA256(), length, salt, self.info).derive(self.token)

    @property
    def urls(self) -> list[Url]:
        return [parse_url(url) for url, _, _ in self.fields["routes"]]

    def encode(self) -> bytes:
        return objects.encode(self.fields)

    def link(self, base: str = "lama://join") -> str:
        body = self.encode()
        payload = base64.urlsafe_b64encode(body + check_bytes(body)).decode().rstrip("=")
        return f"{base}#{payload}"


def check_bytes(body: bytes) -> bytes:
    return objects.sha256(b"LAMA/link/1\0", body)[:4]


def parse(link: str, now: int, me: bytes | None = None, lan: bool = False, opened: bool = False) -> Invitation:
    """Reads a link and makes every check of section 4."""
    link = link.strip()
    if not link:
        raise LinkError("invite.no-link")
    if len(link.encode()) > MAX_LINK:
        raise LinkError("invite.link-too-long")
    base, _, fragment = link.partition("#")
    check_scheme(base)
    if not fragment:
        raise LinkError("invite.no-fragment")
    invitation = decode(decode_fragment(fragment))
    if me == invitation.fields["r_person_id"]:
        raise LinkError("invite.same-person")
    if now >= invitation.fields["exp"]:
        raise LinkError("invite.expired")
    if not any(may_dial(url, lan, opened) for url in invitation.urls):
        raise LinkError("invite.route-not-allowed")
    return invitation


def check_scheme(base: str) -> None:
    scheme, colon, rest = base.partition(":")
    scheme = scheme.lower()
    if colon and scheme == "lama":
        return
    if colon and scheme == "https" and rest.startswith("//"):
        return
    if colon and scheme == "http":
        try:
            if parse_url("ws:" + rest.partition("?")[0]).kind == "loopback":
                return
        except LinkError:
            pass
    raise LinkError("invite.wrong-scheme")


def decode_fragment(fragment: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", fragment):
        raise LinkError("invite.damaged", "foreign characters")
    try:
        data = base64.urlsafe_b64decode(fragment + "=" * (-len(fragment) % 4))
    except binascii.Error as error:
        raise LinkError("invite.damaged", "cut") from error
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != fragment:
        raise LinkError("invite.damaged", "unused bits")
    body, check = data[:-4], data[-4:]
    if len(data) < 4 or check_bytes(body) != check:
        raise LinkError("invite.damaged", "check bytes")
    return body


def decode(body: bytes) -> Invitation:
    if len(body) > MAX_INVITATION:
        raise LinkError("invite.link-too-long")
    version = first_version(body)
    if version is not None and version > 1:
        raise LinkError("invite.newer-version")
    is_route = lambda route: (
        isinstance(route, list) and len(route) == 3 and isinstance(route[0], str)
        and ((route[1] is None and route[2] is None) or all(map(objects.is_bytes(32), route[1:])))
    )
    try:
        fields = objects.decode_map(body, {
            "v": lambda v: v == 1,
            "exp": objects.is_uint,
            "suite": objects.is_uint,
            "token": objects.is_bytes(32),
            "policy": lambda policy: policy in ("auto", "confirm"),
            "routes": lambda routes: isinstance(routes, list) and all(map(is_route, routes)),
            "r_static": objects.is_bytes(32),
            "r_person_id": objects.is_bytes(32),
            "r_person_pin": objects.is_bytes(32),
        })
    except LinkError:
        raise
    except ProtocolError as error:
        raise LinkError("invite.damaged", str(error)) from error
    if fields["suite"] != 1:
        raise LinkError("invite.unknown-suite")
    if not 1 <= len(fields["routes"]) <= 8:
        raise LinkError("invite.route-count")
    for url, _, _ in fields["routes"]:
        parse_url(url)
    try:
        keys.check_x25519(fields["r_static"])
    except ProtocolError as error:
        raise LinkError("invite.bad-key") from error
    return Invitation(fields)


def first_version(body: bytes) -> int | None:
    """The version of an invitation of any version: `v` is always the first key."""
    if len(body) < 4 or not 0xA1 <= body[0] <= 0xB7 or body[1:3] != b"\x61v":
        return None
    head = body[3]
    if head < 24:
        return head
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(head)
    return int.from_bytes(body[4:4 + size], "big") if size and len(body) >= 4 + size else None


def parse_url(text: str) -> Url:
    bad = LinkError("invite.bad-url", text[:64])
    if len(text.encode()) > 256:
        raise bad
    match = re.fullmatch(r"(wss?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9][0-9]{0,4}))?"
                         r"(/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?", text, re.IGNORECASE | re.ASCII)
    if not match:
        raise bad
    scheme, host, port, path = match.groups()
    tls = scheme.lower() == "wss"
    number = int(port) if port else (443 if tls else 80)
    if number > 65535:
        raise bad
    if host.startswith("["):
        try:
            kind = classify(ipaddress.IPv6Address(host[1:-1]))
        except ValueError as error:
            raise bad from error
    else:
        kind = classify_name(host, bad)
    if kind == "unreachable":
        raise bad
    return Url(text, tls, host.strip("[]"), number, path or "/", kind)


def classify_name(host: str, bad: LinkError) -> str:
    try:
        return classify(ipaddress.IPv4Address(host))
    except ValueError:
        pass
    labels = host.lower().split(".")
    if len(host) > 253 or not all(
        re.fullmatch(r"[a-z0-9_-]{1,63}", label) and label[0] != "-" and label[-1] != "-" for label in labels
    ):
        raise bad
    last = labels[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        raise bad
    if last == "localhost":
        return "loopback"
    local = {"local", "lan", "home", "corp", "internal", "intranet"}
    if len(labels) == 1 or last in local or labels[-2:] == ["home", "arpa"] and len(labels) > 2:
        return "private"
    return "public"


def classify(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """How far away an address is: section 4."""
    inside = lambda *nets: any(ip in ipaddress.ip_network(net) for net in nets)
    if ip.version == 4:
        if inside("0.0.0.0/8", "224.0.0.0/3"):
            return "unreachable"
        if inside("127.0.0.0/8"):
            return "loopback"
        private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")
        return "private" if inside(*private) else "public"
    if ip == ipaddress.IPv6Address("::1"):
        return "loopback"
    value = int(ip)
    if inside("::ffff:0:0/96", "64:ff9b::/96"):
        return classify(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    if inside("2002::/16"):
        return classify(ipaddress.IPv4Address(value >> 80 & 0xFFFFFFFF))
    if inside("::/32", "ff00::/8"):
        return "unreachable"
    return "private" if inside("fc00::/7", "fe80::/10", "fec0::/10") else "public"


def may_dial(url: Url, lan: bool, opened: bool) -> bool:
    return url.kind == "public" or lan or (url.kind == "loopback" and not opened)
