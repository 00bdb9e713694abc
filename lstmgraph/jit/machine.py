"""What the generator must know of a CPU: element type, lanes, and the register tile that they allow."""

from dataclasses import dataclass

from lstmgraph import settings


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
    compiled : bool
        Whether kernels become machine code or run as they are on the NumPy shim.
    """

    dtype: str
    width: int
    rows: int
    vectors: int
    compiled: bool = True

    @property
    def across(self) -> int:
        """The most registers of columns of one product: so many chains of sums hide what each waits for."""
        return max(self.vectors, 4)

    @property
    def heights(self) -> tuple[int, ...]:
        """The tile heights that together cover any number of rows."""
        return tuple(dict.fromkeys(height for height in (self.rows, 4, 3, 2, 1) if height <= self.rows))


def machine(dtype: str, width: int, compiled: bool = True) -> Machine:
    """Return the target for an element type and a number of lanes.

    32 registers of 64 bytes hold 6 x 4 accumulators; 16 of 32 bytes hold 6 x 2, more spill (a third of the speed).
    """
    size = width * (4 if dtype == "float32" else 8)
    rows, vectors = (6, 4) if size >= 64 else (6, 2) if width > 1 else (2, 2)
    return Machine(dtype, width, rows, vectors, compiled)


def host(dtype: str) -> Machine:
    """Return this CPU as a target, or the shim with four lanes if LSTMGRAPH_JIT is 0.

    A CPU that Numba does not know is a machine of one lane.
    """
    if not settings.jit_enabled():
        return machine(dtype, 4, compiled=False)
    from lstmgraph.jit.processor import host_width

    return machine(dtype, host_width(dtype))
