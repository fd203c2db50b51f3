"""Coverage-guided fuzzing of the codec: libFuzzer by way of atheris (Linux, x86-64 and arm64).

    python -m tests.fuzz.guided [--seconds 60] [--seed 1] [--corpus DIR]

The first byte of an input chooses the topic, or Confluent framing with a stranger's schema;
the rest is the message. Whatever the bytes, decoding gives a value or refuses; and what it
accepts can be written and read again. Anything else stops the run with the input in a file,
and the exit code is not 0. The inputs that reached new code are kept in ``--corpus``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

HELP = "atheris is not installed: `uv pip install --group fuzz`, or `pip install 'atheris>=3'`"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer; 0: another each time")
    parser.add_argument("--corpus", type=Path, help="kept and grown; default: begins anew")
    given = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit(HELP)
    with atheris.instrument_imports(include=["streamrec.infra", "streamrec.core"]):
        pass
    from tests.fuzz.guided_target import good_inputs, one_input

    corpus = given.corpus or Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(good_inputs()):
        (corpus / f"good-{number}").write_bytes(data)
    crash = Path(tempfile.mkdtemp(prefix="fuzz-crash-"))
    options = [
        f"-max_total_time={given.seconds}", f"-seed={given.seed}", f"-artifact_prefix={crash}/",
        "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1",
        "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    try:
        atheris.Fuzz()  # ends the process
    finally:
        if given.corpus is None:
            shutil.rmtree(corpus, ignore_errors=True)


if __name__ == "__main__":
    main()
