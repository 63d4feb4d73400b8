"""Edits inside vLLM: a plugin of its entry-point group `vllm.general_plugins`.

`plugin` is what vLLM calls in each of its processes; it does nothing unless a server is started
with `TEMPO_ATTN_SCALE` (`settings`). In the API process `request_edits` finds a request's rows and
keys, and refuses a request that has none; in the workers `edited_batch` edits those rows of vLLM's
flat batches by the arithmetic of `tempo_attn.attention`, with the keys of earlier chunks from
`key_store`. `ledger` carries what was edited back to the API process, where `endpoint` shows it.
`refusals` says what cannot be edited. The files named `vllm_...` alone import vLLM.
"""
