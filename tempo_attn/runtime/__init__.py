"""What follows a model while it runs: one forward call after another, and a whole generation.

`resolve_edit` makes a configuration ready for one model. `tracker` follows the forward calls:
`forward_call` reads what a call is given, `key_value_cache` what lies on its cache, `plan_call`
turns the prompts' positions into rows to edit, and `complaints` says what does not fit.
`generate_stand_in` and `generation` keep the prompts' positions through a generation, and
`adaptive_strength` chooses a strength by the model's confidence.
"""
