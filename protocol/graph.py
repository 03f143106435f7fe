"""Links by their ends, for whoever adds and removes many.

To know whether a link would close a circle, the nodes are kept in an order in which each comes before its descendants. Most
links agree with it, and nothing has to be searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .model import Link


class Graph:
    def __init__(self, links: Iterable[Link] = ()):
        self._into: dict[str, dict[str, Link]] = {}
        self._out: dict[str, dict[str, Link]] = {}
        self._order: dict[str, int] | None = None
        """None until somebody asks."""
        for link in links:
            self.put(link)

    def put(self, link: Link) -> None:
        """Add a link that is not in it, and closes no circle."""
        if self._order is not None:
            self._reorder(self._order, link.parent, link.child)
        self._into.setdefault(link.child, {})[link.id] = link
        self._out.setdefault(link.parent, {})[link.id] = link

    def remove(self, link: Link) -> None:
        self._into[link.child].pop(link.id, None)
        self._out[link.parent].pop(link.id, None)

    def into(self, child: str) -> Iterable[Link]:
        return self._into.get(child, {}).values()

    def touching(self, node: str) -> list[Link]:
        """All links from or to a node."""
        return [*self._into.get(node, {}).values(), *self._out.get(node, {}).values()]

    def between(self, parent: str, child: str) -> list[Link]:
        """All links from a parent to a child."""
        into, out = self._into.get(child, {}), self._out.get(parent, {})
        if len(into) < len(out):
            return [link for link in into.values() if link.parent == parent]
        return [link for link in out.values() if link.child == child]

    def reaches(self, start: str, goal: str, without: str = "") -> bool:
        """Whether `goal` is `start` or a descendant of it, also if the link `without` is left out."""
        if start == goal:
            return True
        if not self._out.get(start) or not self._into.get(goal):
            return False  # as it is with what is new: no order is needed
        order = self._ordered()
        if order[start] > order[goal]:
            return False
        return goal in self._reached(start, self._below(without), lambda at: order[at] <= order[goal])

    # -- order --

    def _ordered(self) -> dict[str, int]:
        """Each node that has links, before all of its descendants."""
        if self._order is None:
            missing = {child: len(links) for child, links in self._into.items()}
            row = [node for node in self._out if not missing.get(node)]
            for node in row:
                for link in self._out.get(node, {}).values():
                    missing[link.child] -= 1
                    if not missing[link.child]:
                        row.append(link.child)
            self._order = {node: place for place, node in enumerate(dict.fromkeys((*row, *self._into, *self._out)))}
        return self._order

    def _reorder(self, order: dict[str, int], parent: str, child: str) -> None:
        """Before a link is added: only what lies between its ends changes places (Pearce and Kelly, 2006)."""
        order.setdefault(parent, -len(order) - 1)  # what is new is before all, or after all
        order.setdefault(child, len(order))
        if order[parent] < order[child]:
            return
        low, high = order[child], order[parent]
        after = self._reached(child, self._below(), lambda at: order[at] <= high)
        before = self._reached(parent, self._above, lambda at: order[at] >= low)
        nodes = [*sorted(before, key=order.__getitem__), *sorted(after, key=order.__getitem__)]
        order.update(zip(nodes, sorted(order[node] for node in nodes), strict=True))

    def _below(self, without: str = "") -> Callable[[str], list[str]]:
        return lambda at: [link.child for link in self._out.get(at, {}).values() if link.id != without]

    def _above(self, at: str) -> list[str]:
        return [link.parent for link in self._into.get(at, {}).values()]

    @staticmethod
    def _reached(start: str, next: Callable[[str], list[str]], wanted: Callable[[str], bool]) -> set[str]:
        """`start`, and what is reached from it by what is wanted."""
        seen = {start}
        todo = [start]
        while todo:
            for node in next(todo.pop()):
                if node not in seen and wanted(node):
                    seen.add(node)
                    todo.append(node)
        return seen
