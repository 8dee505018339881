"""The look of plots and pages.

`plot_style` makes all plots look alike, with the same bytes for the same data. `html` renders
Jinja2 templates as pages that load no other file, `markdown` as Markdown, `notebook` as outputs of
notebooks; all escape the data, in the `environment` they share. `templates/` holds the frame of
every page (`base.html`), its style, and parts that templates share (`macros.html`, `macros.md`,
`notebook.html`).
`page` puts the page of a server, or of a run in one file, together from `page_parts/`: page.js has
its state and requests, editor.js the input with the colours of words, answer.js the prediction,
charts.js, units.js and pad.js the rest.

May import: `config`, `io`, `errors`. Begin with `html`.
"""
