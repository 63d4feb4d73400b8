"""One experiment on one model: its items, its run folder, and how a killed run goes on.

A study has a run folder (`tempo_attn.lab.run_folder`). The same command goes on with it where it
was killed; parts of a run (`--shard`, or the processes of `accelerate launch`) get whole batches,
so that every batch is the same however a run is divided.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

import tempo_attn
import tempo_tasks
from tempo_attn.errors import OptionError, TempoError
from tempo_attn.hub.model_names import loaded_name
from tempo_attn.lab.engine.memory_and_batches import CPU_MEMORY, GPU_MEMORY, BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.shared_beginnings import SharedBeginnings
from tempo_attn.lab.item_records import ItemRecord
from tempo_attn.lab.items import Item
from tempo_attn.lab.run_folder.fingerprints import (
    code_fingerprint,
    content_key,
    environment,
    model_fingerprint,
)
from tempo_attn.lab.run_folder.folder import Run, RunFolder, default_folder, read_run
from tempo_attn.lab.run_folder.manifest import (
    Fingerprints,
    Manifest,
    ModelFingerprint,
    RunSettings,
)
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.response_cache import processor_fingerprint
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.lab import check_settings as early
from tempo_tasks.lab import tasks_to_items as lab_items
from tempo_tasks.lab.item_beginnings import ItemBeginnings
from tempo_tasks.lab.settings import Settings

_PLACES = {
    *("peft", "delta", "processor", "gguf_file", "autogptq", "cache_dir", "offload_folder"),
    *("data", "data_intervals", "data_captions"),
}
"""Arguments and metadata that may be paths: a manifest is shared, and has their names only.

What lies there is in the fingerprints."""


class Study:
    """A loaded model with its items.

    Args:
        settings: What the user asked for.
        fits: Raises where what is wanted does not fit a decoder of some size: called before
            anything is loaded, where the model's configuration says its size.
        check_tasks: Raises where the tasks do not have what is wanted: called before the model is
            loaded.

    Attributes:
        lm: The model as the harness has it.
        subject: The model as the laboratory has it.
        items: All items of the whole run.
        plan: How much runs at once.
        beginnings: What items of one clip share.
    """

    def __init__(
        self,
        settings: Settings,
        fits: Callable[[early.Size], object] | None = None,
        check_tasks: Callable[[Mapping[str, TempoTask]], object] | None = None,
    ) -> None:
        early.check_settings(settings, fits)
        self.settings = settings
        self.tasks: dict[str, TempoTask] = lab_items.load_tasks(
            settings.tasks, settings.metadata or {}
        )
        lab_items.require_audio(self.tasks)
        if check_tasks is not None:
            check_tasks(self.tasks)
        self.lm = load_model(settings.model, settings.device, settings.model_args or {})
        self.items: list[Item] = lab_items.make_items(self.lm, self.tasks, settings.limit)
        self.beginnings = SharedBeginnings(ItemBeginnings(self.lm), self.lm.sharing.store.limit)
        self.subject = ModelUnderStudy(
            self.lm.model,
            lambda items: lab_items.prepare(self.lm, items),
            tokenizer=self.lm.tokenizer,
            beginnings=self.beginnings,
        )
        memory = settings.memory
        if memory is None:
            memory = CPU_MEMORY if self.lm.device.type == "cpu" else GPU_MEMORY
        self._memory = memory  # the plan's own is halved where memory runs out
        self.plan = BatchPlan.fitting(self.items, self._decoder_config, memory)
        if not self.lm.family.pads_audio_alike:
            self.plan = BatchPlan(1, memory)
        elif settings.batch_size is not None:
            self.plan = BatchPlan(settings.batch_size, memory)
        self.beginnings.expect(self.items, self.plan.extremes(self.items))

    def of_first(self, n_items: int) -> Study:
        """Return a study of the first items alone, whole."""
        return self.of(self.items[:n_items])

    def of(self, items: Sequence[Item]) -> Study:
        """Return a study of some of the items, whole; they are numbered anew."""
        study = copy.copy(self)
        study.items = [replace(item, index=number) for number, item in enumerate(items)]
        study.settings = replace(self.settings, shard=None)
        study.plan = replace(self.plan)
        return study

    @property
    def n_layers(self) -> int:
        """Layers of the decoder."""
        return len(self.subject.decoder.layers)

    @property
    def n_heads(self) -> int:
        """Query heads of a layer."""
        return int(self._decoder_config.num_attention_heads)

    @property
    def _decoder_config(self) -> Any:
        config: Any = self.subject.family.decoder(self.subject.model).config
        return config.get_text_config()

    # ------------------------------------------------------------------ running

    def manifest(self, command: str, more: Mapping[str, Any]) -> Manifest:
        """Return what a run of these items would be.

        Args:
            command: The command of `tempo`.
            more: Its own settings as JSON data: all that decides what a record says.
        """
        settings, shard = self.settings, self.settings.shard
        mine = sorted(item.index for batch in self._dealt() for item in batch)
        return Manifest(
            command=command,
            settings=RunSettings(
                tasks=list(self.tasks),
                limit=settings.limit,
                metadata=_without_paths(settings.metadata or {}),
                batch_size=self.plan.batch_size,
                memory=self._memory,
                seed=settings.seed,
                of_command=more,
            ),
            fingerprints=Fingerprints(
                data=lab_items.fingerprints(self.tasks),
                items=content_key([item.key for item in self.items]),
                model=self._model_fingerprint(),
                code=code_fingerprint(tempo_attn, tempo_tasks),
                environment=environment(self.lm.model),
            ),
            n_items=len(self.items),
            shard=shard,
            shard_items=None if shard is None else mine,
        )

    def _model_fingerprint(self) -> ModelFingerprint:
        given = self.settings.model_args or {}
        return ModelFingerprint(
            name=loaded_name(self.lm.public_name()),
            arguments=_without_paths({name: str(value) for name, value in given.items()}),
            weights=model_fingerprint(self.lm.model),
            processor=processor_fingerprint(self.lm.processor),
        )

    def run(
        self,
        command: str,
        more: Mapping[str, Any],
        run_batch: Callable[[Sequence[Item]], Sequence[ItemRecord]],
        *,
        out: Path | None = None,
    ) -> Run:
        """Run what is left of a run, and return all of it.

        Args:
            command: The command of `tempo`.
            more: Its own settings, as in `manifest`.
            run_batch: Returns one record for each item of a batch.
            out: The run folder; by default that of the settings.
        """
        manifest = self.manifest(command, more)
        path = out or self.settings.out or default_folder(manifest)
        rank, world_size = self.lm.rank, self.lm.world_size
        mine = self._dealt()[rank::world_size]
        with RunFolder.open(path, manifest, process=rank, n_processes=world_size) as folder:
            left = [batch for batch in mine if any(item.key not in folder.done for item in batch)]
            n_items, n_left = (sum(map(len, batches)) for batches in (mine, left))
            with tqdm(
                total=n_items,
                initial=n_items - n_left,
                desc=f"tempo {command}",
                unit="item",
                disable=rank != 0,
            ) as bar:
                for batch in left:
                    records = [record.to_dict() for record in run_batch(batch)]
                    folder.append(r for r in records if r["key"] not in folder.done)
                    bar.update(len(batch))
        if world_size > 1:
            self.lm.accelerator.wait_for_everyone()
        return read_run(path)

    def _dealt(self) -> list[list[Item]]:
        """Return this shard's batches."""
        batches = self.plan.batches(self.items)
        part, parts = self.settings.shard or (0, 1)
        return batches[part::parts]

    @property
    def is_main(self) -> bool:
        """Whether this process writes tables."""
        return int(self.lm.rank) == 0


def _without_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments or metadata with the names alone of the files and folders among them."""
    return {name: _names(value) if name in _PLACES else value for name, value in given.items()}


def _names(value: Any) -> Any:
    """Return the names of one file or folder, or of several, without where they lie."""
    if isinstance(value, list):
        return [_names(inner) for inner in value]
    return loaded_name(value) if isinstance(value, str) else value


def load_model(model: str | None, device: str | None, arguments: Mapping[str, Any]) -> LALM:
    """Load a model; what a user can mend is told without a traceback.

    Args:
        model: Hub id or folder; None for the embedded model.
        device: As for `lm_eval --device`.
        arguments: Further arguments of the model class `lalm`.

    Raises:
        TempoError: See `LALM`.
        OptionError: It does not load for another reason, which the message has.
    """
    try:
        return LALM(model, device=device, **arguments)
    except TempoError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, ImportError, KeyError) as error:
        raise OptionError(
            f"the model {model or 'embedded'!r} does not load with the arguments "
            f"{dict(arguments)}: {type(error).__name__}: {error}"
        ) from error
