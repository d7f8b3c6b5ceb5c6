"""A whole video: look at it, restore it piece by piece, put it together with the sound it came with."""

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.inference.modes import Choice, assembled, decide
from dvface.inference.options import Advancing, RestoreOptions, RestoreReport, Watch, progress
from dvface.inference.output import Output, chosen_output, copies_untouched
from dvface.inference.part import Part
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.video.pictures import open_source
from dvface.video.timed import Source, TimedFrame

PIECE_WINDOWS = 20
"""Windows that make a piece of the output: what an interruption costs at most."""


def restore_frames(
    model: Restorer,
    frames: np.ndarray,
    options: RestoreOptions,
    detector: Callable[[], FaceDetector],
    watch: Watch = progress,
) -> np.ndarray:
    """Restore a clip in memory.

    Args:
        model: in evaluation mode.
        frames: (T, H, W, 3) uint8 or uint16 RGB.
        options: those of writing have no effect.
        detector: called where faces are looked for.
        watch: told of the progress.

    Returns:
        As ``frames``; of another size where ``options.export`` says so.

    Raises:
        UserError: the window does not fit the model.
        ValueError: the frames have another shape or type.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or not len(frames) or frames.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"frames are (T, H, W, 3) uint8 or uint16, not {frames.dtype} {frames.shape}")
    choice = decide(lambda: frames, len(frames), options, detector, None, watch)
    windows = windowed(model, choice, options)
    with watch("restore", len(frames), 0) as bar:
        return np.stack(list(_told(windows(frames), bar)))


def restore_file(
    model: Restorer,
    source: Path,
    target: Path,
    options: RestoreOptions,
    detector: Callable[[], FaceDetector],
    watch: Watch = progress,
) -> RestoreReport:
    """Restore a video file, at constant memory, and keep what else it holds.

    What is done so far lies in ``TARGET.part``; the same call goes on there, with the same result.

    Args:
        model: in evaluation mode.
        source: a video file or a folder of numbered pictures.
        target: a video file; without a suffix a folder of numbered pictures. It appears only when whole.
        options: see `RestoreOptions`.
        detector: called where faces are looked for.
        watch: told of the progress.

    Raises:
        UserError: the input is no whole video, the output cannot be written, is there already, or is the input; or an
            option does not fit.
    """
    check_paths(source, target, options.overwrite)
    video = open_source(source)
    output = chosen_output(target, video.facts, options)
    part = Part(target, _job(model, source, options), output.piece_suffix)
    notes = part.begin()
    with part.kept():
        choice = decide(
            lambda: (frame.pixels for frame in video.frames()),
            video.facts.frames,
            options,
            detector,
            part.faces,
            watch,
        )
        if choice.mode == "none" and copies_untouched(source, target, options):
            assert choice.faces is not None
            frames = choice.faces.frames
            with whole_file(target) as temporary:
                shutil.copyfile(source, temporary)
        else:
            frames = _restore_pieces(video, windowed(model, choice, options), output, part, watch)
            notes += [*video.notes, *output.finish(part.pieces())]
    part.remove()
    tracks = None if choice.faces is None else len(choice.faces.tracks)
    return RestoreReport(target, choice.mode, choice.reason, frames, tracks, tuple(notes))


def check_paths(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse outputs that would harm the input or something else.

    Raises:
        UserError: the input is missing, the output is the input, or lies within it, or is there already.
    """
    if not source.exists():
        raise UserError(f"input {source} does not exist; correct the path")
    if target.resolve() == source.resolve():
        raise UserError(f"output {target} is the input itself; name another file")
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"output {target} lies within the input folder {source}; name a place elsewhere")
    if target.exists() and not overwrite:
        raise UserError(f"output {target} is there already; name another, or say overwrite=true")


def windowed(model: Restorer, choice: Choice, options: RestoreOptions) -> WindowedRestorer:
    """The chosen restoration in windows.

    Raises:
        UserError: window, overlap or tile do not fit.
    """
    try:
        return WindowedRestorer(assembled(model, choice, options), options.window, options.overlap)
    except ValueError as error:
        raise UserError(
            f"window={options.window} overlap={options.overlap} tile={options.tile} "
            f"tile_overlap={options.tile_overlap}: {error}"
        ) from error


def _restore_pieces(video: Source, windows: WindowedRestorer, output: Output, part: Part, watch: Watch) -> int:
    """Write the pieces that are missing; returns the frames of all of them."""
    size = PIECE_WINDOWS * windows.step
    done = len(part.pieces())
    with watch("restore", video.facts.frames, done * size) as bar:
        stream = _told(_restored(video, windows, done * size), bar)
        while (head := next(stream, None)) is not None:
            output.write(part.piece(done), chain([head], islice(stream, size - 1)), done * size)
            done += 1
    return output.count(part.pieces())


def _restored(video: Source, windows: WindowedRestorer, first: int) -> Iterator[TimedFrame]:
    """Restored frames from ``first`` on, a multiple of the windows' step, with their times."""
    start = max(0, first - windows.step)
    times: deque[tuple[int, int]] = deque()

    def pixels() -> Iterator[np.ndarray]:
        for frame in video.frames(start):
            times.append((frame.time, frame.duration))
            yield frame.pixels

    for number, restored in enumerate(windows(pixels(), start), start=start):
        time, duration = times.popleft()
        if number >= first:
            yield TimedFrame(restored, time, duration)


def _told(frames: Iterator[Any], bar: Advancing) -> Iterator[Any]:
    for frame in frames:
        yield frame
        bar.advance()


def _job(model: Restorer, source: Path, options: RestoreOptions) -> dict[str, Any]:
    """What the result depends on."""
    facts = source.stat()
    weights = sum(float(value.double().abs().sum()) for value in model.state_dict().values())
    chosen = {name: value for name, value in asdict(options).items() if name != "overwrite"}
    return {"input": [source.name, facts.st_size, facts.st_mtime_ns], "weights": weights, "options": chosen}
