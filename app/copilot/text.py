"""Ticket text made ready for reading by a machine: mail clutter goes, words stay."""

import re

from app.copilot.html_text import as_text

READ_AT_MOST = 4_000
HEADER = re.compile(
    r"^\s*(from|sent|to|cc|date|von|gesendet|an|betreff|de|enviado|para|envoyé|à|importance)\s*:.*$",
    re.IGNORECASE,
)
SUBJECT = re.compile(r"^\s*(subject|asunto|objet)\s*:\s*(re|fw|fwd|aw|wg|tr)?\s*:?", re.IGNORECASE)
SIGNATURE = re.compile(
    r"^\s*(?:(?:best regards|kind regards|regards|many thanks|thanks|thank you|cheers|"
    r"mit freundlichen grüßen|viele grüße|saludos|un saludo|cordialement|bien à vous|"
    r"cordiali saluti|distinti saluti|"
    r"sent from my|gesendet von meinem|envoyé de mon|enviado desde mi|inviato da)\b.{0,60}"
    # The mark of RFC 3676, and what people type in its place.
    r"|--|—|_{3,})\s*$",
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
# Words that any ticket may hold and none is about: with nothing else there is nothing to go on.
PLEASANTRIES = """
hello hi hey dear there good morning afternoon day everyone everybody all team please help needed
thanks thank lot much advance regards best kind question questions problem problems issue issues
work works working worked doesn't don't isn't can't won't someone anyone something anything know
tell ask wonder see attached attachment below discussed mentioned test testing ticket re fw fwd aw
wg tr i'm it's that's what's am do go need want let
hallo guten tag morgen moin liebe team bitte hilfe helfen danke dank vielen grüße gruß mfg frage
fragen problem probleme geht gehen ging funktioniert funktionieren läuft siehe anhang anlage unten
besprochen jemand etwas weiß wissen wie was wo wann warum so oder ob mal doch noch wieder immer
brauche braucht
bonjour salut merci beaucoup svp stp plaît s'il aide aider aidez aidez-moi cordialement question
problème j'ai marche fonctionne voir pièce jointe ci-joint sais quelqu'un quelque chose comment
pourquoi quoi c'est besoin
hola buenos buenas días tardes gracias favor ayuda ayudar pregunta problema problemas tengo tiene
funciona funcionan ver adjunto alguien algo sé sabe cómo qué cuándo
ciao buongiorno salve grazie favore aiuto domanda domande problema problemi ho funziona funzionano
vedi allegato qualcuno qualcosa so sapete come cosa quando perché
"""
SMALL_WORDS = """
or nor if then than more most other only own both each few once again further until against between
through during above under over out off down without yet being having doing myself yourself cannot
may might must shall these here now very much many
every few minute minutes hour hours day days week weeks time times since today yesterday tonight
monday tuesday wednesday thursday friday saturday sunday again still also two
habe hast hatte hatten sein seine seinen ihr ihre ihren euch uns unser unsere dir dich du dein dann
denn dort hier jetzt nur schon sehr über unter um vor nach bei bis durch für gegen ohne zwischen
wenn weil wurde worden werden kann können könnte muss müssen soll will am im vom zum zur dies diese
dieser dieses man alle alles nichts
mais donc ni car comme tout tous toute toutes cette cet notre votre nos vos être avoir été suis es
sommes êtes sont as avons avez ont y lui eux plus moins très bien aussi ça cela j' d' l' non oui
ni o u sin sobre entre hasta desde donde ser estar soy son fue era he ha han hay más menos también
nos os ellos ellas nosotros lo le les sí todo todos nada
a ai al alla anche c'è che chi ci con da dal dalla dei del della delle di e è ed gli ha hanno i il
in io la le lo ma mi mia mio ne nel nella non o per più quello quella questa questo se si sono su
sul sulla tra fra un una uno voi noi loro essere avere sì tutto tutti niente
"""
# Every trouble is told with these: named as a reason, they tell a reader nothing.
EMPTY_WORDS = frozenset(EMPTY.split())
NOTHING_SAID = EMPTY_WORDS | frozenset(f"{PLEASANTRIES} {SMALL_WORDS}".split())
PART = re.compile(r"[\w'’-]*[^\W\d_][\w'’-]*")


def says_something(text: str) -> bool:
    """False for a text of small words, greetings, pleas and numbers alone."""
    return any(
        word.replace("’", "'").strip("'-") not in NOTHING_SAID
        for word in PART.findall(text.casefold())
    )


def cleaned(text: str) -> str:
    """The sentences of a ticket: no mail headers, greetings, quotes or signature."""
    kept: list[str] = []
    lines = as_text(text, from_any_line=True)[: READ_AT_MOST * 2].splitlines()
    for number, line in enumerate(lines):
        if len(lines) - number <= SIGNATURE_LINES and kept and SIGNATURE.match(line):
            break
        if ":" in line:
            line = SUBJECT.sub("", line)
            if HEADER.match(line):
                continue
        if line.lstrip().startswith(">") or GREETING.match(line):
            continue
        kept.append(line)
    return "\n".join(kept).strip()[:READ_AT_MOST]
