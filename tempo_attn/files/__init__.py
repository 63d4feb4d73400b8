"""Files: written whole or not at all (`atomic`), tables (`csv_and_json`), and JSON read strictly.

`strict_json` refuses what is ambiguous or too large, `json_types` compares data with a type.
"""
