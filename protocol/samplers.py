"""What AUTOMATIC1111's web UI, and with it most of the field, calls our schedulers."""

from __future__ import annotations

SAMPLERS = {
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "pndm": "PLMS",
    "lms": "LMS",
    "euler": "Euler",
    "euler_karras": "Euler Karras",
    "euler_a": "Euler a",
    "heun": "Heun",
    "dpm2": "DPM2",
    "dpm2_a": "DPM2 a",
    "dpm++_2m": "DPM++ 2M",
    "dpm++_2m_karras": "DPM++ 2M Karras",
    "dpm++_2m_sde": "DPM++ 2M SDE",
    "dpm++_2m_sde_karras": "DPM++ 2M SDE Karras",
    "unipc": "UniPC",
    "deis": "DEIS",
    "lcm": "LCM",
    "tcd": "TCD",
}
"""That program has named the noise schedule apart since its 1.9, and still understands it as the name's end, which older
readers need."""
OWN = "Automatic"
"""The model's own scheduler."""
