"""Which frames a term that looks at a part of each clip looks at."""


def rotating(length: int, count: int, step: int) -> list[int]:
    """``min(count, length)`` different positions below ``length``, evenly spread, moved on by one each step."""
    chosen = min(count, length)
    return [(step + number * length // chosen) % length for number in range(chosen)]


def positive(name: str, value: int) -> int:
    """``value``, which counts frames or pairs of a clip.

    Raises:
        ValueError: it is below 1.
    """
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value
