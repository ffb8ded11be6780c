"""A whole LAMA instance for Python: `open_instance`, and a `Host` on asyncio; or its `Sessions` alone. See docs/guides/python.md."""

from .events import Event
from .host import Host, LamaError, accept_instance, allowed, open_instance, request_instance
from .lama_ffi import look_at_invitation, qr_svg
from .records import (
    Blocked, Channel, Contact, ContactInstance, Content, Explanation, FileEntry, Flow, Identity, InstanceStanding,
    Invitation, Invited, Made, Message, OwnInstance, Pairing, Peer, PeerStatus, Quota, Relay, Route, Rule, SharedItem,
    Standing, Status, StoreChecked, Tree, Unshared,
)
from .sessions import Head, Keys, KnownPeer, MadeInvitation, Sessions

__all__ = [
    "Blocked", "Channel", "Contact", "ContactInstance", "Content", "Event", "Explanation", "FileEntry", "Flow", "Head",
    "Host", "Identity", "InstanceStanding", "Invitation", "Invited", "Keys", "KnownPeer", "LamaError", "Made",
    "MadeInvitation", "Message", "OwnInstance", "Pairing",
    "Peer", "PeerStatus", "Quota", "Relay", "Route", "Rule", "Sessions", "SharedItem", "Standing", "Status", "StoreChecked", "Tree",
    "Unshared",
    "accept_instance", "allowed", "look_at_invitation", "open_instance", "qr_svg", "request_instance",
]
