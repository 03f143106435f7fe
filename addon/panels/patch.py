"""The patch in the sidebar: which feature moves what, and how far."""

from __future__ import annotations

import urllib.parse

import bpy

from .. import eeg_fields, plot
from ..core.shared import errors, model
from ..session import session
from ..translations import OURS, mark, say, tell, tip
from .sidebar import Online, Sidebar, paragraph


def play(preset: str) -> None:
    """Ask the broker to play a preset; what it says against it is shown above."""

    def then(said: bytes | errors.AlphaloomError) -> None:
        if isinstance(said, errors.AlphaloomError):
            session.mirror.error = said.message

    session.ask("POST", f"/v1/patches/{urllib.parse.quote(preset, safe='')}/play", then)


class ALPHALOOM_OT_play_preset(Online, bpy.types.Operator):
    """Play this patch in place of the present one"""

    bl_idname = "alphaloom.play_preset"
    bl_label = "Play Preset"

    name: bpy.props.StringProperty(options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """The preset's own."""
        found = dict(session.eeg.presets).get(properties.name, "")
        return " ".join(found.split()).rstrip(".")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if session.eeg.patch_name in dict(session.eeg.presets):
            return self.execute(context)
        return context.window_manager.invoke_confirm(
            self, event, title=say("Play Preset"), message=say("Your own patch is replaced"), confirm_text=say("Play")
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        play(self.name)
        return {"FINISHED"}


class ALPHALOOM_MT_presets(bpy.types.Menu):
    bl_idname = "ALPHALOOM_MT_presets"
    bl_label = "Presets"

    def draw(self, context: bpy.types.Context) -> None:
        for name, _ in session.eeg.presets:
            self.layout.operator("alphaloom.play_preset", text=name.title()).name = name


class ALPHALOOM_OT_add_rule(Online, bpy.types.Operator):
    """Let the feature move the target, too"""

    bl_idname = "alphaloom.add_rule"
    bl_label = "Add Rule"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        fields = context.window_manager.alphaloom_eeg
        missing = {
            mark("Name a feature, such as alpha"): not fields.feature.strip(),
            mark("Name a target: guidance, a scale of words such as cold/warm …"): not fields.target.strip(),
            tip("There are {count} rules, the most that a patch has").format(count=eeg_fields.MOST_RULES): (
                len(session.eeg.patch.rules) >= eeg_fields.MOST_RULES
            ),
        }
        for reason, is_missing in missing.items():
            if is_missing:
                cls.poll_message_set(tip(reason))
                return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        fields = context.window_manager.alphaloom_eeg
        target = fields.target.strip()
        amount = float(round(fields.amount) or 1) if target == "seed" else round(fields.amount, 4)
        session.eeg.patch.put(model.Rule(fields.feature.strip(), target, amount, fields.by))
        return {"FINISHED"}


class ALPHALOOM_OT_remove_rule(Online, bpy.types.Operator):
    """Remove this rule from the patch"""

    bl_idname = "alphaloom.remove_rule"
    bl_label = "Remove Rule"

    number: bpy.props.IntProperty(options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not 0 <= self.number < len(session.eeg.patch.rules):
            self.report(
                {"ERROR"}, tell("The patch has no rule {number}: somebody has changed it").format(number=self.number + 1)
            )
            return {"CANCELLED"}
        session.eeg.patch.remove(self.number)
        return {"FINISHED"}


class ALPHALOOM_PT_patch(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_patch"
    bl_label = "Patch"
    bl_translation_context = OURS
    bl_parent_id = "ALPHALOOM_PT_eeg"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return session.mirror.loaded

    def draw(self, context: bpy.types.Context) -> None:
        plot.seen()
        layout, eeg = self.layout, session.eeg
        layout.enabled = session.connection.state != "offline"  # while it is looked for, what is turned waits
        amounts = context.window_manager.alphaloom_amounts
        layout.menu("ALPHALOOM_MT_presets", text=eeg.patch_name.title() or say("Presets"), icon="PRESET")
        several = len(session.mirror.performers) > 1 or any(rule.performer > 1 for rule in eeg.patch.rules)
        for number, rule in enumerate(eeg.patch.rules[: eeg_fields.MOST_RULES]):
            column = layout.column(align=True)
            row = column.row(align=True)
            row.label(text=(f"{rule.performer}: " if several else "") + f"{rule.feature} → {rule.target}", translate=False)
            row.operator("alphaloom.remove_rule", text="", icon="X", emboss=False).number = number
            if rule.target == "seed":
                column.prop(amounts, f"seeds_{number}", slider=True)
            else:
                column.prop(amounts, f"amount_{number}", slider=True)
            if number in eeg.idle:
                paragraph(column, context, say("Idle: {reason}").format(reason=eeg.idle[number]), "INFO")
        if not eeg.patch.rules:
            paragraph(layout, context, "No rule: EEG moves nothing", "INFO")


class ALPHALOOM_PT_new_rule(Sidebar, bpy.types.Panel):
    bl_idname = "ALPHALOOM_PT_new_rule"
    bl_label = "New Rule"
    bl_parent_id = "ALPHALOOM_PT_patch"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, fields = self.layout, context.window_manager.alphaloom_eeg
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column(align=True)
        column.prop(fields, "feature")
        column.prop(fields, "target", placeholder="cold/warm")
        column.prop(fields, "amount")
        if len(session.mirror.performers) > 1:
            column.prop(fields, "by")
        layout.operator("alphaloom.add_rule", icon="ADD")


_CLASSES = (
    ALPHALOOM_OT_play_preset,
    ALPHALOOM_MT_presets,
    ALPHALOOM_OT_add_rule,
    ALPHALOOM_OT_remove_rule,
    ALPHALOOM_PT_patch,
    ALPHALOOM_PT_new_rule,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
