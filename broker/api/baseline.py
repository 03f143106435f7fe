"""A performer's baseline: made while the broker runs, kept, deleted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from protocol.errors import AlphaloomError
from signals.patch_files import RANGES

from ..calibrations import BaselineReport, Seat
from ..shapes import FirstOnly
from . import problems
from .access import Editor, Viewer, answer

router = APIRouter(prefix="/v1/eeg/baseline", tags=["EEG"], responses=problems.declared())

SECONDS = (5.0, 600.0)
"""Of each phase; below half a minute it says little of a person."""
MOST = int(RANGES["performer"][1])

Number = Annotated[int, Query(ge=1, le=MOST, description="1 is the first stream")]


@dataclass(frozen=True)
class Calibrate:
    performer: Annotated[int, Field(ge=1, le=MOST)] = 1
    """1 is the first stream."""
    seconds: Annotated[float, Field(ge=SECONDS[0], le=SECONDS[1])] = 60.0
    """Of each phase."""


async def _seats(request: Request) -> list[Seat]:
    seats: list[Seat] = request.app.state.seats
    return seats


Seats = Annotated[list[Seat], Depends(_seats)]


@router.post("", status_code=202, response_model=BaselineReport, responses=problems.declared(404, 409))
async def begin(asked: Annotated[Calibrate, FirstOnly()], who: Editor, seats: Seats) -> Response:
    """Begin to calibrate a performer: eyes open, eyes closed. What comes of it counts at once, and is kept in the broker's data
    folder for this headset."""
    seat = _of(seats, asked.performer)
    seat.begin(asked.seconds)
    return answer(BaselineReport, seat.report(), 202)


@router.get("", response_model=BaselineReport, responses=problems.declared(404))
async def look(who: Viewer, seats: Seats, performer: Number = 1) -> Response:
    """What the person shall do now, and for how long; which baseline counts, and where it is kept."""
    return answer(BaselineReport, _of(seats, performer).report())


@router.delete("", response_model=BaselineReport, responses=problems.declared(404))
async def end(who: Editor, seats: Seats, performer: Number = 1) -> Response:
    """Call off the calibration that runs; where none does, delete the baseline that is kept for this performer's stream."""
    seat = _of(seats, performer)
    if not seat.call_off():
        await asyncio.to_thread(seat.forget)
    return answer(BaselineReport, seat.report())


def _of(seats: list[Seat], performer: int) -> Seat:
    if performer > len(seats):
        what = (
            f"there are {len(seats)}; name each one's stream with --eeg" if seats else "the broker listens to none (--no-eeg)"
        )
        raise AlphaloomError("unknown_performer", f"There is no performer {performer}: {what}.", performer=performer)
    return seats[performer - 1]
