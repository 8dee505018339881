"""The look of plots and pages.

`plot_style` makes all plots look alike, with the same bytes for the same data. `html` renders
Jinja2 templates as pages that load no other file, `markdown` as Markdown, `notebook` as outputs of
notebooks; all escape the data, in the `environment` they share. `templates/` holds the frame of
every page (`base.html`), its style, and parts that templates share (`macros.html`, `macros.md`,
`notebook.html`).

May import: `config`, `io`, `errors`. Begin with `html`.
"""
