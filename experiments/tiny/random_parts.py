"""The three parts as they are before training: the control of the model between the trained ones.

    python -m experiments.tiny.random_parts --output runs/tiny/random
    python -m experiments.tiny.model --parts runs/tiny/random --output runs/tiny/random/model --fairface data/fairface

Written in the layout of the trained parts, so that everything that takes these takes them. The tokenizer is the
trained language model's: it has no weights.
"""

from dataclasses import replace
from pathlib import Path

import lightning
import torch
from jsonargparse import auto_cli

from experiments.tiny import face_parser, image_encoder, language_model
from experiments.tiny.training import publish
from faceinsight import tiny
from faceinsight.modules import FaceResNet
from faceinsight.modules.weights import save_weights
from faceinsight.training.configure import silence_tips

ENCODER, PARSER, WORDS = image_encoder.Settings(), face_parser.Settings(), language_model.Settings()


def main(
    output: Path,
    parts: Path = tiny.FOLDER,
    seed: int = 0,
    encoder: image_encoder.Settings = ENCODER,
    parser: face_parser.Settings = PARSER,
    words: language_model.Settings = WORDS,
) -> None:
    """Write parts of the trained ones' shapes with random weights.

    Args:
        output: the folder for the three folders.
        parts: where the trained parts are, for the tokenizer; the package's own by default.
        seed: of the weights.
        encoder: the image encoder's shape.
        parser: the face parser's.
        words: the language model's.
    """
    lightning.seed_everything(seed, verbose=False)
    seeing = image_encoder.over_trunk(encoder, FaceResNet(image_size=encoder.image_size))
    parsing = face_parser.parser_on(parser, None)
    speaking = language_model.random_model(replace(words, seed=seed), tiny.language_model(parts).tokenizer)
    speaking.backbone.half()
    publish(output / "image_encoder", lambda to: save_weights(to / image_encoder.FILE, seeing, torch.float16), {})
    publish(output / "face_parser", lambda to: save_weights(to / face_parser.FILE, parsing, torch.float16), {})
    publish(output / "language_model", lambda to: language_model.saved(speaking, to), {})


if __name__ == "__main__":
    silence_tips()
    auto_cli(main, as_positional=False)
