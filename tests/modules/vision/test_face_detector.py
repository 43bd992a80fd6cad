"""The detector in torch is dlib's."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from faceinsight.errors import InputError
from faceinsight.modules.vision.face_detector import FaceDetector, one_box_a_face

PACKAGE = find_spec("face_recognition_models")
needs_extra = pytest.mark.skipif(PACKAGE is None or find_spec("dlib") is None, reason="the extra detect is not here")


def weights() -> Path:
    return Path(PACKAGE.origin).parent / "models" / "mmod_human_face_detector.dat"


@needs_extra
def test_scores_are_those_of_dlib_on_noise() -> None:
    import dlib

    detector = FaceDetector.from_dlib(weights(), threshold=-1.0)
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    theirs = dlib.cnn_face_detection_model_v1(str(weights()))(pixels, 0)
    boxes, scores = detector(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
    assert len(theirs) == int((scores > 0).sum()) == 0
    assert boxes.shape[1] == 4


def test_boxes_of_one_face_become_their_mean_by_score() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    merged, scores = one_box_a_face(boxes, torch.tensor([1.0, 3.0, 2.0]))
    torch.testing.assert_close(merged, torch.tensor([[0.75, 0, 10.75, 10], [50, 50, 60, 60]]))
    assert scores.tolist() == [3, 2]
    assert float(box_iou(merged, merged).diagonal().min()) == pytest.approx(1)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.dat").write_bytes(b"no tensor")
    with pytest.raises(InputError, match="cut off"):
        FaceDetector.from_dlib(tmp_path / "cut.dat")
