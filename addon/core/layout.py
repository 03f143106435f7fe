"""Places for the cards of a map, so that they can be read: no two overlap, and parents tend to stand left of their children.

Force-directed, after Fruchterman and Reingold, "Graph drawing by force-directed placement" (Software: Practice and
Experience 21, 1991): all cards push each other away, links pull, and how far a card may go in a step shrinks. It begins with
generations in columns, so there is nothing random in it, and ends on a grid, where each card takes the nearest free cell.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from .arrays import Array, np

WIDTH, HEIGHT = 1.0, 1.27
"""A card's, in card widths."""
CELL = (1.35, 1.4)
"""Of the grid: a card and the air around it."""
STEPS, WARMTH = 50, 1.5
"""Steps, and how many cells a card may go in the first."""
DRAWN_RIGHT, TO_THE_MIDDLE = 8.0, 1.5
"""How strongly a child is drawn to the right of its parent, and everything to the middle."""

Place = tuple[float, float]


def tidy(places: Mapping[str, Place], links: Iterable[tuple[str, str]], others: Iterable[Place] = ()) -> dict[str, Place]:
    """New places for these cards, about where they were. `links` go from parent to child; `others` stay where they are."""
    if not places:
        return {}
    idents = sorted(places)
    number = {ident: n for n, ident in enumerate(idents)}
    pairs = [(number[parent], number[child]) for parent, child in links if parent in number and child in number]
    ends = np.array(sorted(set(pairs)), dtype=int).reshape(-1, 2)
    wanted = _relaxed(_columns(len(idents), ends), ends).astype(float)
    wanted -= wanted.mean(axis=0)
    cells = np.array(_on_grid(wanted, ends, set()))
    middle = np.mean([places[ident] for ident in idents], axis=0)
    moved = np.rint(middle / CELL - cells.mean(axis=0)).astype(int)  # by whole cells: what is tidy stays as it is
    taken = _taken(others)
    if taken:
        cells = np.array(_on_grid(wanted, ends, {(column - moved[0], row - moved[1]) for column, row in taken}))
    return {ident: _place(*cell) for ident, cell in zip(idents, (cells + moved).tolist(), strict=True)}


def _place(column: int, row: int) -> Place:
    return round(column * CELL[0], 4), round(row * CELL[1], 4)


def _columns(count: int, ends: Array) -> Array:
    """Generations side by side, each below its parents as far as there is room; in cells."""
    generation = np.zeros(count, dtype=int)
    for _ in range(count):  # as many as there are generations, and one that finds nothing more
        later = generation.copy()
        np.maximum.at(later, ends[:, 1], np.minimum(generation[ends[:, 0]] + 1, count))
        if np.array_equal(later, generation):
            break
        generation = later
    height = np.zeros(count)
    for each in range(int(generation.max()) + 1):
        members = np.flatnonzero(generation == each)
        if each:
            sums, links = np.zeros(count), np.zeros(count)
            np.add.at(sums, ends[:, 1], height[ends[:, 0]])
            np.add.at(links, ends[:, 1], 1)
            members = members[np.argsort(-(sums / np.maximum(links, 1))[members], kind="stable")]
        height[members] = (len(members) - 1) / 2 - np.arange(len(members))
    height *= min(1.0, math.sqrt(count) / (np.ptp(height) + 1))  # the forces make room where it is needed
    return np.column_stack([generation, height]).astype(np.float32)


def _relaxed(place: Array, ends: Array) -> Array:
    parents, children = ends[:, 0], ends[:, 1]
    for step in range(STEPS):
        place = place - place.mean(axis=0)
        squares = np.einsum("ij,ij->i", place, place)
        nearness = 1 / np.maximum(squares[:, None] + squares - 2 * (place @ place.T), 0.01)
        force = place * nearness.sum(axis=1)[:, None] - nearness @ place - TO_THE_MIDDLE * place
        apart = place[children] - place[parents]
        pull = apart * np.linalg.norm(apart, axis=1)[:, None]
        pull[:, 0] -= DRAWN_RIGHT * np.maximum(1 - apart[:, 0], 0)
        np.add.at(force, children, -pull)
        np.add.at(force, parents, pull)
        far = np.maximum(np.linalg.norm(force, axis=1), 1e-9)
        place = place + force * (np.minimum(far, WARMTH * (1 - step / STEPS)) / far)[:, None]
    return place


def _taken(others: Iterable[Place]) -> set[tuple[int, int]]:
    """Cells in which a card would overlap one of these."""
    found = set()
    for x, y in others:
        across = range(math.floor((x - WIDTH) / CELL[0]) + 1, math.ceil((x + WIDTH) / CELL[0]))
        upright = range(math.floor((y - HEIGHT) / CELL[1]) + 1, math.ceil((y + HEIGHT) / CELL[1]))
        found |= {(column, row) for column in across for row in upright}
    return found


def _on_grid(wanted: Array, ends: Array, taken: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Each in the nearest free cell, from left to right, and right of those of its parents that have one."""
    parents: dict[int, list[int]] = {}
    for parent, child in ends.tolist():
        parents.setdefault(child, []).append(parent)
    cells: dict[int, tuple[int, int]] = {}
    for n in np.lexsort((-wanted[:, 1], wanted[:, 0])).tolist():
        x, y = wanted[n].tolist()
        x = max([x, *(cells[parent][0] + 1 for parent in parents.get(n, ()) if parent in cells)])
        cells[n] = cell = _nearest(x, y, taken)
        taken.add(cell)
    return [cells[n] for n in range(len(wanted))]


def _nearest(x: float, y: float, taken: Collection[tuple[int, int]]) -> tuple[int, int]:
    column, row, reach = round(x), round(y), 0
    while True:
        span = range(-reach, reach + 1)
        ring = [(column + i, row + j) for i in span for j in span if max(abs(i), abs(j)) == reach]
        free = [cell for cell in ring if cell not in taken]
        if free:
            return min(free, key=lambda cell: (math.dist((x, y), cell), cell))
        reach += 1


def scale(extent: Place, visible: Place) -> float:
    """Units to a pixel that show so much in so many pixels, width and height."""
    return max(extent[0] / max(visible[0], 1), extent[1] / max(visible[1], 1))


def distance(scale: float, region: Place, lens: float) -> float:
    """From which a view without perspective has that scale, in a region of that width and height."""
    return scale * max(region) * lens / 72  # twice the sensor's 36 mm are what Blender's own views show
