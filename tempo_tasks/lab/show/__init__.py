"""What the terminal shows of a finished run.

One file a command, each with `show(report)`, where the report is what the command's `write` in
`tempo_attn.lab` returned. Nothing is written here.
"""
