"""How a head stands in its picture: turned by its owner, then brought to a template as data sets of faces are aligned.

CelebA, CelebA-HQ and FairFace move, turn and scale every photograph so that eyes, nose and mouth come near fixed
places, but each has its own: CelebA's centred square has the eyes about 0.22 of its side apart, half way down;
CelebA-HQ is closer, with the eyes at 0.47 of the height (its masks), and FairFace closer still, by the look of it. The
draws reach over all three (our choice).
"""

import numpy as np
from numpy.random import Generator

from faceinsight.data.synthetic.head import Array, Head, Pose
from faceinsight.data.synthetic.population import Face

__all__ = ["draw_pose"]

#: Eyes, tip of the nose and corners of the mouth of an average head, in head coordinates.
_TEMPLATE = np.array([(-0.4, 0.0), (0.4, 0.0), (0.0, 0.5), (-0.33, 0.89), (0.33, 0.89)])


def draw_pose(head: Head, face: Face, rng: Generator, size: int) -> Pose:
    """Return a pose for a picture of ``size`` pixels; one face in three is turned to three-quarter view."""
    yaw = rng.uniform(-0.75, 0.75) if rng.random() < 0.35 else np.clip(rng.normal(0, 0.2), -0.5, 0.5)
    pitch = np.clip(rng.normal(0, 0.1), -0.25, 0.25)
    closeness = np.clip(0.293 * np.exp(rng.normal(0, 0.085)), 0.24, 0.345)
    if face["Wearing_Necklace"] or face["Wearing_Necktie"]:  # a label says what can be seen
        closeness = min(closeness, 0.28)
    eyes = np.array([0.5, 0.488]) + rng.normal(0, (0.012, 0.016))
    wanted = size * (eyes + closeness * _TEMPLATE)
    scale, roll, centre = _aligned(_landmarks(head, yaw, pitch), wanted)
    roll += np.clip(rng.normal(0, 0.05), -0.15, 0.15)
    return Pose(float(yaw), float(pitch), float(roll), float(scale), (float(centre[0]), float(centre[1])))


def _landmarks(head: Head, yaw: float, pitch: float) -> Array:
    """Where this head's eyes, nose and mouth are seen, ``[5, 2]`` in view coordinates."""
    u = np.array([-head.eyes, head.eyes, 0.0, -0.33, 0.33])
    v = np.array([0.0, 0.0, head.nose_tip, head.mouth, head.mouth])
    points = np.stack([u, v, head.surface(u, v)], axis=-1)
    return Pose(yaw, pitch, 0.0, 1.0, (0.0, 0.0)).rotate(points)[:, :2]


def _aligned(points: Array, wanted: Array) -> tuple[float, float, Array]:
    """Return the similarity that brings ``points`` nearest to ``wanted``: scale, turn, and where the origin comes to
    lie.
    """
    here, there = (pairs @ np.array([1, 1j]) for pairs in (points, wanted))
    centred = here - here.mean()
    factor = np.vdot(centred, there - there.mean()) / np.vdot(centred, centred).real
    origin = there.mean() - factor * here.mean()
    return abs(factor), float(np.angle(factor)), np.array([origin.real, origin.imag])
