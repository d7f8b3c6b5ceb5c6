"""The numbers that stages logged, read back without what trains."""

import json
from pathlib import Path


def read_lines(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Step and numbers of every whole line, in the order of the file."""
    found = []
    if path.is_file():
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            try:
                numbers = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short when the process ended; the resumed run wrote the step again
            found.append((int(numbers.pop("step")), numbers))
    return found


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that `RunLogger` wrote: name to (step, value) in order of steps."""
    curves: dict[str, dict[int, float]] = {}
    for step, numbers in read_lines(path):
        for name, value in numbers.items():
            curves.setdefault(name, {})[step] = value
    return {name: sorted(points.items()) for name, points in curves.items()}
