"""Machine code as Python calls it: arrays and numbers in, a number out, and what is no array or number is refused."""

import ctypes
import threading
import time

import numpy as np
import pytest
from simd_kernels import run_python

from lstmgraph.jit import cache, machine_code

LOOK = """
from lstmgraph.jit.native import words

def look(a, word, axis):
    if word == 4 or word == 5:
        return words(a[word])[axis]
    return a[word]
"""
WAIT = """
from lstmgraph.jit.native import peek, publish, words

def wait(flags, limit):
    shared = words(flags[0])
    publish(shared, 0, 1)
    for turn in range(limit):
        if peek(shared, 1) == 1:
            return turn
    return -1
"""


def compiled(source, name, takes):
    return cache.compile_module(source, (name,), dtype="float32", width=1, title=name, takes=takes).functions[name]


@pytest.fixture(scope="module")
def look():
    return compiled(LOOK, "look", "array number number")


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", ">f4", "complex64"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (0, 2), (2, 1, 3)])
def test_what_is_told_of_an_array(look, dtype, shape):
    whole = np.zeros([2 * n for n in shape], dtype)
    for a in (np.zeros(shape, dtype), whole[(*[slice(None, None, 2)] * len(shape), ...)], whole.T):
        assert look(a, 0, 0) == a.ctypes.data
        assert (look(a, 1, 0), look(a, 2, 0)) == (a.itemsize, a.ndim)
        letter = memoryview(a).format
        assert look(a, 3, 0) == (ord(letter) if len(letter) == 1 else 0)
        assert tuple(look(a, 4, axis) for axis in range(a.ndim)) == a.shape
        assert tuple(look(a, 5, axis) for axis in range(a.ndim)) == memoryview(a).strides


def test_an_array_that_can_only_be_read_is_one(look):
    a = np.arange(3.0)
    a.flags.writeable = False
    assert look(a, 2, 0) == 1
    assert look(b"bytes", 1, 0) == 1


@pytest.mark.parametrize(
    "given",
    [(), (1,), (np.zeros(2), 0), (np.zeros(2), 0, 0, 0), ([1.0], 0, 0), (None, 0, 0), (np.zeros(2), "0", 0)],
    ids=["nothing", "a number alone", "too few", "too many", "a list", "none", "a text"],
)
def test_what_is_refused(look, given):
    with pytest.raises(TypeError):
        look(*given)


def test_numbers_that_are_no_words(look):
    with pytest.raises(OverflowError):
        look(np.zeros(2), 2**80, 0)
    assert look(np.zeros(2), np.int64(2), 0) == 1


@pytest.mark.parametrize("last", [0, "0"])
def test_arrays_are_given_back_even_if_a_later_argument_is_refused(look, last):
    held = bytearray(8)
    try:
        look(held, 2, last)
    except TypeError:
        assert last == "0"
    held += b"more"  # a BufferError if somebody still looks at it
    assert len(held) == 12


def test_other_threads_run_meanwhile():
    wait = compiled(WAIT, "wait", "array number")
    flags = np.zeros(2, np.int64)

    def answer():
        while not flags[0]:
            time.sleep(1e-4)
        flags[1] = 1

    thread = threading.Thread(target=answer)
    thread.start()
    assert wait(flags, 10**10) >= 0
    thread.join()


LATE = """
import builtins, codecs, os
from lstmgraph.jit import cache
look = cache.compile_module(SOURCE, ("look",), dtype="float32", width=1, takes="array number number").functions["look"]
class Late:
    def __del__(self, look=look, write=os.write):
        write(1, b"%d " % look(b"bytes", 1, 0))
codecs.late, builtins.late = Late(), Late()  # they die last
"""


def test_it_may_be_called_when_python_ends():
    done = run_python("-c", LATE.replace("SOURCE", repr(LOOK)), PYTHONMALLOC="debug")
    assert (done.returncode, done.stdout) == (0, "1 1 "), done.stderr


def test_prototypes_of_others_are_left_alone(look):
    assert ctypes.pythonapi.PyCFunction_NewEx.argtypes is None


def test_a_file_without_the_function_is_an_error(folder):
    source = "def kernel(addresses, sizes, t0, t1, row0, row1, number):\n    sizes[0] = t1\n"
    (made,) = cache.compile_module(source, ("kernel",), dtype="float32", width=1).functions.values()
    (path,) = folder.glob("*/kernel.o")
    assert isinstance(made, machine_code.CFunction)
    with pytest.raises(RuntimeError, match="no function 'another'"):
        machine_code.c_function(machine_code.Code("another", path.read_bytes()))
