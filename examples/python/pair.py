"""Two instances on asyncio: Ada invites, Bob joins over a WebSocket, writes, and shares a file."""

import asyncio
import tempfile

from lama_instance import open_instance


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        ada = open_instance(f"{place}/ada", email="ada@example.org")
        bob = open_instance(f"{place}/bob", email="bob@example.org")
        heard: asyncio.Queue[dict] = asyncio.Queue()
        ada.on(heard.put_nowait)

        await ada.listen()
        invited = await ada.invite()  # its link is a secret: whoever has it pairs, once
        contact = await bob.join(invited.link)
        print(f"Bob: {contact.email} is a contact, check code {contact.check_code}")

        await bob.send(contact.person, "hello Ada")
        while (event := await heard.get())["type"] != "message":
            pass
        print(f"Ada: {event['message']['email']} says {event['message']['text']!r}")

        await bob.share_file("notes.txt", b"see you at eight", [contact.person])
        while (await heard.get())["type"] != "shared":
            pass
        for item in await ada.shared():
            content = b"".join([piece async for _, piece in ada.pieces(item.root)])
            print(f"Ada: {item.name} holds {content!r}")

        await bob.shutdown()
        await ada.shutdown()


asyncio.run(main())
