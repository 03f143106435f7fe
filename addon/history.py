"""The pictures that the active card's node has had, while a panel shows them, and the way back to one of them."""

from __future__ import annotations

import functools

from .core.past import Past, settings_of
from .core.shared import errors, model
from .session import session

_past = Past()
_wanted = ""
"""The node that a panel shows."""
_under_way: Past | None = None
"""What is asked just now."""
_told: str | None = None
"""The node's picture when panels were last told to draw."""


def look(node: str) -> Past:
    """A panel shows this node: what is known of its past, and what is not is fetched."""
    global _wanted
    _wanted = node
    return _past if _past.node == node else Past(node)


def is_asked() -> bool:
    return _under_way is not None


def more() -> None:
    """Fetch the next older ones, or again what could not be had."""
    if _past.node and not _past.is_whole:
        _ask(older=bool(_past.jobs))


def step(_until: float) -> None:
    """Ask for what a panel wants and does not have."""
    global _past, _wanted, _told
    known = session.mirror.map.nodes.get(_past.node)
    if known is not None and known.picture not in (_past.picture, _told):
        _told = known.picture
        session.news += 1  # the panel, if it is still open, asks for it
    node, _wanted = session.mirror.map.nodes.get(_wanted), ""
    if node is None or session.connection.state != "online" or _under_way is not None:
        return
    if node.id != _past.node:
        _past = Past(node.id, is_whole=True)
    if node.picture != _past.picture:
        _past.picture = node.picture
        _past.is_whole = _past.is_whole and bool(_past.jobs)
        _ask()


def _ask(older: bool = False) -> None:
    global _under_way
    if _under_way is None:
        _under_way = _past
        session.ask("GET", _past.path(session.connection.room, older), functools.partial(_hear, _past, older))


def _hear(past: Past, older: bool, said: bytes | errors.AlphaloomError) -> None:
    global _under_way
    _under_way = None
    try:
        if isinstance(said, errors.AlphaloomError):
            past.problem = said.message
        else:
            past.hear(said, older)
    except ValueError as problem:
        past.problem = str(problem)
    session.news += 1


def go_back(node_id: str, job_id: str, with_settings: bool) -> None:
    """Make a picture of the past the node's own again. Raises AlphaloomError `unknown_node` or `unknown_job`."""
    known = session.mirror.map
    node = known.nodes.get(node_id)
    if node is None:
        raise errors.AlphaloomError("unknown_node", "The node is on the map no more.", node=node_id)
    job = next((job for job in _past.jobs if job.id == job_id and _past.node == node_id), None)
    if job is None:
        raise errors.AlphaloomError("unknown_job", f"The history has no picture {job_id[:12]!r}.", job=job_id)
    fields = {"picture": job.picture} | (settings_of(known, node, job) if with_settings else {})
    session.edit(model.Change("update", "node", node_id, fields))


def _forget() -> None:
    global _past, _wanted, _under_way
    _past, _wanted, _under_way = Past(), "", None


def register() -> None:
    session.chores.append(step)
    session.ended.append(_forget)


def unregister() -> None:
    session.drop(step)
    session.ended.remove(_forget)
    _forget()
