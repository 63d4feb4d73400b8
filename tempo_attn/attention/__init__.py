"""What happens in one attention layer: its logits, the edit, and how the layer is reached.

`mode_formulas` has the formula of every mode. `row_plan` says which rows and keys one forward call
edits, and `edited_attention` edits them inside a layer; `masks` reads what a row may see, and
`row_attention` is attention written out for chosen query rows. `redirect_attention` puts our
function in the place of the model's. `hidden_states` reads and changes what passes between
modules, `enrich_between_layers` mixes early states into deeper layers, and `steer_states` moves
states along stored directions.
"""
