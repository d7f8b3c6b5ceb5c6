"""From the words of a command to the overrides of each job, and to names that are found again."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import compress, product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException

from dvface.config.compose import groups
from dvface.errors import UserError
from dvface.files import text_sha256

LONGEST = 100  # letters of a name; file systems allow 255 bytes, and a log's name is longer than its job's
DIGITS = 8  # of the hash that tells apart what a name cannot show
ELSEWHERE = ("exp", "runs")  # keys that a run folder's path already shows


@dataclass(frozen=True)
class Combination:
    """What one job is given.

    Attributes:
        label: the values that tell it from the sweep's other jobs, as ``exp=a,seed=0``.
        overrides: all of its overrides of ``conf/train.yaml``.
    """

    label: str
    overrides: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All overrides, and the name of the run."""
        return (*self.overrides, f"name='{job_name(self.overrides)}'")


def separate(overrides: Sequence[str], own: Collection[str]) -> tuple[list[str], list[str]]:
    """The overrides of the keys in ``own`` and of what lies below them, and all others."""
    mine = [text for text in overrides if re.split(r"[./@]", _key(text))[0] in own]
    return mine, [text for text in overrides if text not in mine]


def expand(overrides: Sequence[str]) -> list[Combination]:
    """Every combination of the swept values, the last key changing fastest.

    Args:
        overrides: Hydra overrides; ``a=1,2``, ``a=choice(1,2)``, ``a=range(0,3)`` and, of a group,
            ``a=glob(pattern*)`` are swept. Others go to every job as they are.

    Raises:
        UserError: a key is given twice, or its values cannot be listed.
    """
    keys = [_key(text) for text in overrides]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"{key} is given twice; write all of its values in one word: {key}=VALUE,VALUE")
    choices = [_values(text) for text in overrides]
    swept = [len(values) > 1 for values in choices]
    return [Combination(_safe(",".join(compress(words, swept))), words) for words in product(*choices)]


def job_name(overrides: Sequence[str]) -> str:
    """The name of the run with these overrides, as ``seed=1,size.entries=8``: the same for the same overrides.

    All overrides count, not only those that were swept, since another value of any of them is another run. The order
    does not count, nor do keys that the folder above already shows. Short keys come first: where a name is too long,
    the seed stays in sight.
    """
    shown = [text for text in overrides if _key(text) not in ELSEWHERE]
    return _safe(",".join(sorted(shown, key=lambda text: (len(_key(text)), text))))


def sweep_name(overrides: Sequence[str]) -> str:
    """The name of the sweep with these words, as ``exp=a,b+seed=0,1``: what is swept in it, or its only job.

    A hash tells apart sweeps that differ in their other words.
    """
    counted = [text for text in overrides if _key(text) != "runs"]
    swept = [text for text in counted if len(_values(text)) > 1]
    if not swept:
        return job_name(overrides)
    return _safe("+".join(swept), " ".join(sorted(text for text in counted if text not in swept)))


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]


def _values(text: str) -> list[str]:
    """``text`` for each of its values."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        return [text]  # as a file's name may be; composing says what is wrong with others
    if not override.is_sweep_override():
        return [text]
    if override.is_interval_sweep():
        raise UserError(f"{text}: an interval's values cannot be listed; write them, as in {_key(text)}=0.1,0.2")
    pattern = override.value()
    if isinstance(pattern, Glob):
        values = pattern.filter(groups().get(override.key_or_group, []))
        if not values:
            raise UserError(f"{text}: no variant of a group has such a name; see dvface config list")
    else:
        values = list(override.sweep_string_iterator())
    return list(dict.fromkeys(f"{override.get_key_element()}={value}" for value in values))


def _safe(text: str, unseen: str = "") -> str:
    """``text`` as the name of a file; a hash tells apart what would look alike, or differs in something ``unseen``."""
    # A group and the key of the same path cannot both be given a word: this change needs no hash.
    plain = re.sub(r"[^=,+]+(?==)", lambda key: key[0].replace("/", "."), text)
    shown = re.sub(r"[^\w=,.+@%\[\]-]", "-", plain, flags=re.ASCII)
    if not shown.strip("."):
        return "default"
    if shown == plain and len(shown) <= LONGEST and not unseen:
        return shown
    digest = text_sha256(f"{text} {unseen}")[:DIGITS]
    return f"{shown[: LONGEST - DIGITS - 1]}-{digest}"
