"""The audit of other people's benchmarks: `tempo audit COPY --benchmark trea`.

- `choice_arrays`: items with two to eight options as arrays, and what a strategy earns on them.
- `guesses`: strategies that hear nothing (letters, labels, texts, spelling, numbers), and presence.
- `leaks`: single items that give their answer away, with their names.
- `times`: what guessers earn where a time is asked for.
- `assemble`: all of it for every part, as plain JSON types; `result_output`: table, JSON and CSV.
"""
