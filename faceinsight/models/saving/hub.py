"""A saved model in a repository of the Hugging Face hub, by huggingface_hub's own calls.

Who may read and write there is between the user and huggingface_hub (``hf auth login``): no token is taken, shown or
kept here. Only the files of :mod:`faceinsight.models.saving.directory` are fetched; whatever else a repository holds,
pickles among it, is never downloaded.
"""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import huggingface_hub
from torch import nn

from faceinsight import tiny
from faceinsight.errors import InputError
from faceinsight.models.saving.checkpoint import save_model
from faceinsight.models.saving.directory import NAMES

__all__ = ["fetched", "push"]

#: A repository by its owner and name.
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def push(
    model: nn.Module,
    repo_id: str,
    *,
    include_frozen: bool = False,
    private: bool | None = None,
    revision: str | None = None,
) -> str:
    """Put a model into a repository, in place of the one that was there; returns the commit.

    Args:
        model: as :func:`~faceinsight.models.saving.checkpoint.save_model` takes it.
        repo_id: made if it is not there.
        include_frozen: also the frozen parts.
        private: of a repository that is made now; as its owner has set by default.
        revision: the branch; ``main`` by default.
    """
    hub = huggingface_hub.HfApi()
    with TemporaryDirectory() as folder:
        save_model(model, folder, include_frozen=include_frozen)
        hub.create_repo(repo_id, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            commit_message=f"{type(model).__name__} of faceinsight",
            delete_patterns=[*NAMES],  # of the model before; what is uploaded now stays
        )
    return commit.oid


def fetched(directory: str | os.PathLike[str], revision: str | None = None) -> Path:
    """Return a saved model's directory: the one that is given, or a repository's files, downloaded or found in the
    cache.

    Args:
        directory: a directory; where there is none of this name, ``"user/name"`` is a repository. The text ``"tiny"``
            is always the model that ships with the package; a directory here is ``"./tiny"``, or a Path.
        revision: the repository's commit, branch or tag.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: a revision of a directory.
    """
    folder, name = tiny.model_folder() if directory == tiny.NAME else Path(directory), str(directory)
    if folder.is_dir() or not REPOSITORY.fullmatch(name):
        if revision is not None:
            raise InputError(
                f"revision={revision!r} is for a repository of the hub, but {folder} is a directory; leave it out"
            )
        return folder
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=[*NAMES]))
    except OSError as error:
        raise FileNotFoundError(
            f"there is no directory {name} here, nor could a repository of that name be fetched from the hub: {error}"
        ) from error
