"""What callers of a wrapped model state of their calls: positions, and a cache that is filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tempo_attn.errors import UnsupportedInputError
from tempo_attn.prompts.positions import Given, read_prompt
from tempo_attn.runtime.key_value_cache import CacheNote, cache_in, cached_positions, put_note
from tempo_attn.runtime.tracker import Tracker


class StatedByCaller:
    """The part of a wrapped model by which callers state what it cannot see."""

    _tracker: Tracker

    def positions(
        self,
        *,
        audio_mask: Any = None,
        transcript_mask: Any = None,
        query_mask: Any = None,
        prompt_length: int | None = None,
        questions: Sequence[str] | None = None,
        options: Sequence[Sequence[str]] | None = None,
    ) -> AbstractContextManager[None]:
        """State positions for the calls inside the context, instead of finding them.

        Args:
            audio_mask: (batch, tokens) bool: audio positions; needed with `inputs_embeds` only.
            transcript_mask: (batch, tokens) bool: transcript positions.
            query_mask: (batch, tokens) bool: the edited query rows.
            prompt_length: Number of prompt tokens (padding included) where an answer follows in
                the same call.
            questions: Exact text of each prompt's question, where it cannot be told from options.
            options: Exact option names of each prompt.
        """
        given = Given(audio_mask, transcript_mask, query_mask, prompt_length, questions, options)
        return self._tracker.stating(given)

    @contextmanager
    def going_on(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Go on, in the calls inside the context, from a cache that was filled without the edit.

        For prompts that share their beginning: which rows are edited is read from the whole
        prompts, and the calls inside are given the rest of them with the cache.

        Args:
            inputs: `input_ids` and `attention_mask` of the whole prompts, (batch, tokens), and the
                cache under its name in the model's forward.

        Raises:
            UnsupportedInputError: The edit acts on positions within the cache, or is adaptive.
        """
        tracker = self._tracker
        edit = tracker.edit
        if edit is None:
            yield
            return
        cache = cache_in(inputs)
        first = cached_positions(cache)
        prompt = read_prompt(tracker.family, tracker.model.config, inputs, tracker.given)
        heard = prompt.keys(edit.config).cumsum(1) > 0
        reached = (tracker.planner.rows(prompt, edit) & heard)[:, :first]
        if edit.config.adaptive is not None or bool(reached.any()):
            raise UnsupportedInputError(
                "the edit acts on positions that the key/value cache holds already: run the prompts"
                " as a whole"
            )
        put_note(cache, CacheNote(prompt, covered=first))
        with tracker.generating(inputs):
            yield
