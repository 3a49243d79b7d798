"""Ticket text made ready for reading by a machine: mail clutter goes, words stay."""

import re

READ_AT_MOST = 4_000
HEADER = re.compile(
    r"^\s*(from|sent|to|cc|date|von|gesendet|an|betreff|de|enviado|para|envoyé|à|importance)\s*:.*$",
    re.IGNORECASE,
)
SUBJECT = re.compile(r"^\s*(subject|asunto|objet)\s*:\s*(re|fw|fwd|aw|wg|tr)?\s*:?", re.IGNORECASE)
SIGNATURE = re.compile(
    r"^\s*(--\s*$|best regards|kind regards|regards|many thanks|thanks|thank you|cheers|"
    r"mit freundlichen grüßen|viele grüße|saludos|un saludo|cordialement|bien à vous|"
    r"sent from my)\b.{0,60}$",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"^\s*(hi|hello|hey|dear|good (morning|afternoon)|hallo|guten (tag|morgen)|hola|bonjour)\b"
    r"[^.!?\n]{0,40}[,!]?\s*$",
    re.IGNORECASE,
)
SIGNATURE_LINES = 8


def cleaned(text: str) -> str:
    """The sentences of a ticket: no mail headers, greetings, quotes or signature."""
    kept: list[str] = []
    lines = text[: READ_AT_MOST * 2].splitlines()
    for number, line in enumerate(lines):
        if SIGNATURE.match(line) and kept and len(lines) - number <= SIGNATURE_LINES:
            break
        line = SUBJECT.sub("", line)
        if line.lstrip().startswith(">") or HEADER.match(line) or GREETING.match(line):
            continue
        kept.append(line)
    return "\n".join(kept).strip()[:READ_AT_MOST]
