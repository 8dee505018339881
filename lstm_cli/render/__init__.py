"""The look of pictures and pages.

`plot_style` makes all plots look alike, with the same bytes for the same data. `html` renders
Jinja2 templates as pages that load nothing; `templates/` holds the frame of every page
(`base.html`), its style, and parts that pages share (`macros.html`).

May import: `config`, `io`, `errors`. Begin with `plot_style`.
"""
