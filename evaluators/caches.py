"""Where everything is kept that can be made again: datasets, profiles, and what the libraries beneath keep for themselves."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from pathlib import Path

from search_spaces import InputError

# Libraries that would keep files in the user's home, by the variable that says where else
ELSEWHERE = {
    "YOLO_CONFIG_DIR": "ultralytics",
    "MPLCONFIGDIR": "matplotlib",
    "TORCH_HOME": "torch",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",  # whose own default asks for the user's name, which not every user has
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
    "XDG_CACHE_HOME": "others",
}


def cache_directory() -> Path:
    """Where generated and converted datasets and measured profiles are kept: $EVOYOLO_CACHE or ~/.cache/evoyolo; it is made.

    Raises:
        InputError: it cannot be written, or there is no home.
    """
    try:
        path = _cache()
    except RuntimeError:
        raise InputError(
            "there is no home folder to keep a cache in; set EVOYOLO_CACHE to a folder that can be written"
        ) from None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(_unusable(path, error.strerror)) from None
    if not os.access(path, os.W_OK):
        raise InputError(_unusable(path, "it cannot be written"))
    return path


def keep_caches_together() -> None:
    """Tell the libraries beneath to keep their files in our cache, where the user has not told them where; and not to tell of it.

    To be called before they are imported, as every command does; in a program of the user's that is theirs to do. Where the cache cannot be written they are told a temporary folder: what does
    without a cache goes on.
    """
    try:
        root = _cache()
        writable = os.access(next(place for place in (root, *root.absolute().parents) if place.exists()), os.W_OK)
    except (RuntimeError, OSError):
        writable = False
    with contextlib.suppress(InputError):
        root = root if writable else user_folder() / "cache"
        for variable, name in ELSEWHERE.items():
            os.environ.setdefault(variable, str(root.absolute() / name))
    logging.getLogger("ultralytics").addFilter(_is_no_announcement)


def _is_no_announcement(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Creating new Ultralytics Settings")


def user_folder() -> Path:
    """A folder for temporary files of this user, whom nobody else's files can hinder; it is made.

    Raises:
        InputError: somebody else has made it.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""  # a number: not every user has a name
    path = Path(tempfile.gettempdir()) / f"evoyolo-{user}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    made = path.lstat()
    if not stat.S_ISDIR(made.st_mode) or (user != "" and made.st_uid != user):
        raise InputError(f"{path} belongs to somebody else; set TMPDIR to a folder of your own")
    return path


def _cache() -> Path:
    named = os.environ.get("EVOYOLO_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "evoyolo"


def _unusable(path: Path, why: str | None) -> str:
    return f"the cache {path} cannot be used ({why}); set EVOYOLO_CACHE to a folder that can be written"
