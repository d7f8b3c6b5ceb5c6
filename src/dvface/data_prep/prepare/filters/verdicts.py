"""How a filter says what it measured and what is wrong with it."""

from collections.abc import Mapping

from dvface.data_prep.prepare.face_clip import Verdict


def verdict(measures: Mapping[str, float], *reasons: str | None) -> Verdict:
    """The clip may stay where every reason is None; several are joined."""
    return Verdict(dict(measures), "; ".join(reason for reason in reasons if reason) or None)


def below(name: str, value: float, limit: float, option: str = "least") -> str | None:
    """``NAME VALUE is below OPTION=LIMIT`` where it is."""
    return f"{name} {value:.5g} is below {option}={limit:g}" if value < limit else None


def above(name: str, value: float, limit: float, option: str = "most") -> str | None:
    """``NAME VALUE is above OPTION=LIMIT`` where it is."""
    return f"{name} {value:.5g} is above {option}={limit:g}" if value > limit else None
