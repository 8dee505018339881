"""Text to token ids: tokenizer, encoded corpora, batches and language-model windows.

- `tokenizer` splits texts into tokens and maps tokens to ids.
- `detokenize` puts spaces between tokens again.
- `tokenizer_json` stores the tokenizer in the format of the library `tokenizers`.
- `ngrams` hashes tokens and pairs of tokens into buckets.
- `corpus` holds many encoded texts; `corpus_cache` keeps them on disk.
- `batching` and `lm_windows` form the batches of an epoch, as pure functions of seed and epoch.

May import: `config`, `io`, `errors`. Begin with `tokenizer`.
"""
