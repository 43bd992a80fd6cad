"""The colours of one picture: skin, hair, lips, eyes, cloth and metal."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng

from faceinsight.data.synthetic.canvas import Colour, tint
from faceinsight.data.synthetic.head import Array
from faceinsight.data.synthetic.population import Face

__all__ = ["Palette", "any_colour", "any_skin", "draw_palette"]

#: From very light to very dark, at equal steps of ``Person.skin``.
_SKIN = np.array(
    [
        (246, 219, 203), (241, 204, 180), (230, 184, 152), (213, 162, 126), (186, 132, 96), (148, 99, 69),
        (110, 71, 49), (76, 48, 36),
    ],
    dtype=float,
)  # fmt: skip
_HAIR = {"black": (30, 25, 25), "brown": (88, 57, 36), "blond": (206, 168, 106), "gray": (172, 172, 174)}
_OTHER_HAIR = ((150, 62, 28), (124, 38, 34), (188, 98, 50), (205, 90, 150), (70, 110, 170), (95, 140, 95))
_IRIS = ((62, 40, 26), (80, 54, 32), (92, 122, 92), (94, 132, 168), (110, 112, 116))
_LIPSTICK = ((190, 30, 50), (205, 70, 100), (150, 30, 70), (215, 90, 80), (120, 25, 45), (200, 60, 140))
_METAL = ((214, 178, 82), (205, 208, 214), (238, 232, 224), (180, 60, 70), (60, 130, 150))


@dataclass(frozen=True)
class Palette:
    """Colours before any light falls on them."""

    skin: Colour
    lips: Colour
    hair: Colour
    beard: Colour
    brow: Colour
    iris: Colour
    cloth: Colour
    accent: Colour
    metal: Colour


def any_colour(rng: Generator) -> Colour:
    """Return a colour for cloth and clutter: mostly muted, now and then loud."""
    grey = rng.uniform(15, 245)
    loud = rng.beta(1.0, 2.8)
    return tint(grey + loud * (rng.uniform(0, 255, 3) - grey))


def any_skin(rng: Generator) -> Colour:
    """Return the skin of somebody else: a hand, a passer-by."""
    return tint(_SKIN[rng.integers(len(_SKIN))], rng.uniform(0.8, 1.05))


def draw_palette(face: Face, rng: Generator) -> Palette:
    """Colours of this picture; the person's own come from the person's seed."""
    own = default_rng(face.person.seed)
    skin, hair = _skin(face, own), _hair(face, own)
    dark = np.array(((30, 26, 26), (70, 48, 34), (52, 38, 30))[own.integers(3)], float)
    colour = face.person.hair
    share = {"gray": 0.55, "other": 0.2}.get(colour, 0.4)
    beard = 0.85 if colour in {"black", "brown", "gray"} else 0.5
    iris = _IRIS[own.choice(5, p=(0.38, 0.27, 0.11, 0.17, 0.07))]
    lips = skin * (0.84, 0.63, 0.62) + (16, 4, 8)
    if face["Wearing_Lipstick"]:
        lips = 0.22 * lips + 0.78 * np.array(_LIPSTICK[rng.integers(len(_LIPSTICK))], float)
    metal = _METAL[rng.choice(5, p=(0.4, 0.3, 0.14, 0.08, 0.08))]
    return Palette(
        skin=tint(skin), lips=tint(lips), hair=tint(hair), beard=tint(beard * hair + (1 - beard) * dark),
        brow=tint(share * hair + (1 - share) * dark), iris=tint(iris), cloth=_cloth(rng), accent=any_colour(rng),
        metal=metal,
    )  # fmt: skip


def _skin(face: Face, own: Generator) -> Array:
    """Between the two nearest tones, a little redder or yellower in each person."""
    place = (0.0 if face["Pale_Skin"] else 0.08 + 0.92 * face.person.skin) * (len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    skin = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * (1 + 0.03 * own.normal()) + own.normal(0, 1) * np.array([4, 0, -5])
    return 0.8 * skin + 0.2 * np.array([246, 238, 236]) if face["Pale_Skin"] else skin


def _hair(face: Face, own: Generator) -> Array:
    colour = face.person.hair
    other = _OTHER_HAIR[own.choice(6, p=(0.42, 0.24, 0.28, 0.03, 0.02, 0.01))]
    spread = {"black": 0.25, "gray": 0.14}.get(colour, 0.16) * np.clip(own.normal(), -1.6, 1.6)
    return np.array(_HAIR.get(colour, other), float) * (1 + spread) + own.normal(0, 3, 3)


def _cloth(rng: Generator) -> Colour:
    """Black and white are worn more than any other colour."""
    kind = rng.random()
    return (
        tint((20, 20, 24), rng.uniform(0.6, 2)) if kind < 0.3 else (232, 232, 230) if kind < 0.42 else any_colour(rng)
    )
