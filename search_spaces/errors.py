"""The one exception for wrong input: its message names what is wrong and what would be right."""


class InputError(ValueError):
    """What the user gave cannot be used; the command line prints the message alone, without a traceback."""


def one_of(names) -> str:
    """`names` as they read in a message: 'a, b or c'."""
    names = [str(name) for name in names]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
