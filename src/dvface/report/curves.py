"""Measured values over training steps as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dvface.files import whole_file


def plot_curves(path: str | Path, curves: Mapping[str, Sequence[tuple[int, float]]], title: str) -> None:
    """Draw each curve over its steps and write a PNG; the file appears only when whole.

    Args:
        path: the PNG file.
        curves: label -> (step, value) pairs; a value that is not finite leaves a gap.
        title: heading of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for label, points in curves.items():
        # A curve of one point would be invisible without a marker.
        marker = "o" if len(points) == 1 else ""
        steps, values = [step for step, _ in points], [value for _, value in points]
        axes.plot(steps, values, label=label, marker=marker)
    axes.set(title=title, xlabel="step")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend()
    with whole_file(path) as temporary:
        canvas.print_png(temporary)
