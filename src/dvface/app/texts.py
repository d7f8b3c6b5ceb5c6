"""Pieces of the page as HTML; whatever comes from a file or a user is escaped."""

from html import escape
from urllib.parse import quote

from dvface.app.comparison import Measure
from dvface.app.jobs import Job, Phase, Standing
from dvface.app.limits import Limits, Upload
from dvface.app.work import Restored
from dvface.report.progress import duration_text

ABOUT = """
<header class="dv-head">
  <h1>dvface</h1>
  <p>Restores faces in old, small or badly compressed videos, on this machine: nothing is sent anywhere else. Frame
  rate and sound stay as they are.</p>
  <p class="dv-warn"><strong>Detail that the input does not show is made up.</strong> Do not use the result to identify
  people.</p>
</header>
"""


def checkpoint(name: str) -> str:
    """Which model restores."""
    return f'<p class="dv-checkpoint">Checkpoint: <strong>{escape(name)}</strong></p>'


def accepted(limits: Limits) -> str:
    """What may be uploaded."""
    line = limits.line()
    return f'<p class="dv-fine">{escape(line[:1].upper() + line[1:])}.</p>'


def empty() -> str:
    """The result's place before there is one."""
    return (
        '<div class="dv-empty"><p><strong>No video restored yet.</strong></p>'
        "<ol><li>Choose a video, or record one with the camera.</li>"
        "<li>Press <em>Restore</em>.</li>"
        "<li>Compare before and after here, frame by frame, and download the result.</li></ol>"
        "</div>"
    )


def chosen(upload: Upload) -> str:
    """A video was chosen and fits."""
    return _status("ready", f"Ready: {upload.line()}.")


def refused(sentence: str) -> str:
    """A user's mistake, in its one sentence."""
    text = sentence[:1].upper() + sentence[1:]
    return f'<div class="dv-status dv-bad" role="alert"><p>{escape(text)}{_stop(text)}</p></div>'


def idle() -> str:
    """No video is chosen."""
    return _status("idle", "Choose a video to begin.")


def standing(job: Job[Restored], state: Standing[Restored], ahead: int) -> str:
    """Where a job is: its place in the line, a bar with the time left, or how it ended."""
    if state.phase is Phase.FAILED:
        return refused(state.message)
    if state.phase is Phase.CANCELLED:
        return _status("idle", f"Cancelled: {job.name} was not restored.")
    if state.phase is Phase.DONE and state.result is not None:
        result = state.result
        return _status("done", f"Done: {result.report.frames} frames restored in {duration_text(result.seconds)}.")
    if state.phase is Phase.WAITING:
        jobs = "1 video is" if ahead == 1 else f"{ahead} videos are"
        return _status("waiting", f"Waiting in line: {jobs} before yours." if ahead else "Yours is next.")
    if job.unwanted:
        return _status("waiting", "Stopping after the frames at work…")
    return _working(state)


def _working(state: Standing[Restored]) -> str:
    progress = state.progress
    if progress is None:
        return _status("working", "Opening the video…") + _bar(None, 1)
    title = state.title[:1].upper() + state.title[1:]
    words = [f"{title}: {progress.completed}"]
    if progress.total:
        words = [f"{title}: {progress.completed} of {progress.total}"]
        words.append(f"{100 * progress.completed // progress.total} %")
    left = progress.seconds_left
    words.append("estimating the time left" if left is None else f"about {duration_text(left)} left in this step")
    return _status("working", " · ".join(words)) + _bar(progress.completed, progress.total)


def _bar(done: int | None, total: int | None) -> str:
    value = "" if done is None or not total else f' value="{done}" max="{total}"'
    return f'<progress class="dv-bar" aria-label="Progress"{value}></progress>'


def _status(kind: str, sentence: str) -> str:
    return f'<div class="dv-status dv-{kind}" role="status"><p>{escape(sentence)}</p></div>'


def _stop(sentence: str) -> str:
    return "" if sentence.endswith((".", "!", "?")) else "."


def result(job: Job[Restored], restored: Restored) -> str:
    """Player, facts, download and measures of a finished job."""
    seen, report = restored.comparison, restored.report
    player = (
        f'<dvface-player src="files/{job.key}/{escape(restored.pair)}" frames="{seen.frames}" '
        f'rate="{float(seen.rate):.6f}" width="{seen.width}" height="{seen.height}"></dvface-player>'
    )
    address = f"files/{job.key}/{quote(restored.file)}"
    download = (
        f'<p><a class="dv-download" href="{address}" download="{escape(restored.file)}">'
        f"Download {escape(restored.file)}</a></p>"
    )
    return (
        f'<section class="dv-result" aria-label="Result">{player}{download}{_facts(restored)}'
        f"{_notes(report.notes)}{_measures(seen.measures)}</section>"
    )


def _notes(notes: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="dv-notes">{items}</ul>' if items else ""


def _facts(restored: Restored) -> str:
    report = restored.report
    pairs = [
        ("Frames", str(report.frames)),
        ("Faces followed", "not looked for" if report.faces is None else str(report.faces)),
        ("Time taken", f"{restored.seconds:.1f} s"),
        ("Mode", f"{report.mode} – {report.reason}"),
    ]
    return (
        '<dl class="dv-facts">'
        + "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
        + "</dl>"
    )


def _measures(measures: tuple[Measure, ...]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(each.name)}<span class="dv-fine">{escape(each.explanation)}</span></th>'
        f"<td>{_number(each.before, each.unit)}</td><td>{_number(each.after, each.unit)}</td></tr>"
        for each in measures
        if (each.before, each.after) != (None, None)
    )
    return (
        '<table class="dv-measures"><caption>Measured without a clean original</caption>'
        '<thead><tr><th scope="col">Measure</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.2f}{f' {unit}' if unit else ''}"
