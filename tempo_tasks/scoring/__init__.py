"""From a model's answer to numbers: strict parsing, accuracy and its readings, sets of items.

An answer is the letter, or the exact text of an option; anything else is a parse failure and
counts as wrong. Nothing is guessed: extraction rules alone move published scores by ten points.

The task files name these functions: `*_metrics` turn one document into values, the others
aggregate the values of all documents. docs/protocols.md says what each metric means.
"""

from tempo_tasks.scoring.accuracy_by_stratum import strata_with_stderr
from tempo_tasks.scoring.answer_parser import (
    highest,
    most_likely,
    most_likely_by_length,
    only,
    parse_answer,
)
from tempo_tasks.scoring.bias_by_letter import letter_bias, mean_a, mean_b, mean_c, mean_d
from tempo_tasks.scoring.item_metrics import (
    CHANCE,
    NotAvailable,
    acc_chance_corrected,
    acc_chance_corrected_stderr,
    acc_temporal,
    acc_temporal_stderr,
    cluster_of,
    clustered_stderr,
    generation_metrics,
    likelihood_metrics,
    text_metrics,
)
from tempo_tasks.scoring.sets_of_items import (
    Answer,
    acc_all,
    acc_all_stderr,
    acc_quartet,
    acc_quartet_stderr,
    consistency,
    consistency_stderr,
    mirror_generation_metrics,
    mirror_likelihood_metrics,
    quartet_generation_metrics,
    quartet_likelihood_metrics,
    rotation_generation_metrics,
    rotation_likelihood_metrics,
    same_answer,
    same_answer_stderr,
    swap_consistency,
    swap_consistency_stderr,
)

__all__ = [
    "CHANCE",
    "Answer",
    "NotAvailable",
    "acc_all",
    "acc_all_stderr",
    "acc_chance_corrected",
    "acc_chance_corrected_stderr",
    "acc_quartet",
    "acc_quartet_stderr",
    "acc_temporal",
    "acc_temporal_stderr",
    "cluster_of",
    "clustered_stderr",
    "consistency",
    "consistency_stderr",
    "generation_metrics",
    "highest",
    "letter_bias",
    "likelihood_metrics",
    "mean_a",
    "mean_b",
    "mean_c",
    "mean_d",
    "mirror_generation_metrics",
    "mirror_likelihood_metrics",
    "most_likely",
    "most_likely_by_length",
    "only",
    "parse_answer",
    "quartet_generation_metrics",
    "quartet_likelihood_metrics",
    "rotation_generation_metrics",
    "rotation_likelihood_metrics",
    "same_answer",
    "same_answer_stderr",
    "strata_with_stderr",
    "swap_consistency",
    "swap_consistency_stderr",
    "text_metrics",
]
