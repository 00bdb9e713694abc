"""Equations as people write them: from a graph to names and expressions, and from those to text and LaTeX."""
