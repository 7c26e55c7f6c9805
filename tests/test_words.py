"""Prose and names use standard technical English in American spelling."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PRIVATE = (
    r"mend(?:s|ed|ing)?", r"heal(?:s|ed|ing)?", "kin", "anew", "afresh", r"rehears\w+",
    "whole_?file", "stand_on", "upon", "whence", "thereof", r"_?rivals?", "take_pending",
)  # fmt: skip
"""Words whose meaning here a reader has to guess, or which are obsolete."""

PHRASES = (
    "stands? on", "stood on", "stands? (?:beside|still)", "that stands", "go(?:es)? under",
    "under (?:all of )?its names", "here lies", "is off by (?!default)",
    "hand(?:ed)? (?:them )?around", "helpers of its own", "whole rooms?",
)  # fmt: skip

STEMS = (
    "categor", "discret", "emphas", "general", "initial", "local", "maxim", "minim", "normal",
    "optim", "organ", "parallel", "priorit", "quant", "random", "recogn", "regular", "serial",
    "summar", "synchron", "util", "vector", "visual",
)  # fmt: skip
"""Verbs in -ise, which American English spells with -ize."""

BRITISH = (
    r"analys(?:e|ed|es|ing)", "artefacts?", r"behaviour\w*", r"cancell(?:ed|ing)", r"centre\w*",
    "centring", r"colour\w*", r"favour\w*", "fibres?", r"grey\w*", r"honour\w*", "judgements?",
    r"(?:re|un)?labell\w+", "learnt", "licences?", "(?:milli)?metres?", r"modell\w+", r"mould\w*",
    r"neighbour\w*", r"sceptic\w*", "spelt", r"travell\w+", "whilst",
)  # fmt: skip

STORED = re.compile(
    r"""(["'])(?:labelled|optimiser\.|reinitialised_rows)\1"""
    r"|key_frames: labelled +# labelled \| all"
)
"""Names in tables, params, weights and checkpoints that other versions of the project read, too."""

CLASSES = ("Goal", "Wanted", "Place", "Source", "Reading")
"""Former names of classes that say less than their present names."""

_GAP = r"\s+(?:# )?"
"""Between two words of a phrase: spaces, or the new line of a comment."""

WORDS = re.compile(
    rf"(?<![a-z])(?:{'|'.join((*PRIVATE, *BRITISH))})(?![a-z])"
    rf"|\b(?:{'|'.join(phrase.replace(' ', _GAP) for phrase in PHRASES)})\b"
    rf"|(?:{'|'.join(STEMS)})is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])",
    re.IGNORECASE,
)


def tracked_texts() -> list[str]:
    """Return the tracked files that contain prose or code, except this one."""
    kinds = ("*.py", "*.md", "*.yaml", "*.toml", "*.j2", "Makefile")
    command = ["git", "ls-files", "-z", "--", *kinds, ":!tests/test_words.py"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0")[:-1] if (ROOT / name).is_file()]


def test_no_class_has_a_vague_name() -> None:
    vague = re.compile(rf"^class (?:{'|'.join(CLASSES)})\b", re.MULTILINE)
    found = [
        f"{name}: {match[0]}"
        for name in tracked_texts()
        if name.endswith(".py")
        for match in vague.finditer((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert not found


def test_tracked_texts_use_standard_american_english() -> None:
    found = []
    for name in tracked_texts():
        text = STORED.sub("", (ROOT / name).read_text(encoding="utf-8"))
        for match in WORDS.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: {match[0]}")
    assert not found, "expected standard American English, got\n" + "\n".join(found)
