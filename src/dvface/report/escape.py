"""Texts from elsewhere made fit to be shown."""


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
