"""Live mode in a real window, and a broker that is killed in the middle of it."""

from collections.abc import Callable

import processes
from map_window import NODES, SESSION, SETTLED, add_node, card, connect, drag
from windows import Window

COUNT = """
seen, shown = [], {session}
def count():
    blobs = [i.get("alphaloom_blob") for i in D.images if i.get("alphaloom") == {node!r}]
    if blobs and (not seen or seen[-1] != blobs[0]):
        seen.append(blobs[0])
    return 0.02
bpy.app.timers.register(count)
"""

RENDER = """
C.preferences.view.render_display_type = "NONE"
C.scene.render.engine, C.scene.cycles.samples = "CYCLES", 64
C.scene.render.resolution_percentage = 40
with view():
    bpy.ops.render.render("INVOKE_DEFAULT")
"""


def test_blender_goes_on_when_the_broker_is_killed_in_live_mode(
    programs, tmp_path, stream_name: str, open_window: Callable[..., Window]
) -> None:
    programs.synth(stream_name, "--state", "drifting")
    broker = programs.broker(tmp_path / "data", "--eeg", stream_name)
    programs.edge(broker)
    window = open_window()
    connect(window, broker)
    node = add_node(window, "blue ocean waves")
    window.do(COUNT.format(session=SESSION, node=node))
    window.click(*window.field("alphaloom.live", across=0.7))
    window.until(f"{NODES}['{node}'].live and len(seen) >= 5")
    window.shot("1-live")

    window.do(RENDER)
    window.until("not bpy.app.is_job_running('RENDER')", 120)
    shown = window.value("len(seen)")
    window.until(f"len(seen) >= {shown} + 2")

    programs.kill("broker")
    window.until(f"{SESSION}.connection.state == 'connecting' and {SESSION}.connection.problem")
    drag(window, node, (-60, 0), (-140, 0))
    window.until(f"{NODES}['{node}'].x < -0.2 and len({SESSION}.connection.outbox)")
    moved = window.value(f"{NODES}['{node}'].x")
    window.shot("2-no-broker")

    again = programs.broker(tmp_path / "data", "--eeg", stream_name, name="again", port=int(broker.rsplit(":", 1)[1]))
    window.until(f"{SESSION}.connection.state == 'online' and {SETTLED}")
    shown = window.value("len(seen)")
    window.until(f"len(seen) >= {shown} + 3", 120)
    kept = processes.get(again.replace("ws:", "http:") + "/v1/rooms/main/map")
    assert kept["nodes"][node]["x"] == moved and kept["nodes"][node]["live"]
    assert abs(window.value(f"{card(node)}.location.x") / 2 - moved) < 1e-3
    window.shot("3-back")
