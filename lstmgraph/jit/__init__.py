"""Generated source compiled by Numba, the SIMD primitives it computes with, and a NumPy twin of them."""
