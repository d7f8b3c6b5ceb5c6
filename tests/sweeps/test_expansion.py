"""Words of a sweep: which jobs they mean, and what those are called."""

import pytest

from dvface.errors import UserError
from dvface.sweeps.expansion import expand, job_name, separate, sweep_name


class TestWords:
    def test_every_combination_is_a_job_and_other_words_go_to_all(self) -> None:
        words = ["exp=a,b", "prior.encoder.channels=[8,8,8]", "seed=range(0,2)", "~metrics.psnr", "note='x,y'"]
        found = expand(words)
        assert [job.label for job in found] == ["exp=a,seed=0", "exp=a,seed=1", "exp=b,seed=0", "exp=b,seed=1"]
        assert found[1].overrides == (
            "exp=a",
            "prior.encoder.channels=[8,8,8]",
            "seed=1",
            "~metrics.psnr",
            "note='x,y'",
        )

    def test_lists_are_swept_as_lists_and_a_value_given_twice_is_one_job(self) -> None:
        found = [job.overrides for job in expand(["size.list=[1,2],[3]", "seed=0,0"])]
        assert found == [("size.list=[1,2]", "seed=0"), ("size.list=[3]", "seed=0")]

    def test_a_pattern_stands_for_the_variants_of_a_group(self) -> None:
        assert ("exp=ablation_no_temporal",) in [job.overrides for job in expand(["exp=glob(ablation_*)"])]
        with pytest.raises(UserError, match="no variant"):
            expand(["exp=glob(nothing*)"])

    @pytest.mark.parametrize(
        ("words", "said"), [(["seed=0", "seed=1"], "given twice"), (["seed=interval(0,1)"], "cannot be listed")]
    )
    def test_what_cannot_be_listed_is_refused(self, words: list[str], said: str) -> None:
        with pytest.raises(UserError, match=said):
            expand(words)

    def test_the_sweep_s_own_keys_are_told_from_those_of_training(self) -> None:
        words = ["launcher=slurm", "launcher.nodes=2", "sweep=mine", "+launcher.cluster=local", "seed=0", "launchers=1"]
        own, others = separate(words, ["launcher", "sweep"])
        assert own == words[:4]
        assert others == words[4:]

    def test_a_name_shows_all_values_and_depends_on_nothing_else(self) -> None:
        assert job_name(["size.entries=8", "exp=tiny", "runs=/a", "seed=1"]) == "seed=1,size.entries=8"
        assert job_name(["seed=1", "size.entries=8"]) == "seed=1,size.entries=8"
        assert job_name(["codebook/spatial=none"]) == "codebook.spatial=none"
        assert job_name(["exp=tiny"]) == "default"

    def test_names_that_would_look_alike_or_be_too_long_are_told_apart(self) -> None:
        words = [["a=x/y"], ["a=x:y"], ["a=../y"], ["a=" + 300 * "x"], ["a=" + 301 * "x"]]
        names = [job_name(overrides) for overrides in words]
        assert len(set(names)) == len(names)
        assert all("/" not in name and len(name) <= 100 for name in names)
        assert job_name(["a.long.key=" + 300 * "x", "seed=3"]).startswith("seed=3,a.long.key=xxx")

    def test_a_sweep_is_named_after_what_is_swept_and_told_from_others_of_the_same_values(self) -> None:
        assert sweep_name(["exp=a,b", "seed=0,1", "runs=/a"]) == "exp=a,b+seed=0,1"
        assert sweep_name(["seed=0"]) == "seed=0"
        names = {sweep_name(["seed=0,1", *others]) for others in ([], ["size.entries=8"], ["size.entries=9"])}
        assert len(names) == 3
        assert all(name.startswith("seed=0,1") for name in names)
