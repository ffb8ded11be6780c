"""What an instance reports, as it comes to a listener: an object of JSON, told apart by its `type`."""

from typing import Any, Literal, TypedDict


class Problem(TypedDict):
    code: str
    message: str


class PeerFields(TypedDict):
    person: str
    email: str
    instance: str
    instanceName: str


class FlowFields(TypedDict):
    done: int
    total: int | None
    objects: int
    bytes: int


class MessageFields(TypedDict):
    """As `Message.read` takes it."""

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


class Ready(TypedDict):
    type: Literal["ready"]


class Listening(TypedDict):
    type: Literal["listening"]
    urls: list[str]


class RelayRegistered(TypedDict):
    type: Literal["relayRegistered"]
    relay: str


class RelayLost(TypedDict):
    type: Literal["relayLost"]
    relay: str
    problem: Problem | None
    pause: int | None


class SessionStarted(TypedDict):
    type: Literal["sessionStarted"]
    session: int
    peer: PeerFields
    dialled: bool
    url: str | None


class SessionEnded(TypedDict):
    type: Literal["sessionEnded"]
    session: int
    peer: PeerFields
    reason: str
    message: str


class LinkRefused(TypedDict):
    type: Literal["linkRefused"]
    link: int
    reason: str
    message: str


class DialFailed(TypedDict):
    type: Literal["dialFailed"]
    peer: PeerFields | None
    url: str
    message: str
    failures: int


class PairingPending(TypedDict):
    """`Pairing.read` takes the pairing."""

    type: Literal["pairingPending"]
    pairing: dict[str, Any]


class Paired(TypedDict):
    """`Contact.read` takes the contact."""

    type: Literal["paired"]
    contact: dict[str, Any]


class PairingFailed(TypedDict):
    type: Literal["pairingFailed"]
    person: str | None
    problem: Problem


class ContactRemoved(TypedDict):
    type: Literal["contactRemoved"]
    person: str
    byPeer: bool


class Alarm(TypedDict):
    """To be shown until a person has seen it."""

    type: Literal["alarm"]
    code: str
    message: str
    person: str | None


class InvitationExpired(TypedDict):
    type: Literal["invitationExpired"]
    locator: str


class MessageArrived(TypedDict):
    type: Literal["message"]
    message: MessageFields


class MessageChanged(TypedDict):
    type: Literal["messageChanged"]
    message: MessageFields


class Shared(TypedDict):
    type: Literal["shared"]
    root: str
    by: str


class Received(TypedDict):
    type: Literal["received"]
    peer: PeerFields
    objects: int


class Progress(TypedDict):
    type: Literal["progress"]
    session: int
    person: str
    received: FlowFields
    sent: FlowFields


class InSync(TypedDict):
    type: Literal["inSync"]
    peer: PeerFields
    count: int
    fingerprint: str


class ObjectRefused(TypedDict):
    type: Literal["objectRefused"]
    peer: PeerFields
    object: str
    there: bool


class StoreFailed(TypedDict):
    type: Literal["storeFailed"]
    doing: str
    problem: Problem


Event = (
    Ready | Listening | RelayRegistered | RelayLost | SessionStarted | SessionEnded | LinkRefused | DialFailed
    | PairingPending | Paired | PairingFailed | ContactRemoved | Alarm | InvitationExpired | MessageArrived
    | MessageChanged | Shared | Received | Progress | InSync | ObjectRefused | StoreFailed
)
