"""HTTP server for some runs: predictions, explanations and a page in the browser.

From the socket inwards: `server` and `unix_socket` (socket, Uvicorn, signals), `protocol` (one
connection; it uses `framing` and `transport`), `middleware` (request ids, `hosts`, `cors`, API key,
errors), `app` (routes), `models` (a run under a name; `run_names` finds it, `reload` replaces it,
`run_state` tells whether it has changed), `inference` (predict and explain; it uses `request_body`
and `batcher`). `shared_compute` has what all models share. `request_record` is what `metrics` and
`access_log` get of a request. `schemas`, `openapi` and `examples` describe the API, `documents` and
`docs_page` show it, `page` is the page at `/`.

May import: `explain` and the packages below it. Begin with `app`.
"""
