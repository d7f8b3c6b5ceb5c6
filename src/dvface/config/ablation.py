"""What an experiment that declares a baseline changes against it."""

from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from dvface.config.compose import ABOUT, difference, groups, load_with_choices
from dvface.errors import UserError


def baseline_difference(tree: DictConfig, chosen: Mapping[str, str], overrides: Sequence[str]) -> list[str]:
    """What the chosen experiment changes against its baseline under the same other overrides.

    A part that another variant replaces is one line, in the words of the command line (``fusion/temporal: modulation
    -> none``); what else differs is a line a key. ``dvface config diff`` has every key.

    Args:
        tree: the training configuration that the overrides compose.
        chosen: the variant of every group, as `load_with_choices` gives it beside the tree.
        overrides: the words themselves.

    Returns:
        The lines; none where the experiment declares no baseline.

    Raises:
        UserError: it changes more than it names in ``ablates``; see also `dvface.config.compose.load`.
    """
    if tree.baseline is None:
        return []
    others = [_set_anyway(text) for text in overrides if not text.startswith("exp=")]
    baseline, replaced = load_with_choices("train", [f"exp={tree.baseline}", *others])
    changed = difference(baseline, tree)
    if not changed:
        return [f"nothing: what this experiment changes against {tree.baseline} is the same there already"]
    for key in changed if tree.ablates else ():
        if not any(key == named or key.startswith(f"{named}.") for named in tree.ablates):
            raise UserError(
                f"exp={tree.exp} changes {key} against {tree.baseline} and does not name it in ablates="
                f"[{', '.join(tree.ablates)}]; name it there, or leave it as it is in the baseline"
            )
    return change_lines(changed, replaced, chosen)


def change_lines(
    changed: Mapping[str, tuple[object, object]], before: Mapping[str, str], after: Mapping[str, str]
) -> list[str]:
    """Differences in the words of the command line where a whole part is another, else a line a key.

    Args:
        changed: what `dvface.config.compose.difference` found.
        before: the variant of every group on its left side.
        after: the same of its right side.
    """
    parts = _swapped_parts(before, after)
    lines = [f"{group}: {before.get(group)} -> {after.get(group)}" for group in parts]
    packages = [_package(group) for group in parts]
    return lines + [
        f"{key}: {left} -> {right}"
        for key, (left, right) in changed.items()
        if not any(key.startswith(f"{package}.") for package in packages)
    ]


def _set_anyway(word: str) -> str:
    """The word in a form that the baseline takes too where only a part of the ablation has the key."""
    key = word.partition("=")[0]
    return word if key.startswith(("+", "~")) or key.partition("@")[0] in groups() else f"++{word}"


def _swapped_parts(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Groups of which two configurations chose different variants, without those inside of another such part."""
    swapped = {
        group
        for group in {*one, *other}
        if one.get(group) != other.get(group) and not group.startswith("hydra/") and group not in ABOUT
    }
    packages = {group: _package(group) for group in swapped}
    return sorted(
        group
        for group, package in packages.items()
        if not any(package.startswith(f"{outer}.") for outer in packages.values())
    )


def _package(group: str) -> str:
    """Where a group's variant stands in the tree: ``fusion.temporal`` of ``fusion/temporal``, P of ``group@P``."""
    name, _, package = group.partition("@")
    return package or name.replace("/", ".")
