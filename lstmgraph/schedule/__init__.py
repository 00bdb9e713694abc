"""The scheduler: graph to plan, in passes; each pass is a pure function with a law.

In order: `resolve` (sizes bound, shapes agree), `save` (what the forward pass keeps for the backward one),
`split` (what need not run inside the loop leaves it), `tables` (products that follow an embedding are taken over its
entries, where these are few), `products` (sums of matrix products that a tile takes together), `levels` (the loop and
each row stage as blocks), `row_loops` (blocks without products that are one loop over rows), `in_place` (which results
may be written over an input), `plan` (stages and buffers); and, when a call is recorded, `lifetimes`.
"""
