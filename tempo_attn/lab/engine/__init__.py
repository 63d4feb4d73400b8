"""How one model is run many times over: the part that all experiments share.

`model_under_study` calls the model, `shared_beginnings` has what is encoded and prefilled once for
all items of a clip, `memory_and_batches` says how much at once and what happens when memory runs
out, `prefill` keeps what a first forward leaves behind, `growing_batch` continues it for many
variants (`attention_in_parts`: on keys that these share), `hidden_states` reads and changes what
leaves a layer, `readout` turns states into logits, `random_nulls` draws the signs and keys of the
nulls, and `fast_against_full` checks the fast engine against full forwards.
"""
