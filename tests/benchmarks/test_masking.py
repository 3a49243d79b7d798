"""How masking grows with its text: ten times the hostile characters beside ten times the time."""

import time

import pytest

from app.copilot.secrets.redact import masked_for_llm

pytestmark = pytest.mark.benchmark
# Beginnings of everything that is looked for, over and over: what backtracks would show here.
HOSTILE = {
    "labels": "password ",
    "labels and links": "password is ",
    "labels in labels": "password:",
    "secrets": "pw a1b2c3 ",
    "asides": "password for a b ",
    "letters": "a",
    "digits": "1",
    "card digits": "4111 1111 1111 1111 ",
    "spaced digits": "1 ",
    "key blocks": "-----BEGIN PRIVATE KEY-----",
    "addresses": "a://b:",
    "dots": "a.",
    "at signs": "a@b.",
    "quotes": 'password "',
    "commands": "mysql -p net use \\\\a ",
    "placeholders": "[password hidden] password [email 1] ",
    "colons": "a:",
    "lines": "password\n",
    "pass phrases": "passphrase is blue horse ",
    "later sentences": "password. It is x. I use y. ",
    "values first": "a1b2c3 is my password ",
    "doors": "door code of the ",
    "hashes": "door 4711# ",
    "misspelled": "pa55wrod ",
    "blanks": " ",
}


def test_masking_a_hundred_thousand_hostile_characters() -> None:
    print("\nMasking hostile characters, CPU time, best of 3:")
    for name, unit in HOSTILE.items():
        tenth, whole = (_seconds((unit * length)[:length]) for length in (10_000, 100_000))
        print(
            f"  {name}: 100,000 in {1000 * whole:.0f} ms, {whole / tenth:.1f} x the time of 10,000"
            " (linear 10 x, quadratic 100 x)"
        )


def _seconds(text: str) -> float:
    spans = []
    for _ in range(3):
        started = time.process_time()
        assert masked_for_llm(text).text
        spans.append(time.process_time() - started)
    return min(spans)
