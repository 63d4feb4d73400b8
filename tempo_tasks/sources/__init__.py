"""Where questions come from: the released benchmark (`hub`) or rendered scenes (`synth`)."""
