"""Which rules a cases file is about: the file beside it, files by their paths, packs by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.policy.problems import RuleErrors
from proxy.rehearsal.casefile import read_cases
from proxy.settings import packs_directory

STORY = "version: 1\n{}cases: [{{name: one, steps: [{{user: hello}}]}}]\n"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("", ["{here}/mine.yaml"]),
        ("rules: other.yaml\n", ["{here}/other.yaml"]),
        (
            "rules: [mine.yaml, ../shared/base.yaml]\n",
            ["{here}/mine.yaml", "{here}/../shared/base.yaml"],
        ),
        ("rules: [mine.yaml, shell]\n", ["{here}/mine.yaml", "{packs}/shell.yaml"]),
    ],
    ids=["beside", "a-file", "files", "a-pack"],
)
def test_the_rules_of_a_cases_file(stated: str, expected: list[str], tmp_path: Path) -> None:
    file = read_cases(tmp_path / "mine.cases.yaml", STORY.format(stated))
    told = [text.format(here=tmp_path, packs=packs_directory()) for text in expected]
    assert [str(path) for path in file.rules] == told


def test_a_pack_that_there_is_not_is_told_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        RuleErrors, match=r"mine.cases.yaml:2:8: .*no pack 'shel'; did you mean 'shell'\?"
    ):
        read_cases(tmp_path / "mine.cases.yaml", STORY.format("rules: shel\n"))
