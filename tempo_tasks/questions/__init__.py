"""Events in time, questions about them, and sets of questions. Knows no file and no model.

`events` and `questions` are what is asked and when it sounds, `question_set` and `mirror` sets of
them, `conditions` what a model is given; `strata` tells what an item asks of a listener,
`label_prior` what labels alone give away, `spelling` compares texts.
"""
