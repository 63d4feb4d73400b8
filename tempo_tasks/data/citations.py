"""Whom to cite, as BibTeX, and whose recordings a rendered folder is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import tempo_tasks
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_attn.files.json_types import misfit
from tempo_tasks.data.build.build_manifest import MANIFEST, RENDERED, read_manifest
from tempo_tasks.errors import DataVersionError

_RELEASED = """\
@misc{temporal_lalm_2026,
  title         = {A Closer Look at Failure Modes in Temporal Understanding of Large
                   Audio-Language Models},
  howpublished  = {Interspeech 2026},
  year          = {2026},
  eprint        = {2606.17417},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2606.17417},
  note          = {See the page for the authors; data: gamma-lab-umd/temporal-lalm on the Hub}
}"""
_TACOS = """\
@misc{primus2025tacos,
  title         = {{TACOS}: Temporally-aligned Audio CaptiOnS for Language-Audio Pretraining},
  author        = {Primus, Paul and Schmid, Florian and Widmer, Gerhard},
  year          = {2025},
  eprint        = {2505.07609},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2505.07609},
  note          = {Data: https://zenodo.org/records/15379789}
}"""
_ESC50 = """\
@inproceedings{piczak2015esc,
  title     = {{ESC}: Dataset for Environmental Sound Classification},
  author    = {Piczak, Karol J.},
  booktitle = {Proceedings of the 23rd ACM International Conference on Multimedia},
  pages     = {1015--1018},
  year      = {2015},
  doi       = {10.1145/2733373.2806390}
}"""
_URBANSOUND8K = """\
@inproceedings{salamon2014dataset,
  title     = {A Dataset and Taxonomy for Urban Sound Research},
  author    = {Salamon, Justin and Jacoby, Christopher and Bello, Juan Pablo},
  booktitle = {Proceedings of the 22nd ACM International Conference on Multimedia},
  pages     = {1041--1044},
  year      = {2014},
  doi       = {10.1145/2647868.2655045}
}"""
_FSD50K = """\
@article{fonseca2022fsd50k,
  title   = {{FSD50K}: An Open Dataset of Human-Labeled Sound Events},
  author  = {Fonseca, Eduardo and Favory, Xavier and Pons, Jordi and Font, Frederic and
             Serra, Xavier},
  journal = {IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  volume  = {30},
  pages   = {829--852},
  year    = {2022},
  doi     = {10.1109/TASLP.2021.3133208}
}"""
SOFTWARE_TITLE = "tempo-lalm: a temporal-reasoning benchmark for audio language models"
SOFTWARE_AUTHORS = "The tempo-lalm contributors"
_SOFTWARE = f"""\
@software{{tempo_lalm,
  title   = {{{SOFTWARE_TITLE}}},
  author  = {{{{{SOFTWARE_AUTHORS}}}}},
  version = {{{tempo_tasks.__version__}}},
  year    = {{2026}},
  license = {{Apache-2.0}}
}}"""

# The clips of the released benchmark are those of TACOS; the rendered scenes are this software's.
ENTRIES = {
    "tacos": (_TACOS,),
    "released": (_RELEASED, _TACOS),
    "synth": (_SOFTWARE,),
    "tempo": (_SOFTWARE, _RELEASED, _TACOS),
    "esc50": (_SOFTWARE, _ESC50),
    "urbansound8k": (_SOFTWARE, _URBANSOUND8K),
    "fsd50k": (_SOFTWARE, _FSD50K),
}


def bibtex(name: str) -> str:
    """Return the BibTeX entries of one of `ENTRIES`; see `credits_of` for a folder.

    Raises:
        OptionError: There is no such name.
    """
    if name not in ENTRIES:
        raise OptionError(
            f"nothing to cite under {name!r}; expected {', '.join(ENTRIES)}, or a folder that "
            "`tempo data render` wrote."
            f"{did_you_mean(name, ENTRIES)}"
        )
    return "\n\n".join(ENTRIES[name])


class _Recording(TypedDict):
    recording: str
    label: str
    licence: str
    author: str
    link: str
    clips: int


class _Rendered(TypedDict):
    recordings: list[_Recording]
    cite: list[str]


def credits_of(folder: Path) -> tuple[list[_Recording], str]:
    """Return the recordings that a rendered folder is made of, and the BibTeX entries.

    Raises:
        DataVersionError: It is no such folder, or its manifest was edited.
    """
    manifest = read_manifest(folder)
    if manifest is None or manifest["what"] != RENDERED:
        raise DataVersionError(
            f"{folder}: no {MANIFEST} of `tempo data render`, which says whose recordings are in "
            "it; of a built folder see attribution.csv"
        )
    if wrong := misfit(manifest, _Rendered):
        raise DataVersionError(f"{folder / MANIFEST}: {wrong}; render the folder again")
    entries = {entry: None for name in manifest["cite"] for entry in ENTRIES.get(name, ())}
    return manifest["recordings"], "\n\n".join(entries or ENTRIES["synth"])
