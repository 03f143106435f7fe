"""Pictures as the AUTOMATIC1111 API sends them: from base64 to blobs. Blocks: for a thread."""

from __future__ import annotations

import binascii
import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from protocol.errors import AlphaloomError

from ..store.blobs import Blobs
from .webui_forms import Img2Img

_CHUNK = 1 << 20
"""Of base64; a multiple of 4. Between two of them other threads have their turn."""
_CROP, _FILL = 1, 2
_ORIENTATION = 0x0112


def keep(blobs: Blobs, form: Img2Img, limit: int) -> tuple[str, str | None]:
    """The blobs of the source and of the mask. Each picture may have `limit` bytes.

    Raises AlphaloomError `bad_picture` or `message_too_large`.
    """
    size = (form.width, form.height)
    source = _decoded("init_images", form.init_images[0], limit)
    blobs.check_picture(source)
    source = _resized(_upright(source), form.resize_mode, size)
    mask = None
    if form.mask:
        data = _decoded("mask", form.mask, limit)
        blobs.check_picture(data)
        data = _resized(_mask(_upright(data), bool(form.inpainting_mask_invert)), form.resize_mode, size)
        mask = blobs.put(_stretched(data, _size(source)))
    return blobs.put(source), mask


def _decoded(name: str, text: str, limit: int) -> bytes:
    if text.startswith("data:"):
        text = text[text.find(",", 0, 200) + 1 :]
    text = "".join(text.split())
    if len(text) * 3 // 4 > limit + 3:
        raise AlphaloomError("message_too_large", f"{name}: a picture may have {limit} bytes at most.", field=name)
    try:
        return b"".join(binascii.a2b_base64(text[at : at + _CHUNK]) for at in range(0, len(text), _CHUNK))
    except ValueError:
        raise AlphaloomError(
            "bad_picture", f"{name} is no base64, or not all of it. Send a picture's bytes; no URL is followed.", field=name
        ) from None


def _mask(data: bytes, invert: bool) -> bytes:
    """White where it shall be painted anew. The edge reads the grey; A1111 the transparency, where there is some."""
    picture: Image.Image = Image.open(io.BytesIO(data))
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A")
        low, _ = alpha.getextrema()
        if low < 255:  # type: ignore[operator]
            picture = alpha.point(lambda value: 255 if value > 128 else 0)
            return _png(ImageOps.invert(picture) if invert else picture)
    return _png(ImageOps.invert(picture.convert("L"))) if invert else data


def _upright(data: bytes) -> bytes:
    """As its EXIF says how the camera was held; broken EXIF says nothing."""
    picture: Image.Image = Image.open(io.BytesIO(data))
    try:
        if picture.getexif().get(_ORIENTATION, 1) == 1:
            return data
        turned = ImageOps.exif_transpose(picture)
    except Exception:  # its parser raises many kinds
        return data
    return _png(turned.convert("RGB") if turned.mode == "CMYK" else turned)


def _size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def _stretched(mask: bytes, size: tuple[int, int]) -> bytes:
    """A mask in its source's size, which is where the edge looks for it. Averaged, as the edge does: nothing rings."""
    if _size(mask) == size:
        return mask
    return _png(Image.open(io.BytesIO(mask)).convert("L").resize(size, Image.Resampling.BOX))


def _resized(data: bytes, mode: int, size: tuple[int, int]) -> bytes:
    """Where it is to be stretched, the edge does that."""
    change: dict[int, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {_CROP: _cropped, _FILL: _filled}
    if mode not in change:
        return data
    picture = Image.open(io.BytesIO(data))
    if picture.size == size:
        return data
    return _png(change[mode](picture.convert("L" if picture.mode in ("1", "L") else "RGB"), size))


def _cropped(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _filled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """All of it, in the middle; what its edges have goes on to the borders."""
    inner = ImageOps.contain(picture, size, Image.Resampling.LANCZOS)
    left, top = (size[0] - inner.width) // 2, (size[1] - inner.height) // 2
    right, bottom = size[0] - inner.width - left, size[1] - inner.height - top
    flat = [(0, 0)] * (np.asarray(inner).ndim - 2)
    return Image.fromarray(np.pad(np.asarray(inner), [(top, bottom), (left, right), *flat], mode="edge"))


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()
