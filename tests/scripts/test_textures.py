import numpy as np
import pytest
import textures

CALM = dict.fromkeys(textures.PAIRS, 0.0)


def drawn(family: str, size: int = 96, **attributes: float) -> np.ndarray:
    texture = textures.Texture(family, "red", "blue", CALM | attributes)
    return textures.render(texture, np.random.default_rng(1), size).astype(float)


@pytest.mark.parametrize("family", textures.FAMILIES)
def test_a_texture_tiles_and_shows_its_colours(family: str) -> None:
    picture = drawn(family, turbulence=-0.5)
    seam = np.abs(picture[:, 0] - picture[:, -1]).mean()
    assert seam <= 2.5 * np.abs(np.diff(picture, axis=1)).mean() + 1
    red, _, blue = picture.mean(axis=(0, 1))
    assert red > 60 and red > 0.6 * blue and picture.std() > 5


def test_the_same_seed_draws_the_same() -> None:
    first, second = (textures.render(textures.draw(np.random.default_rng(3)), np.random.default_rng(4), 64) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_paired_words_are_visible() -> None:
    assert drawn("clouds", brightness=1).mean() > drawn("clouds", brightness=-1).mean() + 20
    warm, cold = (drawn("clouds", warmth=w).mean(axis=(0, 1)) for w in (1, -1))
    assert warm[0] - warm[2] > cold[0] - cold[2] + 10


def test_captions_say_what_is_there() -> None:
    texture = textures.Texture("bricks", "black", "white", CALM | {"warmth": 0.9})
    said = [textures.caption(texture, np.random.default_rng(n)) for n in range(50)]
    assert all("black" in text and ("brick" in text or "wall" in text) for text in said)
    assert any("warm" in text or "hot" in text for text in said) and not any("cold" in text for text in said)


def test_every_thing_names_a_family_and_colours_that_exist() -> None:
    for family, main, second in textures.THINGS.values():
        assert family in textures.FAMILIES and {main, second} <= set(textures.COLOURS)
