"""A run behind HTTP: the routes, the middleware, the socket, and the page.

`app` answers requests for a run, `middleware` stands before it (key, limits, errors), `server` holds
the connections, `batcher` joins requests into batches, `schemas` and `openapi` describe the API, and
`index.html` is the page at `/`.

May import: `explain` and the rooms below. Begin with `app`.
"""
