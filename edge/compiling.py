"""torch.compile by option: for jobs whose network is the plain one; any other job runs the same parts uncompiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from protocol.errors import AlphaloomError

_READY = "_alphaloom_compiled"


def prepare(pipeline: Any, backend: str = "inductor") -> None:
    """Let the UNet and the decoder be compiled, when they are first run; later for other sizes, then for sizes of any kind.

    `backend` "eager" does everything but compile: for tests. Raises AlphaloomError `bad_device` where this machine cannot
    compile.
    """
    try:
        torch.compile(lambda x: x * 2 + 1, backend=backend)(torch.ones(8, device=pipeline.unet.device))
    except Exception as problem:  # torch has a dozen kinds for what may be missing
        reason = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
        raise AlphaloomError(
            "bad_device", f"torch.compile does not work here: {reason}. Install a C++ compiler, or leave out the option."
        ) from None
    for part in _parts(pipeline):
        part.compile(backend=backend)
        part.__dict__[_READY] = part._compiled_call_impl


def use(pipeline: Any, compiled: bool) -> None:
    """Before each job: compiled without tiling, LoRAs and ControlNets, and on the first rung; else not.

    Each of those changes the network's layers, and would have it compiled again, for minutes, in the middle of a job. As
    the request alone decides, the same request makes the same bytes.
    """
    for part in _parts(pipeline):
        ready = part.__dict__.get(_READY)
        if ready is not None:
            part._compiled_call_impl = ready if compiled else None


def _parts(pipeline: Any) -> Iterator[nn.Module]:
    yield pipeline.unet
    yield pipeline.vae.decoder
