"""`python -m lama join`: the invitation comes from LAMA_INVITATION or standard input, never as an argument."""

import argparse
import json
import os
import sys
import time

import dag_cbor

from . import client, objects
from .identity import LocalIdentity
from .objects import ProtocolError


def type_name(data: bytes) -> str:
    try:
        value = dag_cbor.decode(data)
    except Exception:  # a chunk
        return "chunk"
    return value.get("$type$", "object") if isinstance(value, dict) else "object"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lama", description=__doc__)
    parser.add_argument("command", choices=["join"])
    parser.add_argument("--email", default="python@lama.local")
    parser.add_argument("--name", default="python")
    parser.add_argument("--say", help="a first message in the channel of both")
    parser.add_argument("--lan", action="store_true", help="also dial addresses of the local network")
    parser.add_argument("--timeout", type=float, default=30.0)
    options = parser.parse_args()
    link = os.environ.get("LAMA_INVITATION") or sys.stdin.read()
    try:
        me = LocalIdentity(options.email, options.name, int(time.time()))
        result = client.join(link, me, options.say, options.timeout, options.lan)
    except (ProtocolError, TimeoutError, OSError) as error:
        print(f"lama: {error}", file=sys.stderr)
        return 1
    print(json.dumps({
        "peer": result.peer.identity.fields["person"]["email"],
        "person": objects.base32(result.peer.identity.person_id),
        "me": objects.base32(me.public.person_id),
        "url": result.peer.endpoint["url"],
        "check_code": result.check_code,
        "received": [{"id": objects.cid_text(cid), "type": type_name(data)} for cid, data in result.received],
        "acknowledged": result.acknowledged,
        "shared": result.shared,
        "in_sync": result.in_sync,
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
