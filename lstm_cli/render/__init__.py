"""What pages and pictures have in common: the plot style and self-contained HTML.

`plot_style` makes every picture look alike and byte-stable, `html` builds pages that load nothing.

May import: `config`, `io`, `errors`. Begin with `plot_style`.
"""
