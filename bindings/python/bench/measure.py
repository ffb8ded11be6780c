"""The side of `cargo xtask bench bindings` in Python: `python measure.py BYTES OBJECTS MESSAGES` prints its figures as one line
of JSON. What it does is what the native side does (`bindings/measure/src/main.rs`), step by step."""

import json
import sys
import time
import tracemalloc

from lama_instance import lama_ffi
from pair import Costs, Pair

PIECE = 1 << 20
"""How much of a file is taken and given at once, in bytes."""
OBJECT = 200
"""Bytes of each small object."""
RECORDS = 256
"""Records that are sealed and opened alone: 16 MiB."""

Figures = dict[str, float]


def rate(amount: int, begun: float) -> float:
    """So many of it in a second, since then."""
    return amount / (time.perf_counter() - begun)


def seal(figures: Figures) -> None:
    """Sealing and opening with nothing around them."""
    records = lama_ffi.Records(RECORDS)
    begun = time.perf_counter()
    figures["seal"] = rate(records.seal(), begun)
    begun = time.perf_counter()
    figures["open"] = rate(records.open(), begun)


def blob(pair: Pair, size: int, figures: Figures) -> None:
    """One file: into the store, to the other one, and out of its store."""
    one, other = pair.first.instance, pair.second.instance
    data = (bytes(at * 7 % 251 for at in range(251)) * (size // 251 + 1))[:size]
    begun = time.perf_counter()
    number = one.begin_blob()
    for start in range(0, size, PIECE):
        one.push_blob(number, data[start:start + PIECE])
    content = json.loads(one.finish_blob(number))
    figures["store"] = rate(size, begun)
    made = json.loads(one.make_file("blob", content["blob"], size, False))
    cross(pair, made["root"], "blob", size, figures)
    begun = time.perf_counter()
    read = [other.read(content["blob"], start, PIECE) for start in range(0, size, PIECE)]
    figures["read"] = rate(size, begun)
    if b"".join(read) != data:
        raise RuntimeError("the file did not come across as it was")


def small(pair: Pair, objects: int, figures: Figures) -> None:
    """A folder of so many small files: as many objects, and few more."""
    one, other, files = pair.first.instance, pair.second.instance, []
    begun = time.perf_counter()
    for at in range(objects):
        number = one.begin_blob()
        one.push_blob(number, at.to_bytes(8, "little").ljust(OBJECT, b"Z"))
        files.append({"path": path(at), **json.loads(one.finish_blob(number))})
    figures["made"] = rate(objects, begun)
    root = json.loads(one.make_folder("small", json.dumps(files)))["root"]
    cross(pair, root, "objects", objects, figures)
    tree = json.loads(other.tree(root))["files"]
    for file in tree:
        content = other.read(file["blob"], 0, file["size"])
        if len(content) != OBJECT or path(int.from_bytes(content[:8], "little")) != file["path"]:
            raise RuntimeError(f"the file {file['path']} did not come across as it was")
    if len(tree) != objects:
        raise RuntimeError(f"{len(tree)} of {objects} files came across")


def path(at: int) -> str:
    """256 of them in a folder: more do not fit into one object."""
    return f"{at >> 8}/{at & 255}"


def cross(pair: Pair, root: str, part: str, amount: int, figures: Figures) -> None:
    """What was shared while they were apart goes across, from the dial on."""
    pair.part()
    pair.ask(pair.first, type="share", root=root, **{"with": [pair.second.person]})
    pair.costs = Costs()
    begun = time.perf_counter()
    pair.meet()
    pair.until(lambda: root in pair.second.shared)
    figures[part] = rate(amount, begun)
    costs = pair.costs
    if costs.frames:
        figures[f"{part}.frames"], figures[f"{part}.frame_bytes"] = costs.frames, costs.bytes / costs.frames
        figures[f"{part}.out"], figures[f"{part}.in"] = costs.out / costs.frames, costs.taken / costs.frames
    if costs.full:
        figures[f"{part}.held_out"] = costs.held_out / costs.full
        figures[f"{part}.held_in"] = costs.held_taken / costs.full


def talk(pair: Pair, messages: int, figures: Figures) -> None:
    """Messages, each written by a command and told by an event."""
    begun = time.perf_counter()
    for at in range(messages):
        pair.begin(pair.first, type="send", to=pair.second.person, text=f"message {at}")
    pair.until(lambda: pair.second.messages >= messages)
    figures["messages"] = rate(messages, begun)


def main() -> None:
    size, objects, messages = map(int, sys.argv[1:])
    figures: Figures = {}
    allocations = getattr(lama_ffi, "allocations", None)
    if allocations is not None:
        seal(figures)
        tracemalloc.start()
    pair = Pair(allocations)
    blob(pair, size, figures)
    small(pair, objects, figures)
    talk(pair, messages, figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
