"""Two instances in one thread, their stores in memory, and a link between them that is a call: what one seals the other opens."""

import dataclasses
import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from lama_instance import lama_ffi

URL = "ws://localhost:1"
"""Where one of them is said to listen."""
FRAMES = 64
"""Frames that go one way before the other side has its turn."""
PATIENCE = 300
"""Nothing takes as long, in seconds."""
FULL = 60_000
"""A frame of so many bytes is a full one."""


def clocks() -> tuple[int, int]:
    return time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000


@dataclasses.dataclass
class Costs:
    """What frames cost at the border, summed up."""

    frames: int = 0
    bytes: int = 0
    out: int = 0
    """Allocations of the library while a frame was asked for..."""
    taken: int = 0
    """...and while one was taken."""
    full: int = 0
    held_out: int = 0
    """The most bytes that Python held at a time for full frames, while they were asked for..."""
    held_taken: int = 0
    """...and while they were taken."""


class Side:
    def __init__(self, email: str):
        keys = lama_ffi.Keys.create(email, "measure", clocks()[1])
        self.person: str = json.loads(keys.identity())["person"]
        self.instance = lama_ffi.Instance.open(keys, None, *clocks())
        self.answers: dict[int, dict[str, Any]] = {}
        self.shared: set[str] = set()
        self.messages = 0
        self.ready = False
        """It may have frames to send."""


class Pair:
    """The two: the first invited the second, who dials. `allocations`: how many the library has made, where it counts them."""

    def __init__(self, allocations: Callable[[], int] | None):
        self.first, self.second = Side("ada@lama.local"), Side("bob@lama.local")
        self.costs = Costs()
        self._allocations = allocations
        self._online, self._up, self._link, self._tickets = True, False, 0, 0
        self.first.instance.listening([URL], *clocks())
        link = self.ask(self.first, type="invite")["link"]
        self.ask(self.second, type="join", link=link)

    def begin(self, side: Side, **command: Any) -> int:
        """Asks one of them, without waiting for the answer; its ticket."""
        self._tickets += 1
        side.instance.command(self._tickets, json.dumps(command), *clocks())
        return self._tickets

    def ask(self, side: Side, **command: Any) -> dict[str, Any]:
        """Asks one of them, and turns until it answers."""
        ticket = self.begin(side, **command)
        self.until(lambda: ticket in side.answers)
        answer = side.answers.pop(ticket)
        if answer["type"] == "failed":
            raise RuntimeError(answer["problem"]["message"])
        reply: dict[str, Any] = answer["reply"]
        return reply

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                raise RuntimeError("the two instances do not come to an end")
            self._turn()

    def part(self) -> None:
        """The link breaks, and nobody is reached."""
        self._online = self._up = False
        for side in (self.first, self.second):
            side.instance.link_down(self._link, "lost", *clocks())

    def meet(self) -> None:
        """The second one dials the first, whatever the backoff."""
        self._online = True
        self.ask(self.second, type="connect", person=self.first.person)

    def _turn(self) -> None:
        for side, other in ((self.first, self.second), (self.second, self.first)):
            due = side.instance.poll_timeout()
            if due is not None and due <= clocks()[0]:
                side.instance.handle_timeout(*clocks())
            while (output := side.instance.poll(*clocks())) is not None:
                self._heed(side, json.loads(output))
            while side.instance.next_ready_link() is not None:
                side.ready = True
            (self._carry if self._allocations is None else self._carry_counted)(side, other)

    def _carry(self, side: Side, other: Side) -> None:
        for _ in range(FRAMES):
            if not self._up or not side.ready or not other.instance.wants_input(self._link):
                return
            frame = side.instance.poll_frame(self._link)
            if frame is None:
                side.ready = False
                return
            other.instance.frame(self._link, frame, *clocks())

    def _carry_counted(self, side: Side, other: Side) -> None:
        """The same, and what it costs."""
        assert self._allocations is not None
        for _ in range(FRAMES):
            if not self._up or not side.ready or not other.instance.wants_input(self._link):
                return
            before, (held, _) = self._allocations(), _forget()
            frame = side.instance.poll_frame(self._link)
            out, most_out = self._allocations() - before, tracemalloc.get_traced_memory()[1] - held
            if frame is None:
                side.ready = False
                return
            before, (held, _) = self._allocations(), _forget()
            other.instance.frame(self._link, frame, *clocks())
            taken, most_taken = self._allocations() - before, tracemalloc.get_traced_memory()[1] - held
            costs = self.costs
            costs.frames, costs.bytes = costs.frames + 1, costs.bytes + len(frame)
            costs.out, costs.taken = costs.out + out, costs.taken + taken
            if len(frame) > FULL:
                costs.full += len(frame)
                costs.held_out, costs.held_taken = costs.held_out + most_out, costs.held_taken + most_taken

    def _heed(self, side: Side, output: dict[str, Any]) -> None:
        match output["type"]:
            case "dial" if side is self.first or not self._online or self._up:
                side.instance.dial_failed(output["dial"], "refused", *clocks())
            case "dial":
                self._link += 1
                self._up = True
                self.first.instance.link_accepted(self._link, "127.0.0.1", *clocks())
                self.second.instance.link_dialled(self._link, output["dial"], None, *clocks())
            case "close":
                self._up = False
                for one in (self.first, self.second):
                    one.instance.link_down(output["link"], "closed", *clocks())
            case "reply" | "failed":
                side.answers[output["ticket"]] = output
            case "event" if output["event"]["type"] == "shared":
                side.shared.add(output["event"]["root"])
            case "event" if output["event"]["type"] == "message":
                side.messages += 1
            case "ended":
                raise RuntimeError(f"an instance has ended: {output['problem']}")


def _forget() -> tuple[int, int]:
    tracemalloc.reset_peak()
    return tracemalloc.get_traced_memory()
