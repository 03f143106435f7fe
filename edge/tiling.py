"""Seamless pictures: convolutions that see the left edge beyond the right one, the top beyond the bottom, or both.

What else mixes pixels needs no change: attention here knows no positions, and normalization is over the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn import functional

Pads = tuple[int, int, int, int]
"""Left, right, top, bottom, as functional.pad has them."""
MARGIN = 8
"""Latents of the other side that a decoder which works in pieces sees beyond an edge; what it cannot see, it blends."""
_DOWN: Pads = (0, 1, 0, 1)
"""What an encoder's downsampling pads by hand before a convolution without padding."""
_STATE = "_alphaloom_tiling"
_IN_PIECES = ("tiled_decode", "_tiled_decode", "_tiled_encode")
"""The methods by which AutoencoderKL and AutoencoderTiny work in pieces to save memory."""


def apply(modules: Iterable[nn.Module], tiling: str) -> None:
    """Let UNets, ControlNets and autoencoders make pictures that are seamless along `tiling`: "", "x", "y" or "xy".

    To be called before every job, after LoRAs are set: it costs nothing where nothing was or is tiled, and what it
    took back makes the same pictures as before, bit by bit. Compiled modules cannot be tiled.
    """
    for module in modules:
        if tiling or getattr(module, _STATE, ""):
            _set_convolutions(module, tiling)
            _set_pieces(module, tiling)
            setattr(module, _STATE, tiling)


def pad(picture: Tensor, pads: Pads, tiling: str) -> Tensor:
    """(…, h, w) with so many columns and rows added: along `tiling` those of the other side (at most as many as there
    are), else zeros. A pixel's channels stay together, which torch's own circular padding does not see to."""
    left, right, top, bottom = pads
    height, width = picture.shape[-2:]
    wide = functional.pad(picture, pads)
    if "x" in tiling:
        wide[..., :left] = wide[..., width : width + left]
        wide[..., left + width :] = wide[..., left : left + right]
    if "y" in tiling:
        wide[..., :top, :] = wide[..., height : height + top, :]
        wide[..., top + height :, :] = wide[..., top : top + bottom, :]
    return wide


def _set_convolutions(module: nn.Module, tiling: str) -> None:
    by_hand: set[nn.Module] = set()
    for part in module.modules():
        if isinstance(part, Downsample2D) and part.use_conv and (part.padding == 0 or hasattr(part, _STATE)):
            by_hand.update(part.modules())
            _mark(part, tiling)
            part.padding = 1 if tiling else 0  # what is not 0 is left to the convolution
        elif isinstance(part, nn.Conv2d) and part.padding_mode == "zeros":
            left, right, top, bottom = _DOWN if part in by_hand else part._reversed_padding_repeated_twice
            if part.kernel_size == (1, 1) or getattr(part, _STATE, "") == tiling:
                continue
            _mark(part, tiling)
            part.__dict__.pop("_conv_forward", None)
            if tiling:
                part.__dict__["_conv_forward"] = _circular(part, (left, right, top, bottom), tiling)


def _circular(convolution: nn.Conv2d, pads: Pads, tiling: str) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    stride, dilation, groups = convolution.stride, convolution.dilation, convolution.groups

    def forward(picture: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(pad(picture, pads, tiling), weight, bias, stride, 0, dilation, groups)

    return forward


def _set_pieces(module: nn.Module, tiling: str) -> None:
    """Pieces must not each be tiled in itself: their convolutions are as ever, and the whole is wrapped before."""
    for name in _IN_PIECES:
        if hasattr(type(module), name):
            module.__dict__.pop(name, None)
            if tiling:
                module.__dict__[name] = _wrapped(module, getattr(type(module), name), tiling)


def _wrapped(module: Any, in_pieces: Callable[..., Any], tiling: str) -> Callable[..., Any]:
    scale = 2 ** (len(module.config.block_out_channels) - 1)
    margin = MARGIN * (scale if "encode" in in_pieces.__name__ else 1)

    def call(picture: Tensor, *more: Any, **named: Any) -> Any:
        height, width = picture.shape[-2:]
        x = min(margin, width) if "x" in tiling else 0
        y = min(margin, height) if "y" in tiling else 0
        _set_convolutions(module, "")
        try:
            made = in_pieces(module, pad(picture, (x, x, y, y), tiling), *more, **named)
        finally:
            _set_convolutions(module, tiling)
        if hasattr(made, "sample"):
            made.sample = _cut(made.sample, (height, width), y, x)
            return made
        return _cut(made, (height, width), y, x)

    return call


def _cut(made: Tensor, size: tuple[int, int], y: int, x: int) -> Tensor:
    """What was made of a picture of this size, without what was made of the `y` rows and `x` columns on each side of it."""
    height, width = size
    down, across = made.shape[-2] / (height + 2 * y), made.shape[-1] / (width + 2 * x)
    top, left = round(y * down), round(x * across)
    return made[..., top : top + round(height * down), left : left + round(width * across)]


def _mark(part: nn.Module, tiling: str) -> None:
    if tiling:
        setattr(part, _STATE, tiling)
    elif hasattr(part, _STATE):
        delattr(part, _STATE)
