"""`tempo doctor`: whether a model hears, answers and can be edited here, told check by check.

`loading` loads the model and says in one message why it cannot; `examination` holds the model with
its clips and prompts; the checks lie in files by topic (`*_checks.py`), `every_check` lists them;
`diagnosis` is what comes out, `show` prints it.
"""
