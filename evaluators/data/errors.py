"""The exception for datasets that cannot be used."""

from __future__ import annotations

from search_spaces import InputError


class DatasetError(InputError):
    """A dataset cannot be used; the message names the file and, in a label file, the line."""
