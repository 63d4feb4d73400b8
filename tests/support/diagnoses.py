"""A diagnosis made up without a model: one check passed, one failed, one skipped."""

from tempo_tasks.doctor.diagnosis import Diagnosis, Facts, Finding, Segment


def finding(status, **fields):
    made = {
        "name": f"{status}_check",
        "title": f"a check that is {status}",
        "reason": f"why it is {status}",
        "to_do": "mend it" if status == "failed" else "",
        "numbers": {"difference": 0.5, "engine": "fast", "nothing": None},
    }
    return Finding(status=status, **{**made, **fields})


def diagnosis(*statuses, **fields):
    facts = Facts(
        name="me/model",
        family="qwen2-audio",
        model_type="qwen2_audio",
        model_class="Qwen2AudioForConditionalGeneration",
        processor_class="Qwen2AudioProcessor",
        n_layers=32,
        n_layers_with_attention=32,
        n_heads=32,
        n_kv_heads=None,
        dtype="bfloat16",
        device="cuda:0",
        attention_kernel="sdpa",
        key_spans=["audio"],
        sampling_rate=16000,
        window_seconds=30.0,
        audio_positions={"1 s": 25, "10 s": 250, "30 s": 750},
        n_parameters=8_397_094_912,
        parameter_bytes=16_794_189_824,
        versions={"torch": "2.13.0"},
    )
    made = {
        "facts": facts,
        "clip": {"name": "a rendered scene", "seconds": 10.0, "cut_from_seconds": None},
        "attn_scale": None,
        "findings": [finding(status) for status in statuses or ("passed", "failed", "skipped")],
        "prompt": [
            Segment("user: ", "text", 3),
            Segment("", "audio", 250),
            Segment("earliest", "keyword", 1),
        ],
        "speed": {"items_per_minute": 12.5, "sweep_engine": "fast"},
        "memory": {"peak_bytes": 17_000_000_000, "of": "device"},
    }
    return Diagnosis(**{**made, **fields})
