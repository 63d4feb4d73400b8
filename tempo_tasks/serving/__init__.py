"""Models that run elsewhere: the model class `lalm-api` and all that it asks of a server.

- `lalm_api`: the model class; `api_arguments`, `base_urls` check what it is told.
- `chat`, `clip_upload`: from a prompt and clips to a request. `completion`, `letters`: from an
  answer to text and log-probabilities.
- `session`: requests in flight, retried and bounded; `trouble` says what is tried again; `traffic`
  counts what it took.
- `server_info`, `served_edits`: what a server says of itself and of its edits of attention.
- `hearing_through_server`: the proof that audio arrives.
"""
