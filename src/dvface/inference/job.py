"""A whole video: look at it, restore it piece by piece, put it together with the sound it came with."""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dvface.files import text_sha256, whole_file
from dvface.inference.checks import check_paths, check_windows, memory_suffices, windows_fit
from dvface.inference.modes import Choice, assembled, decide
from dvface.inference.options import Advancing, RestoreOptions, RestoreReport, Watch, progress, silent
from dvface.inference.output import Output, chosen_output, copies_untouched
from dvface.inference.part import Part
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.version import __version__
from dvface.video.pictures import open_source
from dvface.video.read import frame_files
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
        return np.stack(list(_told(windows(frames), bar, windows.step)))


def restore_file(
    model: Restorer,
    source: Path,
    target: Path,
    options: RestoreOptions,
    detector: Callable[[], FaceDetector],
    watch: Watch = progress,
    say: Callable[[str], None] = silent,
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
        say: told at once what is taken over from an earlier run, and the mode.

    Raises:
        UserError: the input is no whole video, the output cannot be written, is there already, or is the input; an
            option does not fit; what lies in ``TARGET.part`` is of another job, or another process works on it; or
            there is too little memory.
    """
    target = target if target.name else target.resolve()
    check_paths(source, target, options.overwrite)
    check_windows(model, options)
    video = open_source(source, Fraction(str(options.rate)))
    output = chosen_output(target, video.facts, options)
    job = _job(model, source, options, detector)
    part = Part(target, job, output.piece_suffix, lambda piece: output.frames(piece) > 0, options.overwrite)
    with part.begun() as notes:
        for note in notes:
            say(note)
        choice = decide(
            lambda: (frame.pixels for frame in video.frames()),
            video.facts.frames,
            options,
            detector,
            part.faces,
            watch,
        )
        say(f"mode {choice.mode}: {choice.reason}")
        if choice.mode == "none" and copies_untouched(source, target, options):
            assert choice.faces is not None
            frames = choice.faces.frames
            with whole_file(target) as temporary:
                shutil.copyfile(source, temporary)
        else:
            with memory_suffices():
                frames = _restore_pieces(video, windowed(model, choice, options), output, part, watch)
            check_paths(source, target, options.overwrite)  # hours may have gone by
            notes += [*video.notes, *output.finish(part.pieces())]
        part.remove()
    tracks = None if choice.faces is None else len(choice.faces.tracks)
    return RestoreReport(target, choice.mode, choice.reason, frames, tracks, tuple(notes))


def windowed(model: Restorer, choice: Choice, options: RestoreOptions) -> WindowedRestorer:
    """The chosen restoration in windows.

    Raises:
        UserError: window, overlap or tile do not fit.
    """
    with windows_fit(options):
        return WindowedRestorer(assembled(model, choice, options), options.window, options.overlap)


def _restore_pieces(video: Source, windows: WindowedRestorer, output: Output, part: Part, watch: Watch) -> int:
    """Write the pieces that are missing; returns the frames of all of them."""
    size = PIECE_WINDOWS * windows.step
    done = len(part.pieces())
    with watch("restore", video.facts.frames, done * size) as bar:
        stream = _told(_restored(video, windows, done * size), bar, windows.step)
        while (head := next(stream, None)) is not None:
            output.write(part.piece(done), chain([head], islice(stream, size - 1)), done * size)
            done += 1
    return sum(map(output.frames, part.pieces()))


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


def _told(frames: Iterator[Any], bar: Advancing, step: int) -> Iterator[Any]:
    """Tell of ``step`` frames at once, as a window gives them: in between the time left would be judged wrongly."""
    done = 0
    for done, frame in enumerate(frames, start=1):
        yield frame
        if not done % step:
            bar.advance(step)
    bar.advance(done % step)


def _job(
    model: Restorer, source: Path, options: RestoreOptions, detector: Callable[[], FaceDetector]
) -> dict[str, Any]:
    """What the result depends on."""
    files = [source] if source.is_file() else frame_files(source)
    facts = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    return {
        "dvface": __version__,
        "input": [source.name, text_sha256(json.dumps(facts))],
        "model": _fingerprint(model),
        "detector": detector().name if options.mode in ("auto", "faces") else None,
        "options": {name: value for name, value in asdict(options).items() if name != "overwrite"},
    }


def _fingerprint(model: Restorer) -> str:
    digest = hashlib.sha256(repr(model).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
