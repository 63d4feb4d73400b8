"""Saving, finding and sharing a configuration: in a folder, or in a repository on the Hub.

`config_file` reads and writes the JSON file, and `adapter_folder` says where it lies. `find_config`
looks for it, here or on the Hub; `save` and `push` write and upload it with the text of
`model_card`; `share_model` does so for a wrapped model. `hub_errors` explains what the Hub refuses,
and `model_names` what may be told of a model's name.
"""
