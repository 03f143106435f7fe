import platform

import pytest
import torch
from torch import nn

from edge import device
from edge.device import Device, choose
from protocol.errors import AlphaloomError


@pytest.mark.parametrize("name", ["cuda:99", "cuda:-1", "cuda:x", "banana", "meta", "xpu:0", "cpu:1", "CPU"])
def test_a_device_that_is_not_there_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(AlphaloomError, match=r"Use .*cpu") as caught:
        choose(name)
    assert caught.value.code == "bad_device"
    assert caught.value.detail["device"] == name


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(AlphaloomError, match="no device 'cuda'"):
        choose("cuda")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this is a Mac with MPS")
def test_mps_off_a_mac_is_refused() -> None:
    with pytest.raises(AlphaloomError, match="no device 'mps'"):
        choose("mps")


def test_unknown_numbers_are_refused() -> None:
    with pytest.raises(AlphaloomError, match="float8") as caught:
        choose("cpu", "float8")
    assert caught.value.code == "bad_device"


def test_what_is_asked_for_is_taken() -> None:
    assert choose("cpu", "float32") == Device("cpu", torch.float32, channels_last=True, compile=False)
    assert choose("cpu", "bfloat16", compile=True).compile


def test_a_cpu_computes_in_bfloat16_only_where_it_reports_so_and_it_agrees(monkeypatch) -> None:
    reports = any(torch.cpu.get_capabilities().get(f) for f in ("amx_bf16", "avx512_bf16", "bf16"))
    if not reports:
        assert choose("cpu").dtype == torch.float32
    monkeypatch.setattr(device, "bfloat16_agrees", lambda name: False)
    assert choose("cpu", "auto").dtype == torch.float32
    monkeypatch.setattr(device, "bfloat16_agrees", lambda name: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "architecture": "x86_64"})
    assert choose("cpu", "auto").dtype == torch.float32


@pytest.mark.parametrize("feature", ["amx_bf16", "avx512_bf16", "bf16"])
def test_every_kind_of_cpu_that_has_bfloat16_is_known(feature: str, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    monkeypatch.setattr(device, "bfloat16_agrees", lambda name: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert choose("cpu").dtype == torch.bfloat16


def test_bfloat16_agrees_with_float32_here() -> None:
    assert device.bfloat16_agrees("cpu")


def test_arithmetic_that_is_wrong_is_noticed(monkeypatch) -> None:
    true = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: true(self, x) * (1.05 if x.dtype == torch.bfloat16 else 1.0))
    assert not device.bfloat16_agrees("cpu")


def test_the_kind_of_a_device_says_what_decides_its_bits() -> None:
    kind = choose("cpu", "float32").kind
    assert kind.startswith(f"cpu {platform.machine()}") and f"float32 {torch.get_num_threads()} threads" in kind
    assert len({kind, choose("cpu", "bfloat16").kind, choose("cpu", "float32", compile=True).kind}) == 3


def test_parts_are_placed_with_a_pixels_channels_together() -> None:
    part = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(8, 8))
    placed = Device("cpu", torch.float32).place(part)
    assert placed is part and part[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert part[1].weight.is_contiguous()


def test_weights_lie_where_their_sums_have_the_same_bits_whatever_file_they_came_from() -> None:
    anywhere = torch.zeros(65)[1:]
    part = nn.Linear(8, 8)
    part.weight.data = anywhere.view(8, 8)
    assert Device("cpu", torch.float32).place(part).weight.data_ptr() % 64 == 0
