"""tempo inside lm-evaluation-harness: the model class, the task class, the start-up registration.

Nothing is imported here: `import tempo_tasks.harness` must cost nothing before lm_eval is wanted.
"""
