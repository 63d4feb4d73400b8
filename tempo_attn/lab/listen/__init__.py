"""Where in a clip's time attention looks: windows against the true intervals of events."""
