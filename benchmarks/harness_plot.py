"""The report of `harness.py` as a picture: what each arm takes, and how `lalm`'s time grows."""

from matplotlib.figure import Figure

from tempo_attn.figures import save

_NAMES = {
    "lm_eval": "lm_eval's audio class,\nmended",
    "lmms-eval": "lmms-eval's Qwen2-Audio",
    "script": "transformers script",
    "lalm, whole prompts": "lalm, share_prefix=False",
    "lalm": "lalm",
}
_LIGHT, _DARK = "0.75", "0.25"


def draw(report, path):
    """Draw a report; `path` has no suffix."""
    models = list(dict.fromkeys(row["model"] for row in report["rows"]))
    growing = list(dict.fromkeys(row["what"] for row in report["growth"]))
    figure = Figure(figsize=(8, 3.4 if not growing else 5.6), layout="constrained")
    halves = figure.subfigures(2 if growing else 1, 1, squeeze=False)[:, 0]
    for axes, model in zip(
        halves[0].subplots(1, len(models), squeeze=False)[0], models, strict=True
    ):
        _arms(axes, model, {r["arm"]: r for r in report["rows"] if r["model"] == model})
    if growing:
        many = halves[1].subplots(1, len(growing), squeeze=False)[0]
        for axes, what in zip(many, growing, strict=True):
            rows = [row for row in report["growth"] if row["what"] == what]
            _growth(axes, what, rows)
        many[0].set_ylabel("CPU s of lalm")
    save(figure, path)


def _arms(axes, model, rows):
    """One bar an arm: CPU seconds, and how many times those of `lalm`."""
    arms = [arm for arm in reversed(_NAMES) if arm in rows]
    taken = [rows[arm]["cpu"]["median"] for arm in arms]
    shades = [_DARK if arm == "lalm" else _LIGHT for arm in arms]
    axes.barh(range(len(arms)), taken, color=shades)
    for place, arm in enumerate(arms):
        spread, times = rows[arm]["cpu"], rows[arm]["times_lalm"]["median"]
        axes.hlines(place, spread["min"], spread["max"], color="black", linewidth=1)
        text = f" {spread['median']:.3g} s" + ("" if arm == "lalm" else f", {times:.1f} times")
        axes.text(spread["max"], place, text, va="center", fontsize="small")
    axes.set_yticks(range(len(arms)), [_NAMES[arm] for arm in arms], fontsize="small")
    axes.set_xlim(0, 1.75 * max(row["cpu"]["max"] for row in rows.values()))
    axes.set_xlabel("CPU s, one thread")
    n_questions = next(iter(rows.values()))["questions"]
    axes.set_title(f"{model}: {n_questions} questions", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)


def _growth(axes, what, rows):
    """Time by one size, all of it and that within the model's forward calls."""
    values = [row["value"] for row in rows]
    axes.plot(values, [row["cpu"] for row in rows], "o-", color=_DARK, label="all")
    axes.plot(values, [row["forward"] for row in rows], "s--", color="0.5", label="forward calls")
    axes.set_xlabel(what)
    axes.set_xticks(values)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if what == "questions a clip":
        axes.legend(fontsize="x-small", loc="lower right")
