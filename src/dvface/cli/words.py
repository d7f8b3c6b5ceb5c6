"""The KEY=VALUE words of commands that have no configuration of their own."""

from collections.abc import Sequence

from dvface.errors import UserError, nearest


def own_settings(overrides: Sequence[str], defaults: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The command's own KEY=VALUE words, filled up with their defaults, and the configuration's overrides."""
    own = [text for text in overrides if "=" in text and text.partition("=")[0] in defaults]
    given = {text.partition("=")[0]: text.partition("=")[2] for text in own}
    return {**defaults, **given}, [text for text in overrides if text not in own]


def own_only(overrides: Sequence[str], defaults: dict[str, str | None]) -> dict[str, str]:
    """The KEY=VALUE words of a command without a configuration; a default of None means that one must be given.

    Raises:
        UserError: a key is unknown or missing.
    """
    given: dict[str, str] = {}
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or key not in defaults:
            raise UserError(f"unknown setting '{word}'{nearest(key, defaults)} (takes: {', '.join(defaults)})")
        given[key] = value
    filled = {**defaults, **given}
    for key, found in filled.items():
        if found is None:
            raise UserError(f"{key} has no value yet; give one: {key}=VALUE")
    return {key: str(found) for key, found in filled.items()}


def whole_number(name: str, text: str) -> int:
    """A number of 1 or more.

    Raises:
        UserError: ``text`` is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name}={text}: give a whole number of 1 or more")
    return int(text)


def yes_or_no(name: str, text: str) -> bool:
    """``true`` or ``false``.

    Raises:
        UserError: ``text`` is neither.
    """
    if text not in ("true", "false"):
        raise UserError(f"{name}={text}: say true or false")
    return text == "true"
