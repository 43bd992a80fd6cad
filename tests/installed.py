"""Try the installed package, outside its repository: `make wheel` runs this with nothing else on the path.

python -I tests/installed.py dist/faceinsight-VERSION.whl
"""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import torch

import faceinsight as fi
from faceinsight.data.synthetic import population, renderer

#: What a wheel may weigh, in bytes: the three small parts and the model between them are 25 million.
LARGEST = 60_000_000


def main(wheel: Path) -> None:
    """Hold the wheel against what is promised of it, and use the package as installed from it."""
    assert Path(fi.__file__).is_relative_to(sys.prefix), f"{fi.__file__} is not the installed package"
    assert wheel.stat().st_size < LARGEST, f"{wheel} has {wheel.stat().st_size:,} bytes"
    outside = [name for name in ZipFile(wheel).namelist() if not name.startswith("faceinsight")]
    assert not outside, f"{wheel} holds files beside the package: {outside[:5]}"

    picture, _ = renderer.render(population.face(seed=1, index=7))
    model = fi.FaceInsight.from_pretrained("tiny")
    with torch.inference_mode():
        output = model(model.images([picture]))
    assert output.logits.shape == (1, len(model.schema))
    assert not model.rules.violations(output.mode.bool()).any()

    command = Path(sys.prefix, "bin", "faceinsight")
    for arguments in (["--version"], ["data", "check", "--help"], ["ablate", "--help"], ["fit", "--help"]):
        subprocess.run([command, *arguments], check=True, stdout=subprocess.DEVNULL)
    print(f"{wheel.name} works: {wheel.stat().st_size / 1e6:.1f} MB, torch {torch.__version__}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
