"""Text to token ids: tokenizer, encoded corpora, batches and language-model windows.

`tokenizer` splits texts and maps tokens to ids, `tokenizer_json` stores it in the format of the
library `tokenizers`, `corpus` keeps encoded texts on disk, `batching` and `lm_windows` turn them
into batches as pure functions of seed and epoch.

May import: `config`, `io`, `errors`. Begin with `tokenizer`.
"""
