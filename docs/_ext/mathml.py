"""Math as MathML, which browsers draw without a script and without a network."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def mathml(node, as_block):
    r"""Return a formula as MathML; docutils knows ``\ldots`` only."""
    return str(tex2mathml(node.astext().replace(r"\dots", r"\ldots"), as_block))


def visit_math(self, node):
    """Write a formula within a line."""
    self.body.append(mathml(node, False))
    raise nodes.SkipNode


def visit_displaymath(self, node):
    """Write a formula of its own line."""
    self.body.append(f'<div class="formula">{mathml(node, True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True}
