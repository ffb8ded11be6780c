"""A whole LAMA instance for Python: `open_instance`, and a `Host` on asyncio. See docs/guides/python.md."""

from .host import Host, LamaError, allowed, open_instance
from .lama_ffi import look_at_invitation, qr_svg
from .records import Contact, Invited, Made, Message, SharedItem

__all__ = [
    "Contact", "Host", "Invited", "LamaError", "Made", "Message", "SharedItem", "allowed", "look_at_invitation",
    "open_instance", "qr_svg",
]
