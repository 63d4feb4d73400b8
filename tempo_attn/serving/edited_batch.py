"""Edits the rows of an engine's flat batches: tokens of many requests, one after another.

The engine's kernel has run for the whole batch; the chosen rows of each request are then computed
again and written over the kernel's, by `tempo_attn.attention.edited_attention.attend`, the same
function that edits a model in process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from tempo_attn.attention.edited_attention import LayerEdit, attend
from tempo_attn.attention.row_plan import RowPlan
from tempo_attn.errors import EditNotAppliedError
from tempo_attn.runtime.complaints import Complaints
from tempo_attn.runtime.key_value_cache import CacheNote
from tempo_attn.runtime.plan_call import CallPlanner
from tempo_attn.runtime.resolve_edit import ResolvedEdit
from tempo_attn.serving.key_store import KeyStore
from tempo_attn.serving.request_edits import RequestEdit

Wanted = RequestEdit | Mapping[str, Any]
"""A request's edit, or its plain types: most forwards need only to know that there is one."""


@dataclass
class EditedRequest:
    """An edited request in a worker.

    Attributes:
        internal: The engine's id of it.
        wanted: Its rows and keys.
        edit: The configuration, with this rank's heads.
        note: Its prompt, and the plan of its decoding steps.
        last: Position of its last edited row; None where every position of the answer is edited.
        stores: Keys and values of earlier positions, by layer.
        rows: Rows that were written over, by layer, since the prompt was begun.
        done: No row is left to edit.
    """

    internal: str
    wanted: RequestEdit
    edit: ResolvedEdit
    note: CacheNote
    last: int | None
    stores: dict[int, KeyStore] = field(default_factory=dict)
    rows: Counter[int] = field(default_factory=Counter)
    done: bool = False

    @classmethod
    def of(cls, internal: str, wanted: RequestEdit, edit: ResolvedEdit) -> EditedRequest:
        """Make one from what the API process found."""
        config = edit.config
        open_end = config.phase == "all" and bool({"last", "all_text"} & set(config.queries))
        last = None if open_end else wanted.rows[-1][1] - 1
        return cls(internal, wanted, edit, CacheNote(wanted.prompt()), last)


@dataclass(frozen=True)
class Slice:
    """A request's part of a batch.

    Attributes:
        request: The request.
        start: Its first token in the batch.
        stop: The token after its last one.
        first: Position of its first token in the request.
        plan: The rows to edit; None where there are none in this part.
    """

    request: EditedRequest
    start: int
    stop: int
    first: int
    plan: RowPlan | None

    @property
    def more_to_come(self) -> bool:
        """Whether rows after this part are edited, which need its keys."""
        end = self.first + self.stop - self.start
        return self.request.last is None or self.request.last >= end


@dataclass(frozen=True)
class Done:
    """What one forward edited of a request.

    Attributes:
        internal: The engine's id of it.
        request: The request.
        new_rows: Rows written over in this forward.
        rows: Rows written over since its prompt was begun; the least of its layers.
        layers: The layers in which they were.
    """

    internal: str
    request: RequestEdit
    new_rows: int
    rows: int
    layers: tuple[int, ...]


class BatchEditor:
    """Edits the forwards of one worker.

    Args:
        edits: Configurations by name, with this rank's heads.
    """

    def __init__(self, edits: Mapping[str, ResolvedEdit]) -> None:
        self.edits = edits
        self._planner = CallPlanner(Complaints("raise"), recompute_identity=True)
        self._requests: dict[str, EditedRequest] = {}
        self._slices: list[Slice] = []
        self._now: Slice | None = None
        self._applied: dict[int, set[int]] = {}
        self._modules: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop what is kept of requests that ended or were preempted."""
        for internal in ids:
            self._requests.pop(internal, None)

    def begin(self, parts: Iterable[tuple[str, Wanted, int, int, int]]) -> None:
        """Begin a forward.

        Args:
            parts: The edited requests in it: the engine's id, the edit, the first token in the
                batch, the number of tokens, and the position of the first one in the request.

        Raises:
            EditNotAppliedError: A configuration is not known here.
        """
        self._slices, self._applied = [], {}
        for internal, wanted, start, n_tokens, first in parts:
            request = self._requests.get(internal)
            if request is None and first > 0:
                raise EditNotAppliedError(
                    f"request {internal} begins at position {first}: the engine took its "
                    "first positions from a cache, where no row is edited. Start the server by "
                    "`tempo serve`"
                )
            if request is None or first == 0:  # new, or computed again after a preemption
                if not isinstance(wanted, RequestEdit):
                    wanted = RequestEdit.from_plain(wanted)
                request = EditedRequest.of(internal, wanted, self._edit_of(wanted.name))
                self._requests[internal] = request
            if request.done or not request.edit.heads:
                continue
            plan = self._planner.plan(request.edit, request.note, first, (1, n_tokens))
            part = Slice(request, start, start + n_tokens, first, plan)
            if part.plan is not None or part.more_to_come:
                self._slices.append(part)

    def edit(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, out: Tensor, scaling: float
    ) -> None:
        """Write the edited rows of a layer over the kernel's.

        Args:
            layer: The layer's number.
            query: (tokens, heads, dim), after rotary embedding.
            key: (tokens, key/value heads, dim).
            value: (tokens, key/value heads, dim).
            out: (tokens, heads, dim): what the kernel gave; changed in place.
            scaling: Factor of query times key.
        """
        for number, part in enumerate(self._slices):
            request = part.request
            if layer not in request.edit.heads:
                continue
            tokens = slice(part.start, part.stop)
            keys, values = key[tokens], value[tokens]
            if part.first or part.more_to_come:
                store = request.stores.setdefault(layer, KeyStore(request.wanted.length))
                keys, values = store.extend(part.first, keys, values)
            if part.plan is None:
                continue
            self._now = part
            rows = out[tokens][None]
            edited, _ = attend(
                self._module(layer),
                lambda rows=rows: (rows, None),  # type: ignore[misc]
                query[tokens].transpose(0, 1)[None],
                keys.transpose(0, 1)[None],
                values.transpose(0, 1)[None],
                None,
                scaling=scaling,
            )
            if edited is not rows:
                rows.copy_(edited)
            self._applied.setdefault(number, set()).add(layer)

    def end(self) -> list[Done]:
        """End a forward and return what it edited.

        Raises:
            EditNotAppliedError: A layer ran without its edit.
        """
        done = []
        for number, part in enumerate(self._slices):
            request, layers = part.request, part.request.edit.heads
            if part.plan is not None:
                missed = set(layers) - self._applied.get(number, set())
                if missed:
                    raise EditNotAppliedError(
                        f"request {request.wanted.request}: layer(s) {sorted(missed)} ran without "
                        "the edit; its answer is that of another model. Start the server by `tempo "
                        "serve`"
                    )
                new = len(part.plan.where[0])
                request.rows.update(dict.fromkeys(layers, new))
                least = min(request.rows.values())
                done.append(
                    Done(request.internal, request.wanted, new, least, tuple(sorted(layers)))
                )
            if not part.more_to_come:
                request.done = True
                request.stores.clear()
        self._slices, self._now = [], None
        return done

    # ------------------------------------------------------------------ asked by `attend`

    def plan_for(self, layer: int) -> RowPlan | None:
        """See `tempo_attn.attention.row_plan.Session`."""
        return None if self._now is None else self._now.plan

    def applied(self, layer: int, seen: Tensor) -> None:
        """See `tempo_attn.attention.row_plan.Session`."""

    # ------------------------------------------------------------------ inside

    def _edit_of(self, name: str) -> ResolvedEdit:
        if name not in self.edits:
            raise EditNotAppliedError(
                f"this worker has no configuration {name!r}, only {sorted(self.edits)}; all "
                "processes of a server must be started together"
            )
        return self.edits[name]

    def _module(self, layer: int) -> Any:
        if layer not in self._modules:
            self._modules[layer] = SimpleNamespace(_tempo_edit=LayerEdit(layer, self))
        return self._modules[layer]
