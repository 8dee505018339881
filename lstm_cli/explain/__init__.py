"""Explanations: which tokens matter, predictions after each prefix, and the gates.

`explainer` computes an explanation from a run, `result` holds it as data, `forward_pass` runs the
network in NumPy with every gate kept, and `render_terminal`, `render_html` and `render_image` show it.

May import: `prediction`, `render` and the rooms below. Begin with `explainer`.
"""
