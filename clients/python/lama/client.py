"""Joins a running instance over WebSocket: the loop around the pure parts."""

import contextlib
import time
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from . import identity, invitation, objects
from .chum import STREAM, Sync
from .handshake import INITIATOR, Handshake, Peer
from .identity import LocalIdentity
from .objects import ProtocolError
from .session import Closed, Streams

SUBPROTOCOL = "lama.1"


@dataclass
class Result:
    """What came of a session."""

    peer: Peer
    check_code: str
    received: list[tuple[bytes, bytes]] = field(default_factory=list)
    acknowledged: int = 0
    shared: int = 0
    in_sync: bool = False


class Link:
    """A WebSocket as the protocol uses it: binary messages only, a deadline for everything."""

    def __init__(self, url: str, deadline: float):
        self._deadline = deadline
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(
            url, subprotocols=[SUBPROTOCOL], compression=None, max_size=65_535, proxy=None,
            open_timeout=self._left(), ping_interval=None, user_agent_header=None))
        if self._socket.subprotocol != SUBPROTOCOL:
            raise ProtocolError("the other side does not speak lama.1")

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other side did not answer in time")
        return left

    def send(self, message: bytes) -> None:
        self._socket.send(message)

    def receive(self) -> bytes:
        message = self._socket.recv(timeout=self._left())
        if not isinstance(message, bytes):
            raise ProtocolError("a text message")
        return message

    def close(self) -> None:
        self._open.close()


def profile_objects(me: LocalIdentity) -> list[tuple[int, bytes]]:
    """What each side shares right after pairing, as far as this client has it: pairing.md, section 3."""
    fields = me.public.fields
    parts = (fields["person"], fields["instance"], fields["personKeys"], fields["instanceKeys"])
    return [(objects.DAG_CBOR, objects.encode(part)) for part in parts]


def chat_objects(me: LocalIdentity, peer: identity.PublicIdentity, text: str, now_ms: int) -> list[tuple[int, bytes]]:
    """The channel that two contacts have, and a first entry in it: identity.md, section 9."""
    members = sorted([me.public.person_id, peer.person_id])
    channel = {"$type$": "Channel", "name": "chat", "members": members}
    entry = {
        "$type$": "ChannelEntry", "by": "person", "prev": None, "clock": [now_ms, 0], "epoch": bytes(8), "heads": [],
        "author": me.public.person_id, "channel": identity.label(channel), "content": {"text": text},
        "instance": me.public.instance_id,
    }
    entry["sig"] = me.person_sign.sign("LAMA/channel-entry/1", objects.encode(entry))
    return [(objects.DAG_CBOR, objects.encode(channel)), (objects.DAG_CBOR, objects.encode(entry))]


def join(link: str, me: LocalIdentity, say: str | None = None, seconds: float = 30.0, lan: bool = False) -> Result:
    """Takes an invitation, pairs, and stays until both ends hold the same set."""
    wall = time.time()
    invited = invitation.parse(link, int(wall), me.public.person_id, lan)
    fields = invited.fields
    url = next(url for url in invited.urls if invitation.may_dial(url, lan, opened=False))
    wire = Link(url.text, time.monotonic() + seconds)
    try:
        handshake = Handshake(me, INITIATOR, invited.locator, invited.psk, fields["r_static"])
        wire.send(handshake.message1())
        wire.send(handshake.read_message2(wire.receive()))
        wire.send(handshake.auth(fields["r_person_pin"]))
        expected = (fields["r_person_id"], fields["r_person_pin"])
        peer = handshake.read_auth(wire.receive(), int(wall), expected)
        # Here an application stores contact and trust durably; this one has only its memory.
        wire.send(handshake.ready())
        result = Result(peer, handshake.check_code())
        mine = profile_objects(me)
        if say is not None:
            mine += chat_objects(me, peer.identity, say, int(wall * 1000))
        converse(wire, handshake, mine, result)
        return result
    except ConnectionClosed as error:
        raise ProtocolError(
            "the other side closed the connection: the invitation may be wrong, used, expired or revoked") from error
    finally:
        wire.close()


def converse(wire: Link, handshake: Handshake, mine: list[tuple[int, bytes]], result: Result) -> None:
    """READY from the other side, then CHUM until in sync, then CLOSE."""
    streams = Streams(handshake.channel, initiator=True, pairing=True)
    sync = Sync(handshake.pair_key, mine)
    while True:
        for message in sync.out:
            streams.send(STREAM, message)
        sync.out.clear()
        while (record := streams.poll()) is not None:
            wire.send(record)
        result.received, result.in_sync = sync.received, sync.in_sync
        result.acknowledged, result.shared = sync.acknowledged, len(mine)
        if sync.in_sync and sync.received and sync.acknowledged >= len(mine):
            wire.send(streams.close())
            return
        try:
            arrived = streams.receive(wire.receive())
        except Closed as closed:
            raise ProtocolError(f"the other side said goodbye (code {closed.code}) before both were in sync") from closed
        if arrived is not None:
            stream, message = arrived
            if stream != STREAM:
                raise ProtocolError("a message on a stream that CHUM does not use")
            sync.handle(message)
