"""What the page says, and that a file's name cannot write HTML into it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from dvface.app import texts
from dvface.app.comparison import Comparison, Measure
from dvface.app.jobs import Job, Phase, Standing
from dvface.app.work import Restored
from dvface.report.progress import State

NAME = "<img src=x onerror=alert(1)>&.mp4"


@dataclass(frozen=True)
class Done:
    mode: str = "faces"
    reason: str = "two faces were found"
    frames: int = 48
    faces: int | None = 2
    notes: tuple[str, ...] = ("the subtitle <3> was dropped",)


@pytest.fixture
def job() -> Job[Restored]:
    return Job("page", Path("/jobs/a-key"), NAME, "auto", 0.0)


def restored(report: Done) -> Restored:
    measures = (Measure("Flicker", 1.25, None, "%", "Lower is calmer."),)
    return Restored(NAME, "pair.mp4", report, 12.34, Comparison(48, 352, 288, Fraction(30000, 1001), measures))


@pytest.mark.parametrize(
    ("ahead", "said"), [(0, "Yours is next."), (1, "1 video is before yours"), (3, "3 videos are before yours")]
)
def test_who_waits_sees_the_place_in_the_line(job: Job[Restored], ahead: int, said: str) -> None:
    assert said in texts.standing(job, Standing(Phase.WAITING), ahead)


def test_work_shows_a_bar_and_the_time_left(job: Job[Restored]) -> None:
    state = Standing[Restored](Phase.WORKING, "restore", State(30, 30, 120, 10.0, ""))
    said = texts.standing(job, state, 0)
    assert "Restore: 30 of 120 · 25 % · about 00:30 left" in said
    assert '<progress class="dv-bar" aria-label="Progress" value="30" max="120">' in said


def test_work_of_unknown_length_shows_a_bar_without_a_place(job: Job[Restored]) -> None:
    state = Standing[Restored](Phase.WORKING, "look", State(0, 0, None, 0.0, ""))
    assert '<progress class="dv-bar" aria-label="Progress"></progress>' in texts.standing(job, state, 0)


def test_a_cancelled_job_at_work_says_that_it_stops(job: Job[Restored]) -> None:
    job.cancel()
    assert "Stopping" in texts.standing(job, Standing(Phase.WORKING), 0)


def test_a_refusal_is_an_alert_with_one_full_stop() -> None:
    said = texts.refused("old.mp4 is too long; cut it")
    assert 'role="alert"' in said
    assert "Old.mp4 is too long; cut it.</p>" in said
    assert "..</p>" not in texts.refused("no.")


def test_nothing_from_a_file_becomes_html(job: Job[Restored]) -> None:
    finished = restored(Done())
    for text in (
        texts.result(job, finished),
        texts.refused(f"{NAME} is no video"),
        texts.standing(job, Standing(Phase.CANCELLED), 0),
        texts.checkpoint(NAME),
    ):
        assert "<img" not in text
    assert "the subtitle &lt;3&gt; was dropped" in texts.result(job, finished)


def test_the_result_offers_the_file_under_its_name_and_tells_the_player_frames_and_rate(job: Job[Restored]) -> None:
    text = texts.result(job, restored(Done()))
    assert 'href="files/a-key/%3Cimg' in text
    assert 'src="files/a-key/pair.mp4" frames="48" rate="29.970030" width="352" height="288"' in text
    assert "1.25 %" in text
    assert "<td>–</td>" in text


def test_faces_that_nobody_looked_for_are_not_counted_as_none(job: Job[Restored]) -> None:
    assert "not looked for" in texts.result(job, restored(Done(faces=None)))
    assert "not looked for" not in texts.result(job, restored(Done(faces=0)))
