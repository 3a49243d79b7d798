"""Removal of invisible and misleading characters from texts."""

import re

# Line breaks and tabs stay. The marks that Arabic, Hebrew and Persian are written with stay too
# (U+200C to U+200F, U+061C); embeddings, overrides and isolates turn other people's words around.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]+")
UNSEEN = re.compile(
    r"[\u00ad\u115f\u1160\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]"
    r"|[\U000e0000-\U000e007f]"
    # Joiners join nothing in plain Latin letters: there they only hide a word from a search.
    r"|(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f])"
)


def plain(text: str) -> str:
    """The text without characters that are invisible or reorder text."""
    text = CONTROLS.sub(" ", text)
    return text if text.isascii() else UNSEEN.sub("", text)


def lowered(text: str) -> str:
    """The text in lower case, character by character, so that positions stay the same."""
    if not text.isascii():
        # Characters that `re.IGNORECASE` takes for a letter of ASCII, and `str.lower` does not.
        text = text.replace("İ", "i").replace("ı", "i").replace("ſ", "s")
    return text.lower()


def is_blank(text: str) -> bool:
    """True if the text has no visible characters."""
    return not any(char.isprintable() and not char.isspace() for char in text)
