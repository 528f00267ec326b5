"""Writing files that are there whole or not at all, in the folder that they belong to, by names that serve everywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError

# What a file system answers that cannot synchronise a folder, or a file that is open for reading
UNSYNCHRONISED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.ENOSYS)


# What names a device on Windows, with and without a suffix
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def unusable_name(name: str) -> str | None:
    """Why `name` cannot name a file or a folder on every system, Windows among them; None where it can."""
    if name in ("", ".", ".."):
        return "must be the name of a file"
    if odd := re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name):
        return f"must not hold {odd[0]!r}"
    if name.endswith((" ", ".")):
        return "must not end with a space or a dot"
    if name.partition(".")[0].rstrip(" ").lower() in RESERVED:
        return "names a device on Windows"
    if len(name.encode(errors="surrogatepass")) > 200:
        return "is too long"
    return None


def synchronise(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk, where the system can tell."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder on Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNSYNCHRONISED:
            raise
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Put a file, which is whole, in the place of another on the same file system: at once, also where the power goes."""
    synchronise(source)
    os.replace(source, target)
    synchronise(target.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, to be filled, that takes its place at once when the block ends well.

    Neither a reader nor a crash nor a power cut sees half of it, and where `path` is a link it is the link that is replaced.
    The new file has the suffix of `path`, and the permissions that the user's umask gives.
    """
    path = path.absolute()  # `.` has no name
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        move(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace the file at once by one with this text (UTF-8)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder, to be filled, that takes the place of `path` at once when the block ends well.

    `path` is never seen half filled, not even after a power cut. An empty folder that is there stays, since it may be a mount or
    where the user is: the new one is made in it, and what it holds moves up.

    Raises:
        OSError: something else is there by then.
    """
    path = path.absolute()
    filled = path.is_dir()
    home = path if filled else path.parent
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{secrets.token_hex(4)}.{path.name}"
    temporary.mkdir()
    try:
        yield temporary
        if hasattr(os, "sync"):  # all at once: there may be many thousand files
            os.sync()
        if not filled:
            os.replace(temporary, path)
        elif any(entry != temporary for entry in path.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        else:
            for entry in list(temporary.iterdir()):
                os.replace(entry, path / entry.name)
        synchronise(home)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def own(path: Path, root: Path) -> Path:
    """`path`, unless using it would leave the folder `root` that it is in, or wait for another process.

    What is not there yet passes; so does whatever `root` itself is, and is reached by.

    Raises:
        InputError: the path, or a folder on the way to it, is a symbolic link, or the path is neither a file nor a folder.
    """
    below = root
    parts = path.relative_to(root).parts if path.is_relative_to(root) else ("..",)
    if ".." in parts:
        raise InputError(f"{path} leads out of {root}")
    for part in parts:
        below = below / part
        try:
            mode = below.lstat().st_mode
        except OSError:
            break
        _check_plain(below, mode, root)
    return path


def check_tree(root: Path) -> None:
    """Raise InputError where a folder, which need not be there, holds anything but files and folders: links, pipes, devices."""
    folders = [root]
    while folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                _check_plain(Path(entry.path), entry.stat(follow_symlinks=False).st_mode, root)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))


def _check_plain(path: Path, mode: int, root: Path) -> None:
    if stat.S_ISLNK(mode):
        raise InputError(
            f"{path} is a symbolic link, and none is followed inside of {root}; put what it leads to in its place"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path} is neither a file nor a folder; remove it from {root}")
