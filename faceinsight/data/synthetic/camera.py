"""What a camera does to a scene: lens, exposure, white balance, contrast, grain, screens and JPEG."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from faceinsight.data.synthetic.canvas import noise
from faceinsight.data.synthetic.head import Array

__all__ = ["photograph", "to_jpeg"]


def photograph(scene: Image.Image, size: int, blurry: bool, rng: Generator) -> Image.Image:
    """Bring the large drawing to ``size`` pixels, as a photograph of varied quality."""
    blur = rng.uniform(0.0135, 0.022) if blurry else rng.uniform(0.0, 0.0065)
    soft = scene.filter(ImageFilter.GaussianBlur(blur * scene.width)).resize((size, size), Image.Resampling.BOX)
    if not blurry and rng.random() < 0.3:  # a telephone sharpens what it takes
        soft = soft.filter(ImageFilter.UnsharpMask(1.0, int(rng.uniform(30, 130)), 0))
    pixels = np.asarray(soft, dtype=np.float32) / 255
    pixels = _developed(pixels * _uneven(size, rng)[..., None], rng)
    grain = rng.gamma(1.3, 0.008) * rng.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray((np.clip(pixels + grain, 0, 1) * 255).round().astype(np.uint8))


def _uneven(size: int, rng: Generator) -> Array:
    """Light that falls off to the corners and in places, ``[height, width]``."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    corners = 1 - rng.uniform(0, 0.7) * (x**2 + y**2)
    return corners * (1 + rng.uniform(0, 0.25) * noise(rng, (size, size), 0.4 * size))


def _developed(pixels: Array, rng: Generator) -> Array:
    """Exposure, white balance, contrast and saturation; highlights roll off; now and then black and white."""
    gain = np.exp(rng.normal(0, 0.16)) * np.exp(rng.normal(0, 0.045, 3))
    contrast, grey = np.exp(rng.normal(0.04, 0.14)), 0.42
    pixels = np.clip((pixels * gain - grey) * contrast + grey, 0, None)
    pixels = np.where(pixels > 0.75, 0.75 + 0.25 * np.tanh((pixels - 0.75) / 0.25), pixels)
    luma = pixels @ np.array([[0.3], [0.59], [0.11]])
    colourful = 0.0 if rng.random() < 0.035 else np.exp(rng.normal(-0.08, 0.18))
    return luma + colourful * (pixels - luma)


def to_jpeg(image: Image.Image, rng: Generator) -> bytes:
    """Return the picture as a JPEG file of quality 55 to 95."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=int(rng.integers(55, 96)), subsampling=int(rng.choice((0, 2))))
    return buffer.getvalue()
