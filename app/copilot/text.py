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
EMPTY = """
a about also am an and any are as at be because been before but by can could did do does for from
get gets got had has have he her here hers him his how i if in into is it its just like ll may me
mine my no not of on or our ours re said same say says she should since so some that the their them
then there these they this those to too twice us use used ve very was we were what when where which
while who why will with would you your yours
aber als auch auf aus das dass dem den der des die ein eine einen er es haben hat ich im ist kann
mein meine meinem meinen meiner mich mir mit nicht noch sich sie und von war wir wird zu
al como con de del el en es esta este la las lo los me mi mis muy no para pero por que se si su un
una y ya yo
à au aux avec ce ces dans des du elle est et il je les leur ma mes moi mon ne nous ou par pas pour
qui sa ses son sur une vous
"""
# Every trouble is told with these: named as a reason, they tell a reader nothing.
EMPTY_WORDS = frozenset(EMPTY.split())


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
