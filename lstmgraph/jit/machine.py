"""What the generator must know of a CPU: element type, lanes, and the register tile that they allow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A target of the generator.

    Parameters
    ----------
    dtype : str
        "float32" or "float64".
    width : int
        Lanes of a register.
    rows, vectors : int
        Height of the matmul tile in rows and width in registers; rows * vectors accumulators stay in registers.
    """

    dtype: str
    width: int
    rows: int
    vectors: int

    @property
    def heights(self) -> tuple[int, ...]:
        """The tile heights that together cover any number of rows."""
        return tuple(height for height in (self.rows, 4, 2, 1) if height <= self.rows)


def machine(dtype: str, width: int) -> Machine:
    """Return the target for an element type and a number of lanes.

    32 registers of 64 bytes hold 6 x 4 accumulators; 16 of 32 bytes hold 6 x 2, more spill (a third of the speed).
    """
    size = width * (4 if dtype == "float32" else 8)
    rows, vectors = (6, 4) if size >= 64 else (6, 2) if width > 1 else (2, 2)
    return Machine(dtype, width, rows, vectors)
