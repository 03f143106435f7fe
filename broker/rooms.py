"""One map that people share: edits in; the map, and what would take each edit back, out. Pure.

Design notes
- An edit is drafted change by change, and taken whole or not at all.
- A deleted item is kept as a tombstone: an edit that comes late still counts when it is restored, and a restored node
  brings the links back that fell with it.
- To undo is an edit like any other: it takes back what nobody else has gone over since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pydantic

from protocol import check, edits
from protocol.errors import AlphaloomError
from protocol.graph import Graph
from protocol.model import Change, Link, Map, Node, Operation

from . import shapes
from .store.writes import LOG_LENGTH, Logged, Stored

UNDO_DEPTH = 100
_NODE, _LINK = pydantic.TypeAdapter(Node), pydantic.TypeAdapter(Link)
_NODE_FIELDS, _LINK_FIELDS = frozenset(edits.fields(Node(""))), frozenset(edits.fields(Link("", "", "")))


@dataclass(frozen=True)
class Tombstone:
    item: Node | Link
    time: float
    revision: int
    """Of the operation that deleted it."""


@dataclass(frozen=True)
class Done:
    """An edit that was taken: to be told, and to be stored."""

    operation: Operation
    before: tuple[Change, ...] = ()
    touched: tuple[Stored, ...] = ()
    again: bool = False
    """It had been done before."""


class Room:
    def __init__(self, id: str, title: str = "", created: float = 0.0):
        self.id, self.title, self.created = id, title, created
        self.map = Map()
        self.deleted: dict[tuple[str, str], Tombstone] = {}
        """By kind and id."""
        self.log: deque[Logged] = deque(maxlen=LOG_LENGTH)
        self._people: deque[Logged] = deque()
        """What people did, as far back: live pictures must not push it out."""
        self._known: dict[str, Operation] = {}
        self._undo: dict[str, list[Logged]] = {}
        self._redo: dict[str, list[Logged]] = {}

    def load(self, revision: int, items: Iterable[Stored], log: Iterable[Logged]) -> None:
        """Take up where it was left."""
        nodes, links = {}, {}
        for stored in items:
            item = stored.item
            if stored.deleted:
                self.deleted[edits.kind_of(item), item.id] = Tombstone(item, stored.deleted, stored.deleted_in)
            elif isinstance(item, Node):
                nodes[item.id] = item
            else:
                links[item.id] = item
        self.map = Map(nodes, links, revision)
        for logged in log:
            self._remember(logged)

    # -- what people do --

    def edit(self, person: str, id: str, changes: Sequence[Change], now: float) -> Done:
        """Raises AlphaloomError that says which change cannot be; then nothing has been changed."""
        if len(changes) > check.MAX_CHANGES:
            raise AlphaloomError(
                "edit_too_large",
                f"An edit has {len(changes)} changes; the most is {check.MAX_CHANGES}: split it.",
                edit=id[:80],
            )
        return self._do(Operation(0, id, tuple(changes), person, now))

    def undo(self, person: str, id: str, now: float) -> Done:
        """Raises AlphaloomError `nothing_to_undo`."""
        return self._take_back(self._undo, person, id, now, "undo")

    def redo(self, person: str, id: str, now: float) -> Done:
        """Raises AlphaloomError `nothing_to_redo`."""
        return self._take_back(self._redo, person, id, now, "redo")

    def missed(self, revision: int, operation: str) -> tuple[Operation, ...] | None:
        """The operations since a revision that a client has seen; None where that cannot be said.

        `operation` is that revision's id: after a restored backup another operation may have its number.
        """
        if revision == self.map.revision:
            return () if operation == self.last_operation else None
        since = revision - self.map.revision + len(self.log)  # revisions in the log have no gaps
        if not 0 < since < len(self.log) or self.log[since - 1].operation.id != operation:
            return None
        return tuple(self.log[n].operation for n in range(since, len(self.log)))

    @property
    def last_operation(self) -> str:
        return self.log[-1].operation.id if self.log else ""

    def purge(self, node: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Forget a deleted node and the links that fell with it; the ids of nodes, and of links.

        Raises AlphaloomError `not_deleted`.
        """
        if ("node", node) not in self.deleted:
            raise AlphaloomError("not_deleted", f"No deleted node is called {node[:80]!r}; delete it first.", node=node[:80])
        fallen = [t.item for t in self.deleted.values() if isinstance(t.item, Link)]
        links = tuple(link.id for link in fallen if node in (link.parent, link.child))
        for key in (("node", node), *(("link", id) for id in links)):
            del self.deleted[key]
        return (node,), links

    # -- how --

    def _do(self, asked: Operation) -> Done:
        check.identifier(asked.id)
        if known := self._again(asked.id, asked.person):
            return known
        draft = _Draft(self.map, self.deleted, asked.time)
        for change in asked.changes:
            draft.take(change)
        operation = replace(asked, revision=self.map.revision + 1, changes=tuple(draft.changes))
        before = tuple(reversed(draft.before))
        self.map = Map(draft.nodes, draft.links, operation.revision)
        self.deleted = draft.deleted
        self._remember(Logged(operation, before))
        return Done(operation, before, tuple(draft.touched.values()))

    def _again(self, id: str, person: str) -> Done | None:
        """What was done already and is sent again, after a lost connection, say."""
        known = self._known.get(id)
        if known is not None and known.person != person:
            raise AlphaloomError("edit_exists", f"Another's edit is called {id[:80]!r}; choose a new id.", edit=id[:80])
        return Done(known, again=True) if known else None

    def _remember(self, logged: Logged) -> None:
        operation = logged.operation
        self.log.append(logged)
        if not operation.person:
            return
        self._people.append(logged)
        self._known[operation.id] = operation
        if logged.before:
            undo, redo = (stacks.setdefault(operation.person, []) for stacks in (self._undo, self._redo))
            if operation.undoes:
                _drop(undo, operation.undoes)
                redo.append(logged)
            elif operation.redoes:
                _drop(redo, operation.redoes)
                undo.append(logged)
            else:
                undo.append(logged)
                redo.clear()
            del undo[:-UNDO_DEPTH], redo[:-UNDO_DEPTH]
        if len(self._people) > LOG_LENGTH:
            forgotten = self._people.popleft().operation
            del self._known[forgotten.id]
            self._forget(forgotten)

    def _forget(self, operation: Operation) -> None:
        """Who has done nothing since needs no stacks."""
        for stacks in (self._undo, self._redo):
            stack = stacks.get(operation.person)
            if stack is not None and (not stack or stack[-1].operation.revision <= operation.revision):
                del stacks[operation.person]

    def _take_back(self, stacks: dict[str, list[Logged]], person: str, id: str, now: float, verb: str) -> Done:
        if known := self._again(id, person):
            return known
        stack = stacks.get(person, [])
        while stack:
            logged = stack[-1]
            changes = self._still_mine(logged)
            operation = Operation(0, id, changes, person, now)
            revision = logged.operation.revision
            try:
                if changes:
                    undoes, redoes = (revision, 0) if verb == "undo" else (0, revision)
                    return self._do(replace(operation, undoes=undoes, redoes=redoes))
            except AlphaloomError as error:
                if error.code in ("bad_id", "map_full"):
                    raise
            stack.pop()  # others have gone over it: the one before, then
        raise AlphaloomError(f"nothing_to_{verb}", f"There is nothing of yours to {verb}, or others have changed it since.")

    def _still_mine(self, logged: Logged) -> tuple[Change, ...]:
        """What takes it back, without what somebody has gone over since."""
        mine: dict[tuple[str, str], dict[str, Any]] = {}
        for change in logged.operation.changes:
            if change.verb == "update":
                mine.setdefault((change.kind, change.id), {}).update(change.fields)
        theirs = self._touched_by_others(logged.operation)
        left = []
        for change in logged.before:
            item = self._item(change.kind, change.id)
            if change.verb == "update" and item is not None:
                now, set_to = edits.fields(item), mine.get((change.kind, change.id), {})
                kept = {k: v for k, v in change.fields.items() if now[k] == set_to.get(k)}
                if kept:
                    left.append(replace(change, fields=kept))
            elif (change.verb == "restore" and not self._is_there(change)) or (
                change.verb == "delete" and self._is_there(change) and (change.kind, change.id) not in theirs
            ):
                left.append(change)
        return tuple(left)

    def _touched_by_others(self, operation: Operation) -> set[tuple[str, str]]:
        """The items that other people have changed since, and the nodes that they have linked."""
        found: set[tuple[str, str]] = set()
        for later in reversed(self._people):
            if later.operation.revision <= operation.revision:
                break
            if later.operation.person == operation.person:
                continue
            for change in later.operation.changes:
                found.add((change.kind, change.id))
                if change.kind == "link" and isinstance(link := self._item("link", change.id), Link):
                    found |= {("node", link.parent), ("node", link.child)}
        return found

    def _is_there(self, change: Change) -> bool:
        return change.id in (self.map.nodes if change.kind == "node" else self.map.links)

    def _item(self, kind: str, id: str) -> Any:
        items: dict[str, Any] = self.map.nodes if kind == "node" else self.map.links
        tombstone = self.deleted.get((kind, id))
        return items.get(id) or (tombstone and tombstone.item)


def _drop(stack: list[Logged], revision: int) -> None:
    stack[:] = [logged for logged in stack if logged.operation.revision != revision]


class _Draft:
    """A map on which changes are tried."""

    def __init__(self, map: Map, deleted: dict[tuple[str, str], Tombstone], now: float):
        self.nodes, self.links = dict(map.nodes), dict(map.links)
        self.deleted = dict(deleted)
        self.revision, self.now = map.revision + 1, now
        self.changes: list[Change] = []
        self.before: list[Change] = []
        self.touched: dict[tuple[str, str], Stored] = {}

    @cached_property
    def _graph(self) -> Graph:
        return Graph(self.links.values())

    @cached_property
    def _fallen(self) -> dict[tuple[str, int], list[Link]]:
        """The links that a node took along, by the node and the revision."""
        found: dict[tuple[str, int], list[Link]] = {}
        for tombstone in self.deleted.values():
            if isinstance(tombstone.item, Link):
                for end in (tombstone.item.parent, tombstone.item.child):
                    found.setdefault((end, tombstone.revision), []).append(tombstone.item)
        return found

    def take(self, change: Change) -> None:
        check.identifier(change.id)
        if change.kind not in ("node", "link"):
            raise AlphaloomError("bad_value", f"No item is of kind {change.kind!r}. Use 'node' or 'link'.", field="kind")
        does: dict[str, Callable[[Change], None]] = {
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
            "restore": self._restore,
        }
        if change.verb not in does:
            raise AlphaloomError("bad_value", f"No change is a {change.verb!r}. Use {', '.join(does)}.", field="verb")
        fields = {name: value for name, value in change.fields.items() if name != "order"}
        does[change.verb](replace(change, fields=fields))

    def _create(self, change: Change) -> None:
        if change.id in self._items(change.kind):
            return self._update(change)
        if (change.kind, change.id) in self.deleted:
            self._restore(change)
            return self._update(change) if change.fields else None
        item = _build(change.kind, change.id, change.fields)
        if isinstance(item, Link):
            item = replace(item, order=self.revision * check.MAX_CHANGES + len(self.changes))
        self._check(item)
        self._put(item)
        self.changes.append(edits.create(item))
        self.before.append(Change("delete", change.kind, change.id))
        return None

    def _update(self, change: Change) -> None:
        tombstone = self.deleted.get((change.kind, change.id))
        old = tombstone.item if tombstone else self._items(change.kind).get(change.id)
        if old is None:
            raise _unknown(change)
        was = edits.fields(old)
        item = _build(change.kind, change.id, was | change.fields)
        if tombstone:
            if isinstance(item, Node):
                check.node(item)
            self.deleted[change.kind, change.id] = replace(tombstone, item=item)
            self.touched[change.kind, change.id] = Stored(item, tombstone.time, tombstone.revision)
        else:
            self._check(item)
            self._put(item)
        now = edits.fields(item)
        self.changes.append(replace(change, verb="update", fields={k: now[k] for k in change.fields}))
        self.before.append(Change("update", change.kind, change.id, {k: was[k] for k in change.fields}))

    def _delete(self, change: Change) -> None:
        if change.id not in self._items(change.kind):
            if (change.kind, change.id) not in self.deleted:
                raise _unknown(change)
            return
        if change.kind == "node":
            for link in self._graph.touching(change.id):
                self._bury("link", link.id)
        self._bury(change.kind, change.id)

    def _bury(self, kind: Any, id: str) -> None:
        item = self._items(kind)[id]
        if isinstance(item, Link):
            self._graph.remove(item)
        del self._items(kind)[id]
        self.deleted[kind, id] = Tombstone(item, self.now, self.revision)
        self.touched[kind, id] = Stored(item, self.now, self.revision)
        self.changes.append(Change("delete", kind, id))
        self.before.append(Change("restore", kind, id))

    def _restore(self, change: Change) -> None:
        tombstone = self.deleted.get((change.kind, change.id))
        if tombstone is None:
            if change.id not in self._items(change.kind):
                raise _unknown(change)
            return
        self._check(tombstone.item)
        self._raise(change.kind, change.id)
        if change.kind == "link":
            return
        for link in self._fallen.get((change.id, tombstone.revision), ()):
            if ("link", link.id) in self.deleted and self._can_be(link):
                self._raise("link", link.id)

    def _raise(self, kind: Any, id: str) -> None:
        item = self.deleted.pop((kind, id)).item
        self._put(item)
        self.changes.append(Change("restore", kind, id, edits.own_fields(item)))
        self.before.append(Change("delete", kind, id))

    def _can_be(self, item: Node | Link) -> bool:
        try:
            self._check(item)
        except AlphaloomError:
            return False
        return True

    def _check(self, item: Node | Link) -> None:
        kind = edits.kind_of(item)
        there, most = self._items(kind), {"node": check.MAX_NODES, "link": check.MAX_LINKS}[kind]
        if item.id not in there and len(there) >= most:
            raise AlphaloomError("map_full", f"The map has {most} {kind}s, the most it takes.", **{kind: item.id})
        if isinstance(item, Node):
            check.node(item)
        else:
            check.link(item, self.nodes, self._graph)

    def _put(self, item: Node | Link) -> None:
        kind = edits.kind_of(item)
        if isinstance(item, Link):
            if item.id in self.links:
                self._graph.remove(self.links[item.id])
            self._graph.put(item)
        self._items(kind)[item.id] = item
        self.touched[kind, item.id] = Stored(item)

    def _items(self, kind: str) -> dict[str, Any]:
        return self.nodes if kind == "node" else self.links


def _build(kind: str, id: str, fields: dict[str, Any]) -> Any:
    unknown = fields.keys() - (_NODE_FIELDS if kind == "node" else _LINK_FIELDS)
    if unknown:
        raise AlphaloomError("unknown_field", f"A {kind} has no field {min(unknown)[:80]!r}.", field=min(unknown)[:80])
    try:
        return (_NODE if kind == "node" else _LINK).validate_python(edits.nested(kind, id, fields))
    except pydantic.ValidationError as problem:
        where, why, got = shapes.first_of(problem)
        message = f"{kind} {id}: {where}: {why}, got {repr(got)[:80]}."
        raise AlphaloomError("bad_value", message, field=where, **{kind: id}) from None


def _unknown(change: Change) -> AlphaloomError:
    return AlphaloomError(
        f"unknown_{change.kind}", f"No {change.kind} {change.id[:80]!r} is on the map, or was.", **{change.kind: change.id[:80]}
    )
