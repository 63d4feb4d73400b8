"""Whom to cite, as BibTeX."""

from __future__ import annotations

import tempo_tasks
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError

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
}


def bibtex(name: str) -> str:
    """Return the BibTeX entries of one of `ENTRIES`.

    Raises:
        OptionError: There is no such name.
    """
    if name not in ENTRIES:
        raise OptionError(
            f"nothing to cite under {name!r}; expected {', '.join(ENTRIES)}."
            f"{did_you_mean(name, ENTRIES)}"
        )
    return "\n\n".join(ENTRIES[name])
