"""Where clips and questions come from: the released benchmark (`hub`), rendered scenes (`synth`)."""
