from addon.core.calm import Back, Calm
from protocol.messages import LIVE_PICTURE_S, Picture, Preview


def picture(blob: str, node: str = "a", live: bool = True) -> Picture:
    return Picture(node, "j", blob, "image/png", b"", live)


def shown(calm: Calm, now: float) -> list[str]:
    return [picture.blob for picture in calm.due(now)]


def test_pictures_that_come_all_at_once_change_no_more_than_six_times_in_any_second() -> None:
    calm, times = Calm(), []
    for tick in range(600):
        calm.take(picture(str(tick)))
        times += [tick / 60 for _ in calm.due(tick / 60)]
    assert all(later - first > 1 for first, later in zip(times, times[6:], strict=False))
    assert len(times) > 45


def test_the_newest_that_came_while_none_might_be_shown_is_shown_then() -> None:
    calm = Calm()
    calm.take(picture("1"))
    assert shown(calm, 0.0) == ["1"]
    for blob in "234":
        calm.take(picture(blob))
        assert shown(calm, LIVE_PICTURE_S / 2) == []
    assert calm.keeps("a", "4") and not calm.keeps("a", "3")
    assert shown(calm, LIVE_PICTURE_S) == ["4"] and shown(calm, 9.0) == []


def test_each_node_has_its_own_time_and_what_was_asked_for_waits_for_nothing_but_counts() -> None:
    calm = Calm()
    calm.take(picture("1"))
    calm.take(picture("2", "b"))
    assert shown(calm, 0.0) == ["1", "2"]
    calm.take(picture("asked", live=False))
    assert shown(calm, LIVE_PICTURE_S * 0.9) == ["asked"]
    calm.take(picture("3"))
    assert shown(calm, LIVE_PICTURE_S * 1.8) == [] and shown(calm, LIVE_PICTURE_S * 2) == ["3"]


def preview(payload: bytes, node: str = "a") -> Preview:
    return Preview("j", payload, 1, node)


def test_previews_wait_as_live_pictures_do_and_the_newest_is_shown() -> None:
    calm = Calm()
    calm.preview(preview(b"1"))
    assert list(calm.due(0.0)) == [preview(b"1")]
    calm.preview(preview(b"2"))
    calm.preview(preview(b"3"))
    assert list(calm.due(LIVE_PICTURE_S * 0.9)) == [] and list(calm.due(LIVE_PICTURE_S)) == [preview(b"3")]


def test_a_picture_takes_the_place_of_its_previews_and_no_preview_that_of_a_picture() -> None:
    calm = Calm()
    calm.preview(preview(b"1"))
    calm.take(picture("made", live=False))
    calm.preview(preview(b"of the next"))
    calm.back("a")
    assert calm.keeps("a", "made") and shown(calm, 0.0) == ["made"]
    calm.back("a")
    assert list(calm.due(9.0)) == []


def test_a_node_goes_back_to_its_picture_where_a_preview_is_seen() -> None:
    calm = Calm()
    calm.preview(preview(b"never seen"))
    calm.back("a")
    assert list(calm.due(0.0)) == []
    calm.preview(preview(b"seen"))
    list(calm.due(0.0))
    calm.preview(preview(b"too late"))
    calm.back("a")
    assert list(calm.due(LIVE_PICTURE_S / 2)) == [] and list(calm.due(LIVE_PICTURE_S)) == [Back("a")]
    calm.back("a")
    assert list(calm.due(9.0)) == []
