"""Three small trained parts and a model between them, in the package itself: nothing is downloaded.

Each folder here is as ``experiments/tiny`` wrote it: weights in half precision, ``metrics.json``, and a model card
``README.md`` of how they came to be, what they can do, and whose data they were trained on. The functions are class
paths for experiment files too: ``image_encoder: {class_path: faceinsight.tiny.image_encoder}``.

>>> encoder = image_encoder()
>>> type(encoder).__name__, encoder.preprocessing["image_size"]
('Frozen', 150)
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from faceinsight import modules
from faceinsight.modules.description import parts_in
from faceinsight.modules.frozen import Frozen

__all__ = ["face_parser", "image_encoder", "language_model", "parts", "trunk"]

#: What ``from_pretrained`` calls the model between the parts.
NAME = "tiny"

FOLDER = Path(__file__).parent

#: Parts that shipped before, by SHA-256, and the release that holds them.
FORMER = {
    "6ed7b550fc6e043f6bdd7c28d120ff8d830b426901c555403150a25b0c975303": "0.1.0",  # the image encoder
    "4bd808ff7ab9fc5960b36bbc126e2644286073dae92bc3cd93cdf9ad74750ca6": "0.1.0",  # the face parser
}

Folder = str | os.PathLike[str] | None


def image_encoder(folder: Folder = None) -> Frozen:
    """Return the image encoder: a ViT over a small ResNet's map.

    Args:
        folder: where ``experiments/tiny`` wrote the parts; the package's own by default.

    Raises:
        FileNotFoundError: the part is not there.
    """
    return Frozen(modules.HybridEncoder.load(file_in(folder, "image_encoder", "image_encoder.safetensors")))


def trunk(folder: Folder = None) -> Frozen:
    """Return the convolutional trunk of the image encoder, without the ViT over it; as :func:`image_encoder`."""
    stem = image_encoder(folder).stem
    return stem if isinstance(stem, Frozen) else Frozen(stem)


def face_parser(folder: Folder = None) -> Frozen:
    """Return the face parser, trained on drawn faces alone; as :func:`image_encoder`."""
    return Frozen(modules.FaceParser.load(file_in(folder, "face_parser", "face_parser.safetensors")))


def language_model(folder: Folder = None) -> Frozen:
    """Return the language model of faces, with its tokenizer; as :func:`image_encoder`."""
    whole = file_in(folder, "language_model", "model.safetensors").parent
    # kept in half precision, and read in the other parts' precision
    return Frozen(modules.LanguageModel.from_pretrained(whole, dtype="float32"))


#: The parts by the names under which ``FaceInsight.from_pretrained`` takes them.
PARTS: dict[str, Callable[..., Frozen]] = {
    "image_encoder": image_encoder,
    "segmentation.parser": face_parser,
    "language_model": language_model,
}


def parts(folder: Folder = None) -> dict[str, Frozen]:
    """All three, by the names under which ``FaceInsight.from_pretrained`` takes them; as :func:`image_encoder`."""
    return {name: build(folder) for name, build in PARTS.items()}


def model_folder() -> Path:
    """Where the model between the parts is, as ``save_pretrained`` wrote it.

    Raises:
        FileNotFoundError: it is not there.
    """
    return file_in(None, "model", "config.json").parent


def fingerprints() -> dict[str, str]:
    """Return the parts' SHA-256 by name, as the model between them knows them; none where that model is not there."""
    config = FOLDER / "model" / "config.json"
    if not config.is_file():
        return {}
    found = dict(parts_in(json.loads(config.read_text("utf-8"))["model"]))
    return {name: found[name]["fingerprint"] for name in PARTS}


def builder_of(fingerprint: str) -> Callable[[], Frozen] | None:
    """Return what builds the part of this SHA-256, if it is one of the package's."""
    return next((PARTS[name] for name, known in fingerprints().items() if known == fingerprint), None)


def file_in(folder: Folder, *names: str) -> Path:
    """Return a file of the package, or of another folder."""
    path = Path(folder or FOLDER).joinpath(*names)
    if not path.is_file():
        mend = "train it with experiments/tiny" if folder else "this faceinsight is not whole: install it again"
        raise FileNotFoundError(f"no file {path}; {mend}")
    return path
