import io
import time

import pytest

from dvface.report.progress import Progress, duration_text


class Clock:
    """Seconds that pass only when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_a_line_says_count_percent_elapsed_left_and_note():
    clock, stream = Clock(), io.StringIO()
    with Progress("restorer", total=300, clock=clock, stream=stream) as progress:
        clock.now += 51
        progress.advance(120, note="loss 0.12")
        assert lines(stream) == ["restorer 120/300 (40 %) · 00:51 elapsed · 01:16 left · loss 0.12"]


def test_lines_come_at_most_every_interval_and_once_at_the_end():
    clock, stream = Clock(), io.StringIO()
    with Progress("work", total=100, interval=10, clock=clock, stream=stream) as progress:
        for _ in range(35):
            clock.now += 1
            progress.advance()
    counts = [line.split()[1] for line in lines(stream)]
    assert counts == ["10/100", "20/100", "30/100", "35/100"]


def test_time_left_of_resumed_work_comes_from_the_work_of_this_process():
    clock, stream = Clock(), io.StringIO()
    with Progress("work", total=100, start=80, clock=clock, stream=stream) as progress:
        clock.now += 20
        progress.advance(10)
    # Ten units took 20 s, so the last ten take 20 s more; judged by all 90 units it would be 2 s.
    assert lines(stream)[0] == "work 90/100 (90 %) · 00:20 elapsed · 00:20 left"


def test_unknown_total_shows_count_and_pace():
    clock, stream = Clock(), io.StringIO()
    with Progress("shards", clock=clock, stream=stream) as progress:
        clock.now += 20
        progress.advance(30)
    assert lines(stream)[-1] == "shards 30 · 1.50/s · 00:20 elapsed"


def test_interrupted_work_says_where_it_stopped():
    clock, stream = Clock(), io.StringIO()
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        Progress("work", total=4, clock=clock, stream=stream) as progress,
    ):
        progress.advance(3)
        raise KeyboardInterrupt
    assert lines(stream)[-1].startswith("work 3/4 (75 %)")


def test_a_terminal_gets_a_bar_and_a_second_one_may_open(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    first, second = Terminal(), Terminal()
    with (
        Progress("[outer]", total=3, stream=first) as outer,
        Progress("inner", total=5, start=2, stream=second) as inner,
    ):
        outer.advance(3, note="loss [0.1]")
        inner.advance(1)
    assert "[outer]" in first.getvalue()
    assert "loss [0.1]" in first.getvalue()
    assert "3/3" in first.getvalue()
    assert "3/5" in second.getvalue()


def test_silent_advances_cost_less_than_20_microseconds():
    stream = io.StringIO()
    with Progress("work", total=20000, interval=1000, stream=stream) as progress:
        began = time.process_time()
        for _ in range(20000):
            progress.advance(1, note="loss")
        assert (time.process_time() - began) / 20000 < 20e-6
        assert stream.getvalue() == ""


def test_duration_text():
    assert [duration_text(seconds) for seconds in (0, 59.9, 61, 3599, 3600, 90061)] == [
        "00:00",
        "00:59",
        "01:01",
        "59:59",
        "1:00:00",
        "25:01:01",
    ]
