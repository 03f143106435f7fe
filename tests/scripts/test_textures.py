import numpy as np
import patterns
import pytest
import textures

CALM = dict.fromkeys(textures.PAIRS, 0.0)


def drawn(family: str, size: int = 128, **attributes: float) -> np.ndarray:
    texture = textures.Texture(family, "red", "blue", CALM | attributes)
    return textures.render(texture, np.random.default_rng(1), size).astype(float)


@pytest.mark.parametrize("family", textures.FAMILIES)
def test_a_texture_tiles_and_shows_its_colours(family: str) -> None:
    picture = drawn(family, turbulence=-0.5)
    for axis in (0, 1):
        steps = np.abs(picture - np.roll(picture, 1, axis)).swapaxes(0, axis).mean(axis=(1, 2))
        assert steps[0] <= 1.2 * steps[1:].max()
    if family != "stars":  # which are few
        red, _, blue = picture.mean(axis=(0, 1))
        assert red > 0.8 * blue
    assert picture[..., 0].max() > 180 and picture[..., 2].max() > 150 and picture.std() > 5


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
    black, bricks = ("black", *textures.COLOUR_WORDS["black"]), textures.FAMILY_WORDS["bricks"]
    assert all(any(word in text.lower() for word in words) for text in said for words in (black, bricks))
    assert any("warm" in text or "hot" in text for text in said) and not any("cold" in text for text in said)


def test_every_thing_names_a_family_and_colours_that_exist() -> None:
    for family, main, second, attributes in textures.THINGS.values():
        assert family in textures.FAMILIES and {main, second} <= set(textures.COLOURS)
        assert set(attributes) <= set(textures.PAIRS)


def test_every_colour_has_its_companion_and_its_words() -> None:
    assert set(textures.SECOND) == set(textures.COLOUR_WORDS) == set(textures.COLOURS)
    assert all(name != second for name, second in textures.SECOND.items())


def test_a_larger_picture_has_more_of_the_same() -> None:
    """Features keep their size in pixels."""
    small, large = (drawn("checker", size, turbulence=-1.4).mean(axis=2) for size in (64, 192))
    np.testing.assert_allclose(large[64:128, 64:128], small, atol=40)


@pytest.mark.parametrize("family", textures.FAMILIES)
def test_a_texture_is_a_local_function_of_its_noise(family: str) -> None:
    """The same for every size: else a model that learnt from small pictures would not make large ones."""
    texture = textures.Texture(family, "red", "blue", CALM | {"turbulence": 0.7, "roughness": 0.5})
    noise = np.random.default_rng(2).standard_normal((4, 16, 16))
    small, large = (textures.render_from(texture, field).astype(int) for field in (noise, np.tile(noise, (1, 2, 2))))
    np.testing.assert_allclose(large, np.tile(small, (2, 2, 1)), atol=1)


def test_fields_of_noise_are_independent_and_of_unit_variance() -> None:
    fields = patterns.whites(np.random.default_rng(2).standard_normal((4, 128, 128)))
    coarse = np.stack([fields[name].ravel() for name in ("mean", "across", "down", "cross")])
    np.testing.assert_allclose(np.cov(coarse), np.eye(4), atol=0.05)
    np.testing.assert_allclose(np.cov(fields["fine"].ravel()), 1, atol=0.05)
    for name, wavelength in (("mean", 30), ("fine", 9), ("fine", 40)):
        shown = patterns.filtered(fields[name], 512, wavelength, 2.2, 3, 0.3)
        assert abs(shown.std() - 1) < 0.15 and abs(shown.mean()) < 0.2
