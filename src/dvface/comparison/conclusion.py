"""What the tests allow to be said, in plain words, and no more."""

from collections.abc import Sequence

from dvface.comparison.analysis import Comparison, Tested
from dvface.comparison.differences import POWER, Difference
from dvface.evaluation.tables import number_form
from dvface.tracking.compare import better_side

FEW_SEEDS, FEW_CLIPS = 5, 10
"""Below these the reader is warned."""

METHOD = (
    "Differences are variant less baseline of the same seed and the same clip. [low, high] is the 95 % interval of a "
    "mean by Student's t with seeds and clips both as random, crossed (Satterthwaite's degrees of freedom): where the "
    "mean of other seeds on other clips of this kind would lie. Intervals are not corrected for several comparisons.",
    "p is that of the primary test: the same t of the mean difference, or, where there is one seed, the sign-flip test "
    "over clips. It is corrected by Holm for the variants that were tested by a measure; nothing corrects for several "
    "measures, so all but the first are hints.",
    "For comparison only: p over clips is that of the sign-flip test with seeds averaged, which speaks of these "
    "trained models alone; p over seeds that of the t-test with clips averaged, which speaks of these clips alone.",
    f"Detectable is the smallest true difference that would have been shown in {POWER:.0%} of such experiments, after "
    "correction, if seeds and clips vary as they did here.",
)
"""What every number of a comparison is."""


def conclusion(comparison: Comparison) -> list[str]:
    """Sentences: what was asked, what the main measure shows of every variant, what others hint at, and the limits."""
    main = comparison.measures[0]
    tests = comparison.of(main)
    if not tests:
        return [f"There is one variant, {comparison.baseline.label}, and nothing to compare it with."]
    said = [_verdict(comparison, test) for test in tests]
    hints = [_hint(comparison, test) for name in comparison.measures[1:] for test in comparison.of(name) if test.shown]
    if hints:
        said.append(f"By other measures, as hints: {'; '.join(hints)}.")
    elif len(comparison.measures) > 1:
        said.append("By the other measures no difference is shown.")
    return [*said, *limits([test.difference for test in tests if test.difference is not None])]


def limits(found: Sequence[Difference]) -> list[str]:
    """What so few seeds and clips cannot tell."""
    if not found:
        return []
    said = []
    seeds, clips = min(one.seeds for one in found), min(one.clips for one in found)
    if seeds == 1:
        said.append(
            "Where there is one seed, nothing is known of how much training it again would change: what is said holds "
            "for these trained models, not for the methods."
        )
    elif seeds < FEW_SEEDS:
        said.append(f"{seeds} seeds tell little of how much training again changes; more would narrow every interval.")
    if clips < FEW_CLIPS:
        said.append(f"{_count(clips, 'clip')} tell little of other footage.")
    return said


def p_text(p: float) -> str:
    """As papers write it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def _verdict(comparison: Comparison, test: Tested) -> str:
    baseline, found = comparison.baseline.label, test.difference
    if found is None:
        return f"{test.variant} cannot be compared with {baseline}: {test.reason}."
    numbers = _numbers(comparison, test, found)
    if test.corrected is None:
        return f"{test.variant} and {baseline} were compared by a single number ({numbers}), which shows nothing."
    if test.shown:
        if found.seeds == 1:
            return f"The trained model of {test.variant} {_is(test, found)} than that of {baseline}: {numbers}."
        return f"{test.variant} {_is(test, found)} than {baseline}: {numbers}."
    return f"No difference shown between {test.variant} and {baseline}: {numbers}; {_power(test)}."


def _hint(comparison: Comparison, test: Tested) -> str:
    assert test.difference is not None
    return f"{test.variant} {_is(test, test.difference)} ({_numbers(comparison, test, test.difference)})"


def _is(test: Tested, found: Difference) -> str:
    side = better_side(test.measure)
    if side == "neither":
        return "is higher" if found.mean > 0 else "is lower"
    return "is better" if (found.mean > 0) == (side == "higher") else "is worse"


def _power(test: Tested) -> str:
    if test.detectable is None:
        return "none, however large, could have been shown by so few clips of one seed"
    return f"one below about {test.detectable:{number_form(test.measure)}} would mostly have gone unnoticed"


def _numbers(comparison: Comparison, test: Tested, found: Difference) -> str:
    form = number_form(test.measure)
    parts = [f"{test.measure} {found.mean:+{form}}"]
    if found.interval is not None:
        low, high = found.interval
        parts.append(f"[{low:+{form}}, {high:+{form}}]")
    text = " ".join(parts)
    if test.corrected is not None:
        rivals = sum(one.corrected is not None for one in comparison.of(test.measure))
        text += f", {p_text(test.corrected)}" + (f" after correction for {rivals} comparisons" if rivals > 1 else "")
    return (
        f"{text}, higher for {found.seeds_above} of {_count(found.seeds, 'seed')} and "
        f"{found.clips_above} of {_count(found.clips, 'clip')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
