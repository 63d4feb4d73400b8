"""What follows a model while it runs: one forward call after another, and a whole generation.

`resolve` makes a configuration ready for one model, `forward_call` reads what a call is given,
`tracker` keeps positions and counts edits, and `generation` tells one generation from the next.
"""
