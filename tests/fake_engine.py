"""An engine whose steps are the test's: what an edge does with one can be seen at every moment of a job."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge import client
from edge.orders import Cancelled, Order, Picture
from protocol.errors import AlphaloomError
from protocol.manifest import Kind
from protocol.model import ResolvedRequest


@dataclass(frozen=True)
class FakeReady:
    order: Order
    shape: str


class FakeEngine:
    """Does a step whenever the test lets it, and stops between two of them as the real one does.

    It stands for the engines, too: there is no other. Orders of one negative prompt can be made together.
    """

    fingerprint = "ab"

    def __init__(self) -> None:
        self.step = threading.Semaphore(0)
        self.began: list[ResolvedRequest] = []
        self.batches: list[list[str]] = []
        """The prompts of each."""
        self.sources: list[bytes | None] = []
        self.pulled: list[tuple[str, Kind]] = []
        self.pull: Callable[[str], None] = lambda id: None
        self.unprepared: str = ""
        """What cannot be prepared."""
        self.asked_for: list[str] = []
        """The models, each time that one was needed."""

    def let(self, steps: int) -> None:
        self.step.release(steps)

    def of(self, request: ResolvedRequest) -> "FakeEngine":
        self.asked_for.append(request.model)
        return self

    def most(self, ready: FakeReady) -> int:
        return 3

    def prepare(self, order: Order) -> FakeReady:
        if order.request.phrases[0].text == self.unprepared:
            raise AlphaloomError("bad_prompt", "It cannot be read.")
        return FakeReady(order, order.request.negative)

    def make(self, batch: Sequence[FakeReady]) -> list[Picture | AlphaloomError]:
        orders = [one.order for one in batch]
        self.began += [order.request for order in orders]
        self.sources += [order.source for order in orders]
        self.batches.append([order.request.phrases[0].text for order in orders])
        steps = orders[0].request.steps or 1
        for step in range(steps):
            self.step.acquire()
            for order in orders:
                order.on_step(step + 1, steps)
                if order.on_preview:
                    order.on_preview(b"jpeg")
            if all(order.cancelled() for order in orders):
                raise Cancelled
        black = np.zeros((1, 1, 3), np.uint8)
        return [Picture(black, order.request, len(orders)) for order in orders]

    def encode(self, picture: Picture, order: Order) -> bytes:
        return b"picture"

    async def ensure(self, id: str, progress: Callable[[int, int], None], kind: Kind) -> None:
        """As a shelf does it."""
        self.pulled.append((id, kind))
        progress(50, 200)

    def offer(self) -> client.Offer:
        return client.Offer("stub", {"stub": self.fingerprint}, ("txt2img", "img2img"), 512, 2, "cpu")
