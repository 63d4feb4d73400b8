"""tempo inside lm-evaluation-harness (`lm_eval`).

- `lm_eval_registration`: how lm_eval learns of the model and the tasks. `run_command`, `demo`: two
  commands that run it.
- `task`, `documents`, `task_index`: the task class, its documents, and what each task asks.
- `benchmark_task`, `benchmark_documents`, `benchmark_files`: the same for other people's items.
- `lalm`, `audio_hflm`: the model class; `arguments` and `generation_arguments` check what it is
  told, `editing` applies an edit of attention.
- `hearing`, `delivery`, `control_tokens`: checks before any inference. `batching`, `stopping`: how
  answers are computed. `response_cache`: whose answers a cache holds.

Nothing is imported here: `import tempo_tasks.harness` must cost nothing before lm_eval is wanted.
"""
