"""What replies are made of, typed. Times are milliseconds since the Unix epoch; ids are whole and can be given back."""

import dataclasses
import re
import types
import typing
from typing import Any, Literal, Self


@dataclasses.dataclass(frozen=True)
class Record:
    """Read from JSON by the names of its fields; fields that a newer library adds are left out."""

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        named = {_snake(name): value for name, value in given.items()}
        hints = typing.get_type_hints(cls)
        made = {field.name: _made(hints[field.name], named[field.name]) for field in dataclasses.fields(cls)}
        return cls(**made)


def _snake(name: str) -> str:
    name = re.sub(r"[A-Z]", lambda big: "_" + big[0].lower(), name)
    return "with_" if name == "with" else name


def _made(hint: Any, value: Any) -> Any:
    """The value as its type wants it: records out of objects, also in lists."""
    if value is None:
        return None
    if isinstance(hint, types.UnionType):
        return _made(next(one for one in hint.__args__ if one is not types.NoneType), value)
    if typing.get_origin(hint) is list:
        return [_made(typing.get_args(hint)[0], one) for one in value]
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.read(value)
    return value


@dataclasses.dataclass(frozen=True)
class Identity(Record):
    """Who an instance is; the fingerprint is that of the person's signing key."""

    email: str
    person: str
    fingerprint: str
    instance: str
    name: str


@dataclasses.dataclass(frozen=True)
class ContactInstance(Record):
    """An instance of a contact; without a `url` it only dials."""

    instance: str
    name: str
    url: str | None
    connected: bool
    last_seen: int | None


@dataclasses.dataclass(frozen=True)
class Contact(Record):
    """A contact; `pending` while the pairing is under way. `check_code`: the six digits of the pairing."""

    person: str
    email: str
    state: Literal["active", "pending"]
    fingerprint: str
    check_code: str | None
    since: int
    instances: list[ContactInstance]


@dataclasses.dataclass(frozen=True)
class Pairing(Record):
    """A pairing under way; both sides compare the check code."""

    person: str
    email: str | None
    instance_name: str | None
    fingerprint: str
    check_code: str | None
    role: Literal["inviter", "joiner"]
    waits_for: Literal["ourApproval", "theirApproval", "peer"]
    since: int


@dataclasses.dataclass(frozen=True)
class Invited(Record):
    """An invitation. Its link is a secret: whoever has it may pair, once."""

    locator: str
    link: str = dataclasses.field(repr=False)
    expires: int
    urls: list[str]


@dataclasses.dataclass(frozen=True)
class Invitation(Record):
    """An invitation in the list; `by`: who took it."""

    locator: str
    state: Literal["open", "blocked", "consumed", "completed", "revoked", "expired"]
    by: str | None
    label: str
    expires: int
    confirm: bool


@dataclasses.dataclass(frozen=True)
class Channel(Record):
    """A channel; `arrived` is the number of the last arrival from others, for `mark_read`."""

    channel: str
    name: str
    members: list[str]
    messages: int
    arrived: int
    unread: int


@dataclasses.dataclass(frozen=True)
class Message(Record):
    """A message. Its text comes from somebody else: show it as text, never as markup."""

    id: str
    channel: str
    author: str
    email: str
    time: int
    text: str
    attachment: str | None
    edited: int | None
    deleted: int | None
    unread: bool


@dataclasses.dataclass(frozen=True)
class SharedItem(Record):
    """A file or folder that is shared, in its newest version; `with_`: who may see it, as far as known."""

    name: str
    kind: Literal["file", "folder"]
    bytes: int
    by: str
    with_: list[str]
    time: int
    root: str


@dataclasses.dataclass(frozen=True)
class Unshared(Record):
    """What became of a share that was taken back, in objects; what `stays` a contact has already, or soon."""

    taken_back: int
    stays: int


@dataclasses.dataclass(frozen=True)
class Content(Record):
    """The content of a file, stored here."""

    blob: str
    size: int


@dataclasses.dataclass(frozen=True)
class Made(Record):
    """A file or folder that is stored here and can be shared: its id and its bytes."""

    root: str
    size: int


@dataclasses.dataclass(frozen=True)
class FileEntry(Record):
    """One file of a folder; its path below that, with `/` between parts."""

    path: str
    blob: str
    size: int
    executable: bool


@dataclasses.dataclass(frozen=True)
class Tree(Record):
    """What is in a shared file or folder. Names come from somebody else; none leads out of the folder."""

    name: str
    kind: Literal["file", "folder"]
    files: list[FileEntry]


@dataclasses.dataclass(frozen=True)
class Flow(Record):
    """One direction of a session, in objects; `bytes` of those that are durable at the receiving end."""

    done: int
    total: int | None
    objects: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Peer(Record):
    """Somebody at the other end, proved."""

    person: str
    email: str
    instance: str
    instance_name: str


@dataclasses.dataclass(frozen=True)
class PeerStatus(Record):
    """Where things stand with one instance of a contact; bytes of this session."""

    peer: Peer
    state: Literal["inSync", "syncing", "pairing", "connecting", "waiting", "unreachable", "blocked", "off"]
    path: Literal["none", "direct", "relay"]
    dialled: bool
    url: str | None
    last_seen: int | None
    received: Flow
    sent: Flow
    common: int | None
    fingerprint: str | None
    bytes_out: int
    bytes_in: int
    failures: int


@dataclasses.dataclass(frozen=True)
class Status(Record):
    """How things stand; objects and bytes of the store."""

    me: Peer
    fingerprint: str
    listening: list[str]
    peers: list[PeerStatus]
    objects: int
    bytes: int


Standing = Literal["notAContact", "notHere", "setAside", "tombstone", "notShared", "pending", "sent", "overQuota",
                   "refused", "acknowledged", "fromThem"]


@dataclasses.dataclass(frozen=True)
class InstanceStanding(Record):
    """How far an object has come at one instance."""

    instance: str
    standing: Standing


@dataclasses.dataclass(frozen=True)
class Rule(Record):
    """An access rule that speaks of an object."""

    rule: str
    author: str
    in_effect: bool


@dataclasses.dataclass(frozen=True)
class Explanation(Record):
    """Why an object does not reach a person, or how far it has come."""

    object: str
    person: str
    standing: Standing
    instances: list[InstanceStanding]
    direct: bool
    rules: list[Rule]


@dataclasses.dataclass(frozen=True)
class Quota(Record):
    """What is kept of a contact, and how much may be; `None`: the store's own limit, and for `days`: for ever."""

    objects: int
    bytes: int
    refused: int
    max_objects: int | None
    max_bytes: int | None
    max_bytes_per_hour: int | None
    days: int | None


@dataclasses.dataclass(frozen=True)
class OwnInstance(Record):
    """An instance of one's own person; `key` is for `revoke_instance`."""

    instance: str
    name: str | None
    key: str
    revoked: bool
    is_this: bool


@dataclasses.dataclass(frozen=True)
class Blocked(Record):
    """Somebody of whom nothing is to be had, and to whom nothing goes; with the address of a contact."""

    person: str
    email: str | None


@dataclasses.dataclass(frozen=True)
class Route(Record):
    """A route to an instance of a contact; `off_by`: what was switched off; `in_use`: a session that we dialled goes along it."""

    peer: Peer
    route: str
    relayed: bool
    off_by: Literal["person", "instance", "route"] | None
    in_use: bool


@dataclasses.dataclass(frozen=True)
class Relay(Record):
    """A relay of the list; `links`: connections that wait there for a call."""

    address: str
    state: Literal["registered", "connecting", "waiting", "unneeded"]
    route: str
    links: int
    failures: int


@dataclasses.dataclass(frozen=True)
class StoreChecked(Record):
    """The store is sound: what was looked at."""

    objects: int
    bytes: int
