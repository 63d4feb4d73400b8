"""`tempo data render`: labelled recordings in, a benchmark of rendered scenes out.

`request` holds the options, `prepare` hears the recordings and chooses those that can be used,
`plan` draws scenes and questions, `rendering` writes the clips in several processes, `tables` what
lies beside them, and `run` is the whole.
"""
