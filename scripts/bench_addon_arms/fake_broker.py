"""A broker's end that is no broker, and says so in its line about EEG: a map, and on it pictures and EEG as often as is asked.

`fake_broker.py NODES`: its first answer is its address. A question with `seconds` is for so many `pictures` and `frames` a
second, in a `format`, on so many `cards` in turn; the answer, when they are sent, is the number of pictures. One with a
`folder` is for so many pictures as files; the answer is their names.
"""

from __future__ import annotations

import asyncio
import functools
import io
import sys
import time
from pathlib import Path

import bench_turns
import numpy as np
from PIL import Image
from websockets.asyncio.server import ServerConnection, serve

from protocol import VERSION, wire
from protocol import messages as m
from protocol.model import Feature, Frame, Link, Map, Node

SIDE = 512
FEATURES = ("calm", "focus", "alpha", "beta", "theta")


async def main(count: int) -> None:
    peers: list[ServerConnection] = []

    async def on_connection(peer: ServerConnection) -> None:
        await peer.recv()
        await peer.send(wire.encode(m.Hello(VERSION, "editor", client="bench")))
        await peer.send(wire.encode(m.Snapshot(a_map(count), (), (), 1, "a fake broker, for the benchmark")))
        peers.append(peer)
        await peer.wait_closed()

    async with serve(on_connection, "127.0.0.1", 0, max_size=None, compression=None) as server:
        bench_turns.answer(f"127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
        async for question in bench_turns.questions_async():
            encoded = [picture(number, question["format"]) for number in range(question["cards"])]
            if "folder" in question:
                bench_turns.answer(files(question["folder"], encoded))
            else:
                bench_turns.answer(await send(peers[-1], question, encoded))


async def send(peer: ServerConnection, question: dict, encoded: list[bytes]) -> int:
    start, pictures, frames = time.monotonic(), 0, 0
    while (now := time.monotonic() - start) < question["seconds"]:
        if pictures < now * question["pictures"]:
            card = pictures % len(encoded)
            media, job = f"image/{question['format'].lower()}", f"job{pictures}"
            blob = f"{question['format']} {pictures} of {start}"
            await peer.send(wire.encode(m.Picture(node_id(card), job, blob, media, encoded[card])))
            pictures += 1
        if frames < now * question["frames"]:
            features = {name: Feature(0.5, np.sin(now + k), 1.0, now) for k, name in enumerate(FEATURES)}
            await peer.send(wire.encode(m.Features(Frame(time.time(), features, "bench"))))
            frames += 1
        await asyncio.sleep(0.002)
    return pictures


def files(folder: str, encoded: list[bytes]) -> list[str]:
    names = [Path(folder) / f"{number}" for number in range(len(encoded))]
    for name, data in zip(names, encoded, strict=True):
        name.write_bytes(data)
    return [str(name) for name in names]


def node_id(number: int) -> str:
    return f"{number:032x}"


def a_map(count: int) -> Map:
    """A tree, in rows."""
    nodes = [Node(node_id(k), f"prompt number {k} of many", x=k % 40 * 1.35, y=-(k // 40) * 1.4) for k in range(count)]
    links = [Link(f"{count + k:032x}", node_id(k // 2), node_id(k)) for k in range(1, count)]
    return Map({node.id: node for node in nodes}, {link.id: link for link in links}, 1)


@functools.cache
def picture(number: int, form: str) -> bytes:
    """Soft shapes with some grain, as a model's pictures have."""
    random = np.random.default_rng(number)
    soft = Image.fromarray(random.integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    grain = random.normal(0, 4, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)).save(file, form)
    return file.getvalue()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
