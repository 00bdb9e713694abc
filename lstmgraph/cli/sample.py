"""Write text from a trained character model."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", type=Path, metavar="RUN_DIR", help="a folder that `lstmgraph train` wrote")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="characters (default: %(default)s)")
    parser.add_argument(
        "--temperature", type=float, default=0.7, metavar="T",
        help="0: the likeliest character; 1: the model's probabilities (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--prime", default="", metavar="TEXT", help="what the text begins with")
    parser.add_argument("--seed", type=int, default=0, help="decides the draws (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print a sample, character by character."""
    if arguments.seed < 0:
        arguments.parser.error(f"argument --seed: got {arguments.seed}, expected 0 or more")
    from lstmgraph.train import load
    from lstmgraph.train.characters import TextRecord, sample
    from lstmgraph.train.text import Vocabulary

    model = load(arguments.run_folder)
    vocabulary = Vocabulary(TextRecord.load(arguments.run_folder).characters)
    characters = sample(
        model,
        vocabulary,
        length=arguments.length,
        temperature=arguments.temperature,
        prime=arguments.prime,
        seed=arguments.seed,
    )
    sys.stdout.write(arguments.prime)
    for character in characters:
        sys.stdout.write(character)
        sys.stdout.flush()
    print()
    return 0
