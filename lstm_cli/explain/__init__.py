"""Explanations: token effects, predictions for all prefixes, and the gates of units.

`explainer` computes an explanation from a run: `occlusion` measures token effects, `prefixes`
predicts all prefixes, and `forward_pass` runs the network in NumPy for gates and states. `result`
holds the data. `render_terminal`, `render_html` and `render_image` show it; `segments` splits the
text for them and `summary` writes their sentences.

May import: `prediction`, `render` and the rooms below. Begin with `explainer`.
"""
