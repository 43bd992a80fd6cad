"""What a camera does to a scene: exposure, white balance, contrast, blur, noise and JPEG."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

__all__ = ["photograph", "to_jpeg"]


def photograph(scene: Image.Image, size: int, blurry: bool, rng: Generator) -> Image.Image:
    """Bring the large drawing to ``size`` pixels, as a photograph of varied quality."""
    blur = rng.uniform(0.0135, 0.022) if blurry else rng.uniform(0.0, 0.0065)
    sharp = scene.filter(ImageFilter.GaussianBlur(blur * scene.width))
    pixels = np.asarray(sharp.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.035, 3))
    contrast, grey = np.exp(rng.normal(0, 0.09)), 0.45
    pixels = np.clip((pixels * gain - grey) * contrast + grey, 0, None)
    pixels = np.where(pixels > 0.75, 0.75 + 0.25 * np.tanh((pixels - 0.75) / 0.25), pixels)  # highlights roll off
    if rng.random() < 0.03:
        pixels = np.repeat(pixels @ np.array([[0.3], [0.59], [0.11]]), 3, axis=2)
    grain = rng.gamma(1.3, 0.007)
    pixels = pixels + grain * rng.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))


def to_jpeg(image: Image.Image, rng: Generator) -> bytes:
    """The picture as a JPEG file of quality 55 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=int(rng.integers(55, 96)), subsampling=int(rng.choice((0, 2))))
    return buffer.getvalue()
