"""What panels and operators share: where they are, when they can be used, and texts of any length."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import bpy

from ..core.shared import errors
from ..session import session
from ..translations import say, tip


class Sidebar:
    """Where panels are: in the sidebar of the 3D view, in our tab."""

    bl_category = "Alphaloom"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"


class CardSidebar(Sidebar):
    """Panels that are there while a card is active."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return active_card(context) is not None


class Online:
    """Operators that need the broker."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.connection.state == "online":
            return True
        cls.poll_message_set(tip("Connect to a broker first"))
        return False


def reported(execute: Callable[[Any, bpy.types.Context], set[str]]) -> Callable[[Any, bpy.types.Context], set[str]]:
    """An operator's `execute` whose AlphaloomErrors are reported."""

    @functools.wraps(execute)
    def run(self: bpy.types.Operator, context: bpy.types.Context) -> set[str]:
        try:
            return execute(self, context)
        except errors.AlphaloomError as error:
            self.report({"ERROR"}, error.message)
            return {"CANCELLED"}

    return run


def active_card(context: bpy.types.Context) -> bpy.types.Object | None:
    item = context.active_object
    return item if item is not None and item.alphaloom.kind == "card" else None


def card_is_selected(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    if any(item.alphaloom.kind == "card" for item in context.selected_objects):
        return True
    cls.poll_message_set(tip("Select a card first"))
    return False


def paragraph(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str) -> None:
    """A text of any length, translated and broken to the sidebar's width."""
    most = max(16, int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 6)
    column = layout.column(align=True)
    row = ""
    for word in say(text).split():
        if row and len(row) + len(word) >= most:
            column.label(text=row, icon=icon, translate=False)
            row, icon = "", "BLANK1"
        row = f"{row} {word}".strip()
    column.label(text=row, icon=icon, translate=False)
