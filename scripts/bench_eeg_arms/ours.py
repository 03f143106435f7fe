"""An arm of the `eeg` benchmark: Alphaloom's own listener. NAME CHANNELS RATE SECONDS [everything]."""

from __future__ import annotations

import sys
from pathlib import Path

from record import Recorder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main(name: str, rate: float, seconds: float, everything: bool) -> None:
    import pylsl  # after signals.lsl, which tells liblsl where to look

    from signals.engine import Options
    from signals.listen import Listener
    from signals.lsl import Query

    recorder = Recorder(rate, seconds, pylsl.local_clock)
    listener = Listener(
        Query.parse(name),
        Options(updates_hz=30, mains_hz=50, only_bands=not everything),
        on_samples=lambda _, times, values: recorder.heard(times, values[:, 0]),
    )
    try:
        while not recorder.done:
            for frame in listener.poll(0.1):
                if alpha := frame.features.get("log_alpha"):
                    recorder.update(alpha.time, 10**alpha.value)
    finally:
        listener.close()
    recorder.finish()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[3]), float(sys.argv[4]), "everything" in sys.argv[5:])
