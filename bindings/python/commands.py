"""Everything that a program can ask of its instance, typed: one method for each command of `bindings/plain`."""

from typing import Any

from .records import (
    Blocked, Channel, Contact, Explanation, Invitation, Invited, Message, OwnInstance, Pairing, Quota, Relay, Route,
    SharedItem, Status, StoreChecked, Unshared,
)


class Commands:
    """Each waits for its answer, and raises `LamaError`."""

    async def call(self, type: str, **fields: Any) -> dict[str, Any]:
        """Any command by its name, with its fields as in JavaScript; its reply."""
        raise NotImplementedError

    async def invite(self, *, confirm: bool = False, lifetime: int | None = None, label: str = "",
                     base: str | None = None) -> Invited:
        """An invitation, good once, for so many seconds (a quarter of an hour). `confirm`: whoever joins has to be approved.
        `base`: a page's `https:` address. The instance must listen, or stand behind a relay."""
        return Invited.read(await self.call("invite", confirm=confirm, lifetime=lifetime, label=label, base=base))

    async def invitations(self) -> list[Invitation]:
        return [Invitation.read(one) for one in (await self.call("invitations"))["invitations"]]

    async def revoke_invitation(self, locator: str) -> None:
        await self.call("revokeInvitation", locator=locator)

    async def join(self, link: str, *, lan: bool = False, opened: bool = False) -> Contact:
        """Takes an invitation. `lan`: the local network may be dialled; `opened`: another program opened the link."""
        return Contact.read((await self.call("join", link=link, lan=lan, opened=opened))["contact"])

    async def pending(self) -> list[Pairing]:
        return [Pairing.read(one) for one in (await self.call("pending"))["pairings"]]

    async def approve(self, person: str) -> Contact:
        return Contact.read((await self.call("approve", person=person))["contact"])

    async def deny(self, person: str) -> None:
        await self.call("deny", person=person)

    async def contacts(self) -> list[Contact]:
        return [Contact.read(one) for one in (await self.call("contacts"))["contacts"]]

    async def remove_contact(self, person: str) -> None:
        await self.call("removeContact", person=person)

    async def send(self, to: str, text: str, *, channel: str | None = None) -> str:
        """Writes to a contact; the id of the message, once it is durable here."""
        return str((await self.call("send", to=to, text=text, channel=channel))["id"])

    async def channels(self) -> list[Channel]:
        return [Channel.read(one) for one in (await self.call("channels"))["channels"]]

    async def log(self, person: str | None = None, limit: int = 100, *, channel: str | None = None,
                  before: str | None = None, after: str | None = None, unread: bool = False) -> list[Message]:
        """Messages with a contact, or of a channel, oldest first: the last ones, or those before, after, or unread."""
        told = await self.call("log", **{"with": person}, channel=channel, before=before, after=after, unread=unread,
                               limit=limit)
        return [Message.read(one) for one in told["messages"]]

    async def edit(self, message: str, text: str) -> str:
        return str((await self.call("edit", message=message, text=text))["id"])

    async def delete(self, message: str) -> str:
        return str((await self.call("delete", message=message))["id"])

    async def mark_read(self, channel: str, upto: int) -> None:
        """`upto`: the `arrived` of the channel when it was read."""
        await self.call("markRead", channel=channel, upto=upto)

    async def share(self, root: str, people: list[str], *, note: str | None = None) -> int:
        """Lets contacts see what was stored here; how many objects were left out, since they are not here or not ours."""
        return int((await self.call("share", root=root, **{"with": people}, note=note))["withheld"])

    async def unshare(self, root: str, people: list[str]) -> Unshared:
        """Takes that very version back: nothing more of it is sent, and what a contact has already he may keep."""
        return Unshared.read(await self.call("unshare", root=root, **{"with": people}))

    async def shared(self) -> list[SharedItem]:
        """The newest version of all that is shared by us and with us."""
        return [SharedItem.read(one) for one in (await self.call("shared"))["items"]]

    async def connect(self, person: str) -> None:
        await self.call("connect", person=person)

    async def explain(self, object: str, person: str) -> Explanation:
        return Explanation.read((await self.call("explain", object=object, person=person))["explanation"])

    async def quota(self, person: str) -> Quota:
        return Quota.read((await self.call("quota", person=person))["quota"])

    async def set_quota(self, person: str, *, objects: int | None = None, bytes: int | None = None,
                        bytes_per_hour: int | None = None, days: int | None = None) -> Quota:
        """New limits in the place of all old ones; `None`: the store's own."""
        limits = {"objects": objects, "bytes": bytes, "bytesPerHour": bytes_per_hour, "days": days}
        return Quota.read((await self.call("quota", person=person, set=limits))["quota"])

    async def instances(self) -> list[OwnInstance]:
        return [OwnInstance.read(one) for one in (await self.call("instances"))["instances"]]

    async def offer_instance(self) -> str:
        """For `request_instance` on the new device."""
        return str((await self.call("offerInstance"))["file"])

    async def certify_instance(self, request: str, *, replace: bool = False) -> str:
        """For `accept_instance` on the new device. Needs the person's key."""
        return str((await self.call("certifyInstance", request=request, replace=replace))["file"])

    async def revoke_instance(self, key: str, *, reason: str = "") -> None:
        """For good."""
        await self.call("revokeInstance", key=key, reason=reason)

    async def block(self, person: str) -> None:
        """Nothing is to be had from a person, and nothing goes there: live sessions end at once. He is told nothing."""
        await self.call("block", person=person)

    async def unblock(self, person: str) -> None:
        await self.call("unblock", person=person)

    async def blocked(self) -> list[Blocked]:
        return [Blocked.read(one) for one in (await self.call("blocked"))["people"]]

    async def routes(self) -> list[Route]:
        """All routes to instances of contacts."""
        return [Route.read(one) for one in (await self.call("routes"))["routes"]]

    async def set_route(self, on: bool, *, person: str | None = None, instance: str | None = None,
                        route: str | None = None) -> None:
        """Switches exactly one of them on or off, for good: all routes to a person, to an instance, or one as the list has
        it. What is off is not dialled, and a session along it ends."""
        await self.call("setRoute", on=on, person=person, instance=instance, route=route)

    async def relays(self) -> list[Relay]:
        return [Relay.read(one) for one in (await self.call("relays"))["relays"]]

    async def set_relays(self, addresses: list[str]) -> None:
        """Stands behind these relays, best first, now and whenever it runs; the event `relayRegistered` says when."""
        await self.call("setRelays", relays=addresses)

    async def wake(self) -> None:
        """The network has changed, or this machine was asleep: everybody is tried at once."""
        await self.call("wake")

    async def status(self) -> Status:
        return Status.read((await self.call("status"))["status"])

    async def check_store(self) -> StoreChecked:
        """Walks the whole store, which does nothing else meanwhile."""
        return StoreChecked.read(await self.call("checkStore"))
