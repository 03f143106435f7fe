"""The `model` benchmark: its measures, and all of it for real at the smallest size."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_model
import numpy as np
import pytest
import textures
import torch
from bench_model_arms import judge, measures, prompts, sheet
from bench_model_arms import model as arm
from bench_model_arms.maker import Maker
from PIL import Image

VALUES = (-1.3, -0.6, 0.0, 0.6, 1.3)


def swept(family: str, **attributes: float) -> np.ndarray:
    texture = textures.Texture(family, "teal", "cream", prompts.PLAIN | attributes)
    return textures.render(texture, np.random.default_rng(1), 128)


@pytest.mark.parametrize("attribute", textures.PAIRS)
def test_a_measure_grows_with_its_attribute_on_drawn_textures(attribute: str) -> None:
    measure = measures.ATTRIBUTES[attribute]
    rows = [[measure(swept(family, **{attribute: value})) for value in VALUES] for family in textures.FAMILIES[::3]]
    assert measures.rank(VALUES, np.mean(rows, 0).tolist()) >= 0.95


def test_measures_say_nothing_of_a_picture_of_one_colour() -> None:
    flat = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    found = {name: measure(flat) for name, measure in measures.ATTRIBUTES.items()}
    assert found["warmth"] == 150 and found["contrast"] == 0 and found["roughness"] < 1e-9
    assert all(np.isfinite(value) for value in found.values())
    assert measures.seams(flat) == [(1, 1), (1, 1)]
    assert measures.likeness(flat, swept("cells")) == 0
    assert measures.rank(VALUES, [3.0] * 5) == 0


def test_a_seam_is_seen_where_a_picture_does_not_tile() -> None:
    whole = swept("clouds")
    assert max(ratio for pair in measures.seams(whole) for ratio in pair) < 2
    (columns, by_largest), (rows, _) = measures.seams(whole[:, :90])
    assert columns > 3 and by_largest > 1.5 and rows < 2


def test_layouts_are_alike_whatever_their_colours_and_details() -> None:
    one, other = swept("cells", scale=1.0), swept("marble", scale=1.0)
    rough = np.clip(one * 0.5 + np.random.default_rng(0).normal(60, 12, one.shape), 0, 255)
    assert measures.likeness(one, rough) > 0.95
    assert abs(measures.likeness(one, other)) < 0.5
    assert bench_model.decibels(measures.mean_square(one, one + np.uint8(0))) == 100
    assert bench_model.decibels(measures.mean_square(one // 2, one // 2 + 51)) == pytest.approx(20 * np.log10(5))


def test_prompts_have_all_families_and_colours_in_turn_and_never_two_colours_alike() -> None:
    count = 10 * len(textures.FAMILIES)
    asked = [prompts.asked(prompts.WORDS, number) for number in range(count)]
    mains = [one.main for one in asked]
    assert {mains.count(colour) for colour in textures.COLOURS} <= {count // len(textures.COLOURS) + n for n in (-1, 0, 1)}
    assert min(prompts.distance(one.main, one.second) for one in asked) >= prompts.UNLIKE
    assert prompts.distance("black", "white") > 80 and prompts.distance("white", "cream") < prompts.UNLIKE
    texts = [prompts.prompt(one, number // len(textures.FAMILIES)) for number, one in enumerate(asked)]
    assert len(set(texts)) == count
    assert all(one.main in text and one.second in text for one, text in zip(asked, texts, strict=True))


def test_a_word_is_weighed_as_the_broker_writes_it() -> None:
    assert [arm.said("turbulence", weight) for weight in (-1.3, 0.0, 0.1)] == [", (calm)1.30", "", ", (turbulent)0.10"]


def test_the_judge_sees_patterns_whatever_their_colours_and_learns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = torch.from_numpy(swept("bricks")).permute(2, 0, 1)[None].float() / 127.5 - 1
    dark = -0.5 * shown[:, [2, 0, 1]]
    one, other = judge.structure(shown), judge.structure(dark)
    assert float((one * other).mean()) > 0.95 and float(one.std()) == pytest.approx(1, abs=0.01)

    monkeypatch.setattr(judge, "ROOT", tmp_path)
    said = list[str]()
    first, second = (judge.trained(36, 1, said.append) for _ in range(2))
    pictures = [swept(family) for family in textures.FAMILIES]
    assert first.look(pictures) == second.look(pictures)
    assert len(said) == 1 and len(list(tmp_path.glob("out/bench/judge-*.pt"))) == 1


def judged(family: str, seen: str) -> dict[str, str]:
    return {"family": family, "main": "red", "second": "blue", "seen": seen, "colour": "red"}


def test_the_card_gets_its_figures_between_its_marks_and_nothing_else() -> None:
    made = [judged("wood", "wood"), judged("wood", "fur"), judged("dots", "dots")]
    card = f"# before\n\n{bench_model.MARKS[0]}\nold\n{bench_model.MARKS[1]}\n\nafter\n"
    found = [bench_model.result("right", 66.66, "%", 85, ">="), bench_model.result("rate", 7.0, "/s")]
    new = bench_model.with_figures(card, found, made)
    assert new.startswith("# before\n") and new.endswith("\n\nafter\n") and "old" not in new
    assert "| right | 66.7 % | >= 85 | MISSED |" in new and "rate" not in new
    assert "| wood | 50 |  | 50 |\n| dots |  | 100 |  |\n" in new and "| wood | dots | fur |" in new
    assert bench_model.with_figures(new, found, made) == new


def test_the_sheet_has_a_row_for_each_family(tmp_path: Path) -> None:
    class Painter:
        def order(self, text: str, seed: int) -> str:
            return text

        def pictures(self, orders: list[str]) -> list[np.ndarray]:
            assert len(set(orders)) == len(orders) == 6 * len(textures.FAMILIES)
            return [np.full((256, 256, 3), number % 256, np.uint8) for number in range(len(orders))]

    size = sheet.write(Painter(), str(tmp_path / "sheet.jpg"))  # type: ignore[arg-type]
    with Image.open(tmp_path / "sheet.jpg") as page:
        assert page.height > len(textures.FAMILIES) * sheet.TILE and page.width > 6 * sheet.TILE
    assert size == (tmp_path / "sheet.jpg").stat().st_size


def test_all_of_it_is_measured_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker(side=64)

    class Here:
        def ask(self, question: dict[str, Any], limit: float) -> Any:
            question = json.loads(json.dumps(question))
            return json.loads(json.dumps(arm.PARTS[question.pop("part")](maker, **question)))

    @contextlib.contextmanager
    def here(wishes: bench_model.Wishes) -> Iterator[Here]:
        yield Here()

    monkeypatch.setattr(judge, "ROOT", tmp_path)
    monkeypatch.setattr(bench_model, "_arm", here)
    monkeypatch.setattr(bench_model, "LESSONS", 36)
    monkeypatch.setattr(bench_model, "ROUNDS", 1)
    monkeypatch.setattr(bench_model, "QUICK", bench_model.Plan(1, (1.0,), 1, 1, 1, 0.1, 1))
    monkeypatch.setattr(bench_model, "CARD", tmp_path / "card.md")
    (tmp_path / "card.md").write_text("no marks")
    with pytest.raises(bench_model.environments.SetupError, match="confusion"):
        bench_model.model(True, bench_model.Wishes(card=True))
    (tmp_path / "card.md").write_text(" ".join(bench_model.MARKS))
    made = bench_model.model(True, bench_model.Wishes(card=True))
    found = {one["name"]: one for one in made}
    assert len(found) == len(made) and all(one["value"] is not None for one in made)
    assert found["inpaint: largest change outside of the mask, of 255"]["holds"]
    assert sum(one["goal"] is not None for one in made) == 22
    assert "| marble |" in (tmp_path / "card.md").read_text()
