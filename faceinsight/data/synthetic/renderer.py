"""From a face of the population to a picture and its exact parsing mask."""

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from faceinsight.data.synthetic import hair
from faceinsight.data.synthetic.background import background, occlude
from faceinsight.data.synthetic.body import body
from faceinsight.data.synthetic.camera import photograph
from faceinsight.data.synthetic.canvas import Canvas
from faceinsight.data.synthetic.ears import ears
from faceinsight.data.synthetic.eyes import brows, eyes
from faceinsight.data.synthetic.framing import draw_pose
from faceinsight.data.synthetic.glasses import glasses
from faceinsight.data.synthetic.haircut import Haircut
from faceinsight.data.synthetic.hats import hat
from faceinsight.data.synthetic.head import Array, Grid, Head, Pose
from faceinsight.data.synthetic.jewellery import earrings
from faceinsight.data.synthetic.mouth import mouth, nose
from faceinsight.data.synthetic.palette import Palette, draw_palette
from faceinsight.data.synthetic.population import Face
from faceinsight.data.synthetic.shading import Light, draw_light, shade
from faceinsight.data.synthetic.skin import skin

__all__ = ["VERSION", "render"]

#: Raised whenever a picture would change, so that caches of another version are never mixed with this one's.
VERSION = 5

_FINER = 3  # drawn this many times larger than asked for
_SHEET = 0.8  # pixels of the flat face for each of the large drawing: it is made smaller in the end


def render(face: Face, image_size: int = 96) -> tuple[Image.Image, Image.Image]:
    """Draw one face.

    Args:
        face: who and how, from :func:`~faceinsight.data.synthetic.population.face`.
        image_size: side of the square picture in pixels.

    Returns:
        The RGB picture and an 8-bit image of CelebAMask-HQ class ids (0 to 18), one per pixel centre.
    """
    size = _FINER * image_size
    # one stream per concern: a change in how hats are drawn moves no pose and no light
    streams = (default_rng(child) for child in SeedSequence(face.seed).spawn(9))
    scene_rng, back_rng, skin_rng, feature_rng, hair_rng, wear_rng, thing_rng, hat_rng, camera_rng = streams
    head, light, palette = Head(face), draw_light(scene_rng), draw_palette(face, scene_rng)
    pose = draw_pose(head, face, scene_rng, size)
    cut = Haircut.draw(face, head, palette, light, hair_rng)
    canvas = Canvas(background(back_rng, size, palette), Image.new("L", (size, size)))

    hair.behind(canvas, pose, cut, hair_rng)
    body(canvas, head, face, pose, palette, light, wear_rng)
    hair.crown(canvas, pose, cut, hair_rng)
    ears(canvas, head, face, pose, palette, light)
    _front(canvas, head, face, pose, palette, light, cut, (skin_rng, feature_rng, hair_rng))
    hair.locks(canvas, pose, cut, hair_rng)
    if face["Wearing_Earrings"]:
        earrings(canvas, head, pose, palette, wear_rng)
    if face["Eyeglasses"]:
        glasses(canvas, head, pose, wear_rng)
    if face["Wearing_Hat"]:
        hat(canvas, head, face, pose, cut.volume, hat_rng)
    occlude(canvas, thing_rng, size)
    picture = photograph(canvas.picture, image_size, face["Blurry"], camera_rng)
    return picture, Image.fromarray(np.asarray(canvas.mask)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER])


def _front(
    canvas: Canvas, head: Head, face: Face, pose: Pose, palette: Palette, light: Light, cut: Haircut,
    streams: tuple[Generator, Generator, Generator],
) -> None:  # fmt: skip
    """Paint the front of the head flat, let light fall on it, turn it, and put it into the picture."""
    skin_rng, feature_rng, hair_rng = streams
    grid = Grid(_SHEET * pose.scale)
    colours = skin(head, face, grid, palette, skin_rng)
    sheet = Canvas(Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8)), Image.new("L", grid.size, 1))
    nose(sheet, head, face, grid, palette)
    mouth(sheet, head, face, grid, palette, feature_rng)
    eyes(sheet, head, face, grid, palette, feature_rng)
    brows(sheet, head, face, grid, palette, feature_rng)
    grown = hair.growth(sheet, grid, cut, hair_rng)
    u, v = grid.axes()
    z = head.surface(u, v) + 0.05 * grown
    tone = np.asarray(sheet.picture, dtype=np.float32) * _shadows(face, grid, grown, feature_rng)[..., None]
    lit = shade(tone, z, grid, light, pose.to_head(light.direction).astype(np.float32))
    outline = np.clip((head.half_width(v) - np.abs(u)) * grid.density, 0, 1)
    painted = np.dstack([lit, 255 * outline]).astype(np.float32)
    _place(canvas, pose, grid, z, painted, np.asarray(sheet.mask) * (outline > 0.5))


def _shadows(face: Face, grid: Grid, grown: Array, rng: np.random.Generator) -> Array:
    """Return what hair and hats shade, and now and then a stray shadow across the face, easily taken for a fringe."""
    _, v = grid.axes()
    soft = Image.fromarray((np.roll(grown, round(0.05 * grid.density), axis=0) * 255).astype(np.uint8))
    fall = np.asarray(soft.filter(ImageFilter.BoxBlur(0.06 * grid.density)), dtype=np.float32) / 255
    light = 1 - 0.38 * fall * (1 - grown)
    stray = rng.random()
    where, width, strength = rng.uniform(-0.7, -0.35), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.5)
    if face["Wearing_Hat"]:
        where, width, strength = -0.4, 0.25, 0.45
    if stray < 0.06 or face["Wearing_Hat"]:
        light = light * (1 - strength / (1 + np.exp(np.clip((v - where) / (0.12 * width), -40, 40))))
    return light.astype(np.float32)


def _place(canvas: Canvas, pose: Pose, grid: Grid, z: Array, sheet: Array, part: NDArray[np.integer]) -> None:
    """Turn the painted sheet and paste it, with its mask, into the picture."""
    column, row = pose.turn(grid, z)
    width, height = grid.size
    seen = (column >= 0) & (row >= 0)
    left, up = np.clip(column, 0, width - 1.001), np.clip(row, 0, height - 1.001)
    x, y = left.astype(np.int32), up.astype(np.int32)
    seen &= sheet[y, x, 3] > 0
    used = np.ix_(seen.any(axis=1), seen.any(axis=0))  # the head's box: nothing else needs to be looked up
    left, up, x, y = left[used], up[used], x[used], y[used]
    across, down = (left - x)[..., None], (up - y)[..., None]
    flat, at = sheet.reshape(-1, 4), y * width + x
    above = flat.take(at, 0) * (1 - across) + flat.take(at + 1, 0) * across
    below = flat.take(at + width, 0) * (1 - across) + flat.take(at + width + 1, 0) * across
    turned = np.zeros_like(sheet)
    turned[used] = above + down * (below - above)
    turned[..., 3] *= seen
    ids = np.zeros((height, width), dtype=np.uint8)
    ids[used] = part[np.rint(up).astype(np.int32), np.rint(left).astype(np.int32)]
    ids *= seen
    # Pillow wants, for every pixel of the picture, where it comes from on the sheet
    matrix = pose.affine()
    inverse = np.linalg.inv(matrix[:, :2])
    offset = -inverse @ matrix[:, 2]
    back = np.column_stack([inverse, offset]) * grid.density
    corner = np.array(grid.pixels(np.zeros((1, 2)))[0]) + 0.5
    back[:, 2] += corner
    coefficients = tuple(float(c) for c in back.ravel())
    how, size = Image.Transform.AFFINE, canvas.picture.size
    pasted = Image.fromarray(np.clip(turned, 0, 255).astype(np.uint8)).transform(
        size, how, coefficients, Image.Resampling.BILINEAR
    )
    canvas.picture.paste(pasted.convert("RGB"), (0, 0), pasted.getchannel("A"))
    mask = Image.fromarray(ids).transform(size, how, coefficients, Image.Resampling.NEAREST)
    solid = Image.fromarray(
        ((np.asarray(pasted.getchannel("A")) > 127) & (np.asarray(mask) > 0)).astype(np.uint8) * 255
    )
    canvas.mask.paste(mask, (0, 0), solid)
