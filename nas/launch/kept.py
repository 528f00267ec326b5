"""The settings and device profiles that a run keeps beside its store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from evaluators.latency.profile import DeviceProfile
from search_spaces import InputError
from search_spaces.files import write_text

from ..formatting import command
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.states import State
from .config import SearchConfig, commented_yaml, load_config


@contextlib.contextmanager
def settings_kept(
    config: SearchConfig, profiles: Sequence[DeviceProfile], say: Callable[[str], None]
) -> Iterator[None]:
    """Keep search.yaml and the profiles in the run's folder, unless what follows is refused.

    Of a search that is refused only what was written here goes again. Of one that is interrupted it is said how to go on.
    """
    folder = RunFolder(config.run_directory)

    def asked() -> int:
        return sum(event.state == State.ASKED for event in Run(folder.path).events) if folder.exists else 0

    asked_before, is_new = asked(), not folder.exists
    for profile in profiles:  # before anything is written
        path = folder.device(profile.name)
        if is_new and path.exists() and path.read_text(encoding="utf-8") != profile.to_json():
            raise InputError(f"{path} exists and is another profile; name another folder for the run, or move it")
    made = [path for path in (folder.path.parent, folder.path, folder.devices) if not path.exists()]
    folder.path.mkdir(parents=True, exist_ok=True)
    before = {}  # file -> its text, None where there was none
    # the user's own file, with its comments, may be what a new run is started from in its own folder
    if not folder.config.exists() or not is_new or load_config(folder.config) != config:
        before[folder.config] = _replace(folder.config, commented_yaml(config))
    for profile in profiles:  # what the run's latencies mean must not change with a file elsewhere
        folder.devices.mkdir(exist_ok=True)
        path = folder.device(profile.name)
        before[path] = _replace(path, profile.to_json())
    try:
        yield
    except KeyboardInterrupt:
        if folder.exists:
            say(f"interrupted; every result is kept, {command('resume', folder.path)} goes on")
        raise
    except InputError:
        if asked() > asked_before:  # it was not refused: what was evaluated was so by these settings
            raise
        for path, text in before.items():
            if text is not None:
                write_text(path, text)
            elif not folder.exists:
                path.unlink(missing_ok=True)
        for empty in reversed(made):
            with contextlib.suppress(OSError):  # not empty: something else is in it by now
                empty.rmdir()
        raise


def _replace(path: Path, text: str) -> str | None:
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before != text:
        write_text(path, text)
    return before
