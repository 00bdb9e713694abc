"""The primitive operations: each op, with its shape, meaning, gradient, kernel text and glyph, is one file."""
