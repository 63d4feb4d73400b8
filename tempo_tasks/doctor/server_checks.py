"""What can go wrong between a score and a server, check by check."""

from __future__ import annotations

import statistics
import time

from tempo_attn.errors import AudioNotDeliveredError
from tempo_tasks.doctor.diagnosis import Outcome, failed, passed, skipped
from tempo_tasks.doctor.every_check import Check
from tempo_tasks.doctor.server_examination import ServerExamination
from tempo_tasks.errors import LogprobsError
from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.serving.completion import Completion
from tempo_tasks.serving.hearing_through_server import (
    change_by_silence,
    difference,
    prove_by_tokens,
)
from tempo_tasks.serving.letters import letter_scores

NATS = 0.1
"""How far a log-probability may differ between two ways to ask: 16-bit sums of another order."""
_TIMES = 4
_NO_LOGPROBS = "the server gives no log-probabilities"


def reachable(exam: ServerExamination) -> Outcome:
    """Tell what answers."""
    server, urls = exam.served.server, exam.served.arguments.base_urls
    version = "" if server.version is None else f" {server.version}"
    many = "" if len(urls) == 1 else f" on {len(urls)} servers that are the same"
    return passed(
        f"{server.kind}{version}{many}", kind=server.kind, version=server.version, servers=len(urls)
    )


def model_listed(exam: ServerExamination) -> Outcome:
    """Check that the server lists the model that is asked for."""
    models, model = exam.served.server.models, exam.served.model
    if not models:
        return skipped(f"the server lists no models; {model} is asked for")
    if model in models:
        return passed(f"{model}, one of {len(models)}", models=len(models))
    return skipped(f"{model} is not among {len(models)} listed models; this kind loads any")


def takes_audio(exam: ServerExamination) -> Outcome:
    """Check that a question with a clip is answered."""
    answer = exam.generated(0)
    if not answer.text.strip():
        return failed(f"the answer about a clip is empty (finish_reason {answer.finish})")
    return passed(f"answers {answer.text!r}")


def prompt_tokens_expected(exam: ServerExamination) -> Outcome:
    """Check the server's count of prompt tokens against the model's own processor."""
    counts = [answer.prompt_tokens for answer in exam.answers]
    if None in counts:
        return skipped("the server does not count prompt tokens")
    found = [count for count in counts if count is not None]
    told = {f"prompt_tokens_{number}": count for number, count in enumerate(found)}
    if exam.checkpoint is None:
        return skipped(
            f"the server counts {', '.join(map(str, found))} prompt tokens for clips at three "
            "lengths; name the model's folder or Hub id with --processor to compare",
            **told,
        )
    expected = [exam.expected_tokens(number, number) for number in range(len(found))]
    told |= {f"expected_{number}": count for number, count in enumerate(expected)}
    lengths = [len(exam.served.waves([handle])[0]) for handle in exam.handles]
    seconds = [length / exam.served.sampling_rate for length in lengths]
    for number, (count, wanted) in enumerate(zip(found, expected, strict=True)):
        if count == wanted:
            continue
        why = ""
        if count > wanted and max(found) - min(found) < max(expected) - min(expected):
            why = ": it feeds the padding behind a clip as audio"
        return failed(
            f"a clip of {seconds[number]:.2f} s makes {count} prompt tokens on the server, and "
            f"{wanted} by the model's own processor{why}. Its scores are not comparable with those "
            "of transformers or vLLM",
            **told,
        )
    return passed(
        f"{', '.join(map(str, found))} for clips at three lengths, as the model's own processor "
        "makes",
        **told,
    )


def silence_differs(exam: ServerExamination) -> Outcome:
    """Check that silence in the clip's place changes what the server says."""
    served, chat = exam.served, exam.chat(0)
    waves = served.waves([exam.handles[0]])
    heard = served.first_token(chat, waves)
    try:
        if heard.first_tokens is None:
            tokens = prove_by_tokens(served, chat, waves)
            return passed(f"{tokens:.0f} prompt tokens are the clip's", tokens=tokens)
        silent = served.first_token(chat, [wave * 0 for wave in waves])
        change = change_by_silence(heard, silent, served.first_token(chat, waves))
    except AudioNotDeliveredError as error:
        return failed(str(error))
    return passed(
        f"silence changes the first token's log-probabilities by up to {change:.3g}",
        change=round(change, 5),
    )


def logprobs_given(exam: ServerExamination) -> Outcome:
    """Check that log-probabilities come with an answer."""
    listed = exam.answers[0].first_tokens
    if listed is None:
        return failed(f"{_NO_LOGPROBS}: tasks by likelihood (_ll) cannot be scored through it")
    asked = exam.served.arguments.top_logprobs
    return passed(f"{len(listed)} tokens listed, {asked} asked for", listed=len(listed))


def letters_listed(exam: ServerExamination) -> Outcome:
    """Check that the four letters are among the tokens that are listed."""
    if exam.answers[0].first_tokens is None:
        return skipped(_NO_LOGPROBS)
    try:
        scores = [letter_scores(answer, LETTERS).answers for answer in exam.answers]
    except LogprobsError as error:
        return failed(str(error))
    lowest = min(value for answers in scores for value, _ in answers)
    return passed(f"all four, with log-probabilities down to {lowest:.3g}", lowest=round(lowest, 5))


def repeatable(exam: ServerExamination) -> Outcome:
    """Check that the same request is answered the same."""
    texts = [exam.generated(0).text for _ in range(2)]
    change = _largest([exam.answers[0]], [exam.first(0, 0)])
    if texts[0] != texts[1] or change > NATS:
        return failed(
            f"the same request is answered {texts[0]!r} and {texts[1]!r}; log-probabilities differ "
            f"by {change:.3g} (allowed: {NATS:g})",
            change=round(change, 6),
        )
    return passed(
        f"the same answer twice; log-probabilities differ by {change:.2g} (allowed: {NATS:g})",
        change=round(change, 6),
    )


def concurrent_equals_single(exam: ServerExamination) -> Outcome:
    """Check that requests on clips of different lengths are answered alike alone and together."""
    alone = exam.answers
    together = exam.together(_TIMES)
    change = _largest(alone * _TIMES, together)
    n_other = sum(
        one.text != other.text for one, other in zip(alone * _TIMES, together, strict=True)
    )
    told = (
        f"{len(together)} requests at a time: {n_other} answered otherwise than alone, "
        f"log-probabilities differ by {change:.2g} (allowed: {NATS:g})"
    )
    if change > NATS or n_other:
        return failed(told, change=round(change, 6), n_other=n_other)
    return passed(told, change=round(change, 6), n_other=0)


def edits_applied(exam: ServerExamination) -> Outcome:
    """Tell which edits of attention are loaded, and check that each is applied."""
    served, edits = exam.served, exam.served.server.edits
    if edits is None:
        return skipped("the server has no /tempo/edits: it edits nothing")
    if not edits.configurations:
        return skipped("no configuration is loaded")
    rows = {}
    for name in edits.configurations:
        before = served.traffic.edited_rows
        exam.first(0, 0, edit=name)
        rows[name] = served.traffic.edited_rows - before
    each = ", ".join(f"{name} ({count} rows)" for name, count in rows.items())
    default = "none" if edits.default is None else edits.default
    return passed(f"loaded and applied: {each}; by default: {default}", configurations=len(rows))


def generation_agrees(exam: ServerExamination) -> Outcome:
    """Check that greedy answers begin with the likeliest token."""
    if exam.answers[0].first_tokens is None:
        return skipped(_NO_LOGPROBS)
    texts = []
    for number in range(len(exam.documents)):
        listed = exam.first(number).first_tokens or ()
        text = exam.generated(number).text
        texts.append(text)
        best = listed[0][1]
        tied = [token for token, value in listed if best - value < NATS / 10]
        if not any(text.lstrip().startswith(token.strip()) for token in tied):
            return failed(f"generation answers {text!r}, and the likeliest token is {tied[0]!r}")
    return passed(f"{', '.join(map(repr, texts))} begin with the likeliest token")


def speed(exam: ServerExamination) -> Outcome:
    """Measure latency, and items a minute with as many requests at a time as a run has."""
    begun = time.monotonic()
    count = len(exam.together(_TIMES))
    minute = 60 * count / (time.monotonic() - begun)
    seconds = exam.served.traffic.seconds
    median = statistics.median(seconds[-count:])
    n_concurrent = exam.served.arguments.num_concurrent
    return passed(
        f"{median:.2f} s an answer (median), {minute:,.0f} items a minute with {n_concurrent} "
        "requests at a time",
        median_seconds=round(median, 4),
        items_a_minute=round(minute, 1),
        num_concurrent=n_concurrent,
    )


def _largest(ones: list[Completion], others: list[Completion]) -> float:
    return max(difference(one, other) for one, other in zip(ones, others, strict=True))


SERVER_CHECKS: tuple[Check[ServerExamination], ...] = (
    Check("reachable", "server answers", reachable, "start it, and check the URL"),
    Check("model_listed", "model listed", model_listed, "name a model that it lists with --model"),
    Check(
        "takes_audio",
        "takes audio",
        takes_audio,
        "serve a model with audio input, and a chat template with audio; see the server's log",
    ),
    Check(
        "prompt_tokens_expected",
        "prompt tokens as the model's processor makes them",
        prompt_tokens_expected,
        "do not compare this server's scores with those of other engines; serve the model with "
        "vLLM or transformers, or check that --processor names the same checkpoint",
    ),
    Check(
        "silence_differs",
        "silence changes the answer",
        silence_differs,
        "do not score through this server: the audio does not arrive. See its log",
    ),
    Check(
        "logprobs_given",
        "log-probabilities given",
        logprobs_given,
        "take the tasks by generation (without _ll), or another server",
    ),
    Check(
        "letters_listed",
        "letters among the likeliest tokens",
        letters_listed,
        "raise top_logprobs (vLLM: --max-logprobs), or take the tasks by generation",
    ),
    Check(
        "repeatable",
        "same request, same answer",
        repeatable,
        "report scores of several runs, and look for sampling in the server's defaults",
    ),
    Check(
        "concurrent_equals_single",
        "many at a time = one at a time",
        concurrent_equals_single,
        "use num_concurrent=1 until it is explained",
    ),
    Check(
        "edits_applied",
        "edits of attention applied",
        edits_applied,
        "do not use attn_scale through this server; see its log",
    ),
    Check(
        "generation_agrees",
        "generation agrees with likelihood",
        generation_agrees,
        "do not mix scores by generation and by likelihood; look for penalties in the server's "
        "generation defaults",
    ),
    Check("speed", "speed here", speed, "the reason above holds for every run: mend it first"),
)
"""All checks of a server, in order."""
