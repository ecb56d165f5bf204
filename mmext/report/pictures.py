"""Pictures inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

SIDE = 400


def shrunk(picture: Image.Image) -> tuple[Image.Image, float]:
    """A picture, shrunk until its longer side is at most ``SIDE`` pixels, and the factor of its size, at most 1."""
    scale = min(1.0, SIDE / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS), scale


def data_uri(image: Image.Image) -> str:
    """An image as a JPEG inside a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=80, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()
