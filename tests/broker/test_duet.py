import numpy as np
from eeg import frame

from broker.duet import Duet
from protocol.model import Frame
from signals.engine import Engine
from signals.stream import StreamFormat

RATE = 256.0


def play(duet: Duet, hz: tuple[float, float], seconds: float = 12.0) -> Frame:
    """Two performers with an alpha each; the first one's last frame."""
    engines = [Engine(StreamFormat(name, RATE, ("AF7", "AF8"))) for name in ("one", "two")]
    for number, engine in enumerate(engines, 1):
        duet.join(number, engine)
    rng = np.random.default_rng(0)
    last = frame(0.0)
    for start in np.arange(0, seconds, 0.125):
        times = 100 + start + np.arange(32) / RATE
        for engine, rhythm in zip(engines, hz, strict=True):
            values = 20 * np.sin(2 * np.pi * rhythm * times)[:, None] + rng.normal(0, 3, (32, 2))
            found = engine.push(times, values, epoch=0.0)
            if engine is engines[0] and found:
                last = duet.add(found[-1])
    return last


def test_two_who_keep_step_are_in_synchrony_and_two_who_do_not_are_not() -> None:
    together, apart = (play(Duet(), hz).features["synchrony"] for hz in ((10.0, 10.0), (9.0, 11.5)))
    assert together.value > 0.9 and together.z is not None and together.z > 3
    assert apart.z is not None and apart.z < 1


def test_who_plays_alone_or_has_gone_silent_is_not_in_synchrony() -> None:
    duet = Duet()
    assert duet.add(frame(1.0, alpha=1.0)) == frame(1.0, alpha=1.0)
    heard = play(duet, (10.0, 10.0))
    late = frame(heard.time + 60, alpha=1.0)
    assert duet.add(late) == late
    silent = frame(heard.time)
    assert duet.add(silent) == silent
