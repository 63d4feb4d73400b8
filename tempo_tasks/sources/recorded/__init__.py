"""Scenes from recorded sounds: anyone's labelled recordings, placed at times that are known.

`layouts` finds the recordings of a folder, `envelope` where each sounds, `listening` decodes and
checks them, `alike` tells which labels sound alike. `scenes` places events as the synthetic scenes
do, without looking at the label, `mixing` renders a scene.
"""
