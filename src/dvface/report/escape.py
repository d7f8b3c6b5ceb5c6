"""Texts from elsewhere made fit to be shown."""

from typing import TypeVar

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that a spreadsheet computes (OWASP, CSV Injection), in Japanese width too."""

Value = TypeVar("Value")


def printable(text: str) -> str:
    """``text`` with what no page should hold written as escapes.

    Names of files may hold control characters, marks that turn the direction of writing, and halves of surrogate pairs,
    which UTF-8 cannot hold.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def not_computed(cell: Value) -> Value | str:
    """The cell of a CSV file so that spreadsheets show it and never compute it: names of files are anybody's words.

    An apostrophe comes before a text that begins like a formula, be it behind spaces, as OWASP advises; numbers, None
    and other texts stay as they are.
    """
    return (
        f"'{cell}"
        if isinstance(cell, str)
        and (cell.startswith(FORMULA_SIGNS) or cell.lstrip().lstrip("\ufeff").startswith(FORMULA_SIGNS))
        else cell
    )
