"""The records of replies that most programs use, typed. Times are milliseconds since the Unix epoch; ids are whole."""

import dataclasses
import re
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Record:
    """Read from JSON by the names of its fields; fields that a newer library adds are left out."""

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        named = {re.sub(r"[A-Z]", lambda big: "_" + big[0].lower(), name): value for name, value in given.items()}
        return cls(**{field.name: named[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True)
class Contact(Record):
    """A contact; `state` is `active`, or `pending` while the pairing is under way."""

    person: str
    email: str
    state: str
    fingerprint: str
    check_code: str | None
    since: int


@dataclasses.dataclass(frozen=True)
class Invited(Record):
    """An invitation. Its link is a secret: whoever has it may pair, once."""

    locator: str
    link: str = dataclasses.field(repr=False)
    expires: int
    urls: list[str]


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
    """A file or folder that is shared, in its newest version; `kind` is `file` or `folder`."""

    name: str
    kind: str
    bytes: int
    by: str
    time: int
    root: str


@dataclasses.dataclass(frozen=True)
class Made(Record):
    """A file that is stored here and can be shared: its id and its bytes."""

    root: str
    size: int
