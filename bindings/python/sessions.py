"""Sessions without a node and without a store: invitation, handshake and encrypted messages. No socket and no loop is in it."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any, Literal

from . import lama_ffi as ffi
from .errors import told
from .records import Identity, Record

__all__ = ["Head", "Keys", "KnownPeer", "MadeInvitation", "Sessions"]

Step = dict[str, Any]
"""What happened: `type` and `link`, and the fields that docs/guides/python.md names. `closed` or `failed` is the last of a link:
send what `poll_frame` still has, then close the socket."""


@dataclasses.dataclass(frozen=True)
class Head(Record):
    """The end of a person's log."""

    seq: int
    hash: str


@dataclasses.dataclass(frozen=True)
class KnownPeer(Record):
    """What is kept of a peer: by this it is dialled, and known when it comes. No secret."""

    person: str
    email: str
    pin: str
    key: str
    instance: str
    name: str
    url: str
    head: Head


@dataclasses.dataclass(frozen=True)
class MadeInvitation(Record):
    """The link is a secret: whoever has it first pairs. Keep it, with its locator, until it expires."""

    link: str
    locator: str
    expires: int


class Keys:
    """The secrets of an instance, in the same key file as everywhere."""

    def __init__(self, raw: Any):
        self._raw = raw

    @classmethod
    def create(cls, email: str, name: str) -> "Keys":
        return cls(told(ffi.Keys.create, email, name, time.time_ns() // 1_000_000))

    @classmethod
    def open(cls, file: bytes, passphrase: str | None = None) -> "Keys":
        return cls(told(ffi.Keys.open, file, passphrase))

    def seal(self, passphrase: str | None = None) -> bytes:
        """The bytes of a key file. Without a passphrase whoever reads it has the keys."""
        sealed: bytes = told(self._raw.seal, passphrase)
        return sealed

    @property
    def identity(self) -> Identity:
        return Identity.read(json.loads(told(self._raw.identity)))


def _text(peer: KnownPeer) -> str:
    return json.dumps(dataclasses.asdict(peer))


class Sessions:
    """All sessions of one instance. Links have numbers of the program's choice; each is one WebSocket with the subprotocol
    `lama.1`. Which invitations are spent and who is a contact the program keeps itself."""

    def __init__(self, keys: Keys, clocks: Callable[[], tuple[int, int]] | None = None):
        self.identity = keys.identity
        self._clocks = clocks or (lambda: (time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000))
        self._raw = told(ffi.Sessions.open, keys._raw)

    def listening(self, url: str) -> None:
        """Where this instance can be dialled, for those to whom it introduces itself from now on."""
        told(self._raw.listening, url)

    def invite(self, urls: list[str], lifetime_ms: int | None = None) -> MadeInvitation:
        """Makes an invitation that leads to these addresses, good for 15 minutes if nothing is said."""
        return MadeInvitation.read(json.loads(told(self._raw.invite, urls, lifetime_ms, *self._clocks())))

    def join(self, link: int, invitation: str, lan: bool = False) -> list[str]:
        """Begins by an invitation, on a link that is now to be opened to one of the returned addresses."""
        urls: list[str] = told(self._raw.join, link, invitation, lan, *self._clocks())
        return urls

    def dial(self, link: int, peer: KnownPeer) -> None:
        """Begins with a peer that is known, on a link that is to be opened to its address."""
        told(self._raw.dial, link, _text(peer))

    def accept(self, link: int) -> None:
        """Begins on a link that somebody opened."""
        told(self._raw.accept, link, *self._clocks())

    def answer(self, link: int, invitation: str | None, spent_by: str | None = None) -> None:
        """The answer to `asked`: the invitation with that locator until it expires, and the key of the peer who has spent it, if
        somebody has: he may have been cut off and comes again. Anybody else is refused."""
        told(self._raw.answer, link, invitation, spent_by, *self._clocks())

    def expect(self, link: int, peer: KnownPeer | None) -> None:
        """The answer to `proved`: the peer with that key, or nobody."""
        told(self._raw.expect, link, peer and _text(peer), *self._clocks())

    def proceed(self, link: int) -> None:
        """The answer to `verified`: the peer is stored, and that its key has spent the invitation, in one durable step. In a
        pairing the person's id proves nothing, since it follows from the e-mail address: whoever keeps that person with another
        `pin` refuses."""
        told(self._raw.proceed, link, *self._clocks())

    def refuse(self, link: int, reason: Literal["blocked", "denied", "busy", "token", "person"]) -> None:
        """The other answer to it: that person is not wanted, and learns why; `person`: he is known by another key."""
        told(self._raw.refuse, link, reason)

    def frame(self, link: int, frame: bytes) -> None:
        """A binary message of the WebSocket."""
        told(self._raw.frame, link, frame, *self._clocks())

    def send(self, link: int, stream: int, message: bytes) -> None:
        """Queues a message on a stream, 0 to 3, the lower the more urgent."""
        told(self._raw.send, link, stream, message)

    def queued(self, link: int) -> int:
        """Bytes of messages that wait to be sent."""
        queued: int = told(self._raw.queued, link)
        return queued

    def poll_frame(self, link: int) -> bytes | None:
        """The next frame of a link, only while that has room: what was made must be sent."""
        frame: bytes | None = told(self._raw.poll_frame, link, *self._clocks())
        return frame

    def poll(self) -> Step | None:
        """What happened, in order. Afterwards the link may have a frame."""
        raw = told(self._raw.poll)
        if raw is None:
            return None
        step: Step = json.loads(raw.step)
        if step["type"] == "message":
            step["message"] = raw.message
        elif step["type"] == "verified":
            step["peer"] = KnownPeer.read(step["peer"])
        return step

    def close(self, link: int) -> None:
        """Says goodbye, after what is queued, or 10 s later without it; the step `closed` comes when it is said."""
        told(self._raw.close_link, link, *self._clocks())

    def link_down(self, link: int) -> None:
        """The link is gone, whoever closed it."""
        told(self._raw.link_down, link)

    def timeout(self) -> float | None:
        """In how many seconds `handle_timeout` wants to be called; `None`: not before something new happens."""
        due: int | None = told(self._raw.poll_timeout)
        return None if due is None else max(0, due - self._clocks()[0]) / 1000

    def handle_timeout(self) -> None:
        told(self._raw.handle_timeout, *self._clocks())
