"""Sentences about footage, which may give reason for any number of them."""

MOST = 20


class Repeated:
    """Remarks of one kind: the first 20 and how many more there are.

    Args:
        kind: what there are more of, in the plural.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._first: list[str] = []
        self._more = 0

    def add(self, remark: str) -> None:
        """One more."""
        if len(self._first) < MOST:
            self._first.append(remark)
        else:
            self._more += 1

    @property
    def told(self) -> list[str]:
        """What may be said of them, 21 sentences at most."""
        return [*self._first, *[f"and {self._more} more {self._kind}"] * bool(self._more)]
