"""Where questions come from: the released benchmark (`hub`) or rendered scenes (`synth`).

`backwards` and `synth.mirror` add to either the mirrored twins of its questions.
"""
