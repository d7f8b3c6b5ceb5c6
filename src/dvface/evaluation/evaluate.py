"""Restored videos against clean ones, from any method: looked at, measured once, written down."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dvface.errors import UserError
from dvface.evaluation.clip import leading, look
from dvface.evaluation.measure import metric_factories
from dvface.evaluation.pairs import Method, Pair, look_at_all
from dvface.evaluation.protocol import Mismatch
from dvface.evaluation.reading import pieces
from dvface.evaluation.records import Record, Records, maker, state_of
from dvface.evaluation.results import ClipResult, Measure, SetResult, intervals
from dvface.metrics.base import MeanMetric
from dvface.metrics.suite import MetricSuite
from dvface.report.progress import Progress
from dvface.tracking.environment import source_digest


class Measures:
    """What is to be measured, built and checked before anything else is done.

    Args:
        trees: measure -> its configuration.
        with_reference: whether there are clean videos.

    Raises:
        UserError: no measure can be taken.
    """

    def __init__(self, trees: Mapping[str, Mapping[str, Any]], with_reference: bool) -> None:
        self.suite = MetricSuite(metric_factories(trees))
        for name, metric in list(self.suite.metrics.items()):
            if metric.needs_clean and not with_reference:
                self.suite.leave_out(name, "it compares with clean videos, and there is no reference=")
        if not self.suite.metrics:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.suite.left_out.items())
            raise UserError(f"no measure can be taken ({reasons}); choose others: metrics=[psnr,ssim]")
        code = source_digest()
        self.makers = {
            name: maker(code, trees[name], metric.definition, [state_of(path) for path in metric.files])
            for name, metric in self.suite.metrics.items()
        }
        """Measure -> digest of what its evidence depends on besides the videos."""


def evaluate(
    methods: Mapping[str, Path],
    reference: Path | None,
    measures: Measures,
    out: Path,
    mismatch: Mismatch,
    say: Callable[[str], None],
) -> list[SetResult]:
    """Measure every clip of every method.

    Every clip is kept below ``out`` as soon as it is measured: the same call goes on where it was cut short, and
    with more measures only these are taken.

    Args:
        methods: name -> a video, a folder of frames, or a folder of either.
        reference: the clean ones, matched by name; None where there are none.
        measures: what is measured.
        out: the output folder.
        mismatch: what is done with two videos that do not go together frame by frame.
        say: is told what the user should know before the end.

    Raises:
        UserError: see `look_at_all`; or ``out`` is no folder.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    judged = look_at_all(methods, reference, mismatch, say)
    return _Measuring(measures, out).all(judged)


class _Measuring:
    """Measures method after method.

    Args:
        measures: what is measured.
        out: the output folder.
    """

    def __init__(self, measures: Measures, out: Path) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.suite = measures.suite.to(self.device)
        self.makers = measures.makers
        self.out = out

    def all(self, methods: Sequence[Method]) -> list[SetResult]:
        """What was found of each method."""
        total = sum(pair.frames for method in methods for pair in method.pairs)
        with Progress("measure frames", total=total) as bar:
            return [self._method(method, bar) for method in methods]

    def _method(self, method: Method, bar: Progress) -> SetResult:
        records = Records(self.out / "clips" / method.name)
        clips = []
        self.suite.reset()
        for pair in method.pairs:
            record = self._record(method.name, pair, records, bar)
            self.suite.add(record.evidence)
            clips.append(self._result(pair, record))
        mean = self.suite.compute() if clips else {}
        metrics = self.suite.metrics.items()
        return SetResult(
            method=method.name,
            clips=clips,
            mean=mean,
            interval=intervals(clips, list(mean)),
            measures=[
                Measure(name, metric.definition, metric.higher_is_better, metric.file_name) for name, metric in metrics
            ],
            left_out=self.suite.left_out,
            remarks=[
                *method.remarks,
                *(f"{name}: no answer of {count} of {len(clips)} clips" for name, count in self.suite.skipped.items()),
            ],
        )

    def _record(self, method: str, pair: Pair, records: Records, bar: Progress) -> Record:
        """The clip's record, measured now as far as it is not known."""
        runs = [[run.restored, run.reference, run.frames] for run in pair.pairing.runs]
        state = maker(state_of(pair.restored), state_of(pair.reference), runs)
        known = records.read(pair.name, state, self.makers)
        unknown = [name for name in self.makers if known is None or name not in known.evidence]
        if known is not None and not self._drawn(known):
            unknown = [name for name in self.makers if name in unknown or name == leading(self.suite)]
        note = f"{method} {pair.name}"
        if not unknown:
            assert known is not None
            bar.advance(pair.frames, note)
            return known
        looked = look(
            self.suite,
            unknown,
            pieces(pair.restored, pair.reference, pair.pairing.runs),
            self.device,
            self.out,
            f"{method}/{pair.name}",
            lambda frames: bar.advance(frames, note),
        )
        found = {} if known is None else dict(known.evidence)
        worst = looked.worst if leading(self.suite) in unknown else known.worst if known is not None else []
        record = Record({**found, **looked.evidence}, looked.numbers, worst)
        records.write(pair.name, state, record, self.makers)
        return record

    def _drawn(self, known: Record) -> bool:
        """Whether the worst frames by the measure that leads now are there to be shown."""
        first = leading(self.suite)
        if first is None or first not in known.evidence or known.evidence[first].isnan().all():
            return True
        return bool(known.worst) and all(
            frame.measure == first and (self.out / frame.picture).is_file() for frame in known.worst
        )

    def _result(self, pair: Pair, record: Record) -> ClipResult:
        per_frame, remarks = {}, list(pair.pairing.remarks)
        for name, metric in self.suite.metrics.items():
            evidence = record.evidence[name]
            if isinstance(metric, MeanMetric):
                per_frame[name] = [None if number != number else number for number in evidence.tolist()]
            if remark := metric.remark(evidence):
                remarks.append(f"{name}: {remark}")
        return ClipResult(
            name=pair.name,
            frames=pair.frames,
            offset=pair.pairing.offset,
            values=self.suite.of_clip(record.evidence),
            per_frame=per_frame,
            numbers=record.numbers,
            remarks=remarks,
            worst=record.worst,
        )
