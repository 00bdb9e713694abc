"""A program among processes: after a fork, under Ctrl-C, over many calls, and what importing it brings along."""

import os
import subprocess
import sys
import textwrap

import pytest

SETUP = """
import gc, os, signal, sys, threading, time
import numpy as np
import lstmgraph as lg

@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c

def make(hidden=65, inputs=33, threads=2):
    program = lg.compile(lstm, input_size=inputs, hidden_size=hidden, threads=threads)
    return program, program.init(seed=0)

def trained(program, params, x):
    y, state, pullback = program.vjp(params, x)
    grads = pullback(np.ones_like(y))
    return [y, grads.x, *state.values(), *grads.params.values(), *grads.state.values()]

def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
"""


def run(code, **environment):
    """Run code in a fresh process, after the lines above, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SETUP + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_runs_on_threads_of_its_own_after_the_parent_ran():
    printed = run("""
        import warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        program, params = make()
        x = np.random.default_rng(1).standard_normal((40, 16, 33)).astype("f")
        want = trained(program, params, x)
        assert any(t.name.startswith("lstmgraph") for t in threading.enumerate()), "the parent ran on one thread"
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                signal.alarm(60)  # a child that hangs dies
                good = same(trained(program, params, x), want)
                good &= any(t.name.startswith("lstmgraph") for t in threading.enumerate())
                os._exit(0 if good else 1)
            children.append(child)
        print([os.waitpid(child, 0)[1] for child in children], same(trained(program, params, x), want))
    """)
    assert printed.split("\n")[-2] == "[0, 0, 0] True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_may_be_forked_while_another_thread_runs_the_program():
    printed = run("""
        import warnings
        warnings.simplefilter("ignore")
        program, params = make()
        x = np.random.default_rng(1).standard_normal((40, 16, 33)).astype("f")
        want, stop = trained(program, params, x), threading.Event()

        def work():
            while not stop.is_set():
                assert same(trained(program, params, x), want)

        worker = threading.Thread(target=work)
        worker.start()
        results = []
        for _ in range(10):
            time.sleep(0.01)
            child = os.fork()
            if not child:
                signal.alarm(20)
                os._exit(0 if same(trained(program, params, x), want) else 1)
            results.append(os.waitpid(child, 0)[1])
        stop.set()
        worker.join()
        print(results)
    """)
    assert printed.split("\n")[-2] == str([0] * 10)


INTERRUPTED = """
    @lg.cell
    def narrow(x, h, c):
        c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
        h = lg.gate(lg.tanh(c), h, x, name="output")
        return {"y": lg.row_sum(h), "h": h, "c": c}

    program = lg.compile(narrow, input_size=2, hidden_size=100, threads=2)
    params, short = program.init(seed=0), np.ones((20, 4, 2), "f")
    want = trained(program, params, short)
    x = np.ones((2_000_000, 4, 2), "f")
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    try:
        RUN
        print("ran to its end", time.monotonic() - begin)
    except KeyboardInterrupt:
        took = time.monotonic() - begin - 0.5
        print("interrupted", "soon" if took < 3 else took, same(trained(program, params, short), want))
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
@pytest.mark.parametrize(
    "lines",
    ["program(params, x)", "for _ in range(300): trained(program, params, x[:5000])"],
    ids=["one long call", "many steps of training"],
)
def test_ctrl_c_ends_a_run_and_the_program_can_be_used_after_it(lines):
    code = INTERRUPTED.replace("RUN", lines)
    assert run(code).split("\n")[-2] == "interrupted soon True"


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_within_a_callback_of_the_compiler_is_not_lost(tmp_path):
    """What Python raises in there LLVM cannot pass on."""
    printed = run(
        """
        from numba.core.codegen import JITCodeLibrary

        hook, ended = JITCodeLibrary._object_compiled_hook, []

        def interrupted(*arguments):
            if not ended:
                os.kill(os.getpid(), signal.SIGINT)
            hook(*arguments)
            ended.append("compiled")

        JITCodeLibrary._object_compiled_hook = interrupted
        program, params = make()
        x = np.ones((5, 2, 33), "f")
        try:
            program(params, x)
        except KeyboardInterrupt:
            print("interrupted", bool(ended), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        print(np.isfinite(trained(program, params, x)[0]).all())
        """,
        LSTMGRAPH_CACHE_DIR=str(tmp_path),
    )
    assert printed.split("\n")[-3:-1] == ["interrupted True True", "True"]


def test_many_calls_do_not_grow_the_memory():
    pytest.importorskip("resource", reason="reads /proc")
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("reads /proc/self/statm")
    printed = run("""
        def resident():
            with open("/proc/self/statm") as text:
                return int(text.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        program, params = make()
        bound = program.bind(params)
        rng = np.random.default_rng(1)
        sequences = rng.standard_normal((64, 16, 33)).astype("f")

        def use(times):
            state = None
            for number in range(times):
                x = sequences[: number % 40, : 1 + number % 16]  # more shapes than are remembered
                trained(program, params, x)
                program(params, x, lengths=rng.integers(0, len(x) + 1, x.shape[1]))
                bound(x)
                bound.step(sequences[0, : x.shape[1]])
                _, state = bound.step(sequences[0], state)
            gc.collect()

        use(160)
        before = resident()
        use(400)
        print(resident() - before)
    """)
    assert int(printed.split("\n")[-2]) < 8_000_000  # a single y has 266,240 bytes, a pullback ten times as much


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_ends_training_of_a_large_model_and_leaves_it_usable():
    """A step takes seconds, much of them in sums over rows; what is trained stays as after the last whole step."""
    printed = run("""
        @lg.network
        def large(x):
            return lg.linear(lg.recur(lstm, x, size=400, name="lstm"), size=2, name="head")

        model = lg.Model(large, loss="mean_squared_error", threads=2)
        short, long = ((np.ones((T, B, 3), "f"), np.zeros((T, B, 2), "f")) for T, B in ((1, 1), (900, 256)))
        model.fit(*short, steps=1)
        for delay in (0.2, 0.5, 0.9, 1.6):
            before = {name: value.copy() for name, value in model.params.items()}
            threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            begin = time.monotonic()
            history = model.fit(*long, steps=1000)
            took = time.monotonic() - begin - delay
            assert history.interrupted and took < 3, took
            changed = any(not np.array_equal(before[name], value) for name, value in model.params.items())
            assert changed == bool(history)
        print(len(model.fit(*short, steps=1)))
    """)
    assert printed.split("\n")[-2] == "1"


def test_workers_of_joblib_share_the_processors():
    pytest.importorskip("joblib", reason="joblib is not installed")
    printed = run(
        """
        import joblib

        def threads():
            import lstmgraph as lg
            return lg.compile(lg.cells.lstm, input_size=2, hidden_size=3).threads

        for workers in (1, 2, joblib.cpu_count()):
            with joblib.parallel_config(n_jobs=workers):
                found = joblib.Parallel()(joblib.delayed(threads)() for _ in range(workers))
            assert sum(found) <= max(joblib.cpu_count(), workers), found
        print("shared")
        """,
        PYTHONWARNINGS="ignore",
    )
    assert printed.split("\n")[-2] == "shared"


def test_deleting_results_frees_their_memory_for_the_next_call():
    printed = run("""
        program, params = make()
        x = np.random.default_rng(1).standard_normal((64, 16, 33)).astype("f")
        trained(program, params, x)
        arena = program.executor.arena
        gc.disable()  # nothing may wait for the collector of cycles
        before = arena.free_bytes
        held = [program.vjp(params, x) for _ in range(10)]
        results = [program(params, x)[0] for _ in range(10)]
        while_held = arena.free_bytes
        views = [y[:1] for y in results]
        del results
        with_views = arena.free_bytes
        del held, views
        print(with_views == while_held, arena.free_bytes - while_held > 20 * 64 * 16 * 65 * 4)
    """)
    assert printed.split("\n")[-2] == "True True"


HEAVY = (
    "numba",
    "llvmlite",
    "graphviz",
    "graphviz_pure",
    "torch",
    "scipy",
    "pandas",
    "matplotlib",
    "safetensors",
    "tqdm",
)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "lstmgraph.cell(lambda x, h: h + x)",
        "lstmgraph.cells.lstm.graph",
        "lstmgraph.gradient(lstmgraph.cells.lstm)",
        "lstmgraph.interpret(lstmgraph.cell(lambda x, h: h + x), {}, __import__('numpy').ones((3, 2, 1)))",
    ],
    ids=["import", "trace", "catalogue", "gradient", "interpret"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(line):
    code = f"""
        import sys, time
        begin = time.perf_counter()
        import lstmgraph
        took = time.perf_counter() - begin
        {line}
        print(f"import lstmgraph: {{took:.2f}} s")
        print(*(name for name in {HEAVY} if name in sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, heavy, *_ = [*done.stdout.split("\n"), ""]
    print(first)
    assert heavy == ""


def test_importing_lstmgraph_alone_loads_not_even_numpy_or_networkx():
    code = "import sys, lstmgraph; print([name for name in ('numpy', 'networkx') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_jit_is_left_out_where_it_is_switched_off():
    printed = run(
        """
        program, params = make(hidden=3, inputs=2)
        y, _ = program(params, np.ones((2, 2, 2), "f"))
        print(np.allclose(y, lg.interpret(lstm, params, np.ones((2, 2, 2), "f"))[0], rtol=1e-5), "numba" in sys.modules)
        """,
        LSTMGRAPH_JIT="0",
    )
    assert printed.strip() == "True False"
