"""What happens in one attention layer: its logits, the edit, and how the layer is reached.

`mode_formulas` is the maths of every mode; `edited_attention` applies it inside a layer, whose
masks `masks` reads; `row_attention` is attention written out for chosen query rows; `registration`
puts our function in the place of the model's; `enrich_hooks` mixes states between layers.
"""
