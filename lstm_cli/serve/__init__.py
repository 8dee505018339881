"""HTTP server for one run: predictions, explanations and a page in the browser.

From the socket inwards: `server` (socket, Uvicorn, signals), `protocol` (one connection; it uses
`framing` and `transport`), `middleware` (hosts, API key, errors, metrics), `app` (routes),
`inference` (predict and explain; it uses `request_body` and `batcher`). `schemas` and `openapi`
describe the API, `docs_page` shows it, `page` is the page at `/`.

May import: `explain` and the packages below it. Begin with `app`.
"""
