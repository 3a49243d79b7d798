"""The small words between a label and its secret, in five languages: data for the rules."""

import re

WHICH = (
    r"(?:[ ](?:new|old|current|temp(?:orary)?|default|initial|neu|alt|nueva|actual|temporal"
    r"|nouveau|actuel|provisoire|temporaire|nuova|attuale|provvisoria))?"
)
# What may stand between a label and its link: "(new)", "for the wifi", "given by Tom".
OF = (
    r"(?:for|of|on|at|in|to|from|(?:given )?by|für|fürs|von|vom|zum|zur|des|der|im|am|del?|de la"
    r"|du|pour|para|per|di|della|dello|del|voor|van)"
)
_WORD = r"(?!error|fehler|erreur|fail|code)[^\s:=]{1,40}"
ASIDE = (
    r"(?:[ ]?\([^()\n]{1,30}\))?"
    + WHICH
    + rf"(?:[ ]{OF}(?:[ ]{_WORD}){{1,3}}?|[ ]d(?:ell)?['’]{_WORD}(?:[ ]{_WORD}){{0,2}}?)?"
)
NOW = (
    r"(?:[ ](?:now|currently|still|again|jetzt|nun|aktuell|noch|bisher|ahora|maintenant|adesso|ora"
    r"|nu))?"
)
VERB = r"(?:is|was|are|ist|war|lautet|lautete|es|era|est|était|è|is het)"
# What stands between a value and its label after it: "X is my old password", "X (my password)".
JOIN_WORDS = """
is was as for which that that's = - – are
ist war als das
es era como que
est était comme qui c'est c’était c'était
è come che fu
"""
JOINS = frozenset(JOIN_WORDS.split())
BETWEEN_WORDS = """
my the our a his her their your old new current previous former temporary own wifi
mein meine das der die unser altes alte alter neues neue aktuelles bisheriges dein ihr
mon ma le la notre ancien nouveau nouvelle actuel son l'ancien
mi la el nuestra nuestro antigua nueva anterior actual su
mio mia il nostra vecchia vecchio nuova nuovo attuale
"""
BETWEEN = frozenset(BETWEEN_WORDS.split())
# A label before one of these belongs to it: "password reset", "password manager".
HEADS = re.compile(
    r"[ -](?:reset|manager|ticket|server|field|prompt|policy|list|page|tool|vault|change|problem"
    r"|issue|error|request|expiry|safe|feld|regel|app)"
)
# How a later sentence comes back to a secret without naming it, and what may follow at once.
IT_IS = """
it is|it's|it’s|it was|it reads|it should be|it must be|it might be|its|that is|this is
the new one is|the old one is|new one is|old one is|first one is|second one is|temporary one is
es ist|es war|es wäre|sie ist|er ist|das ist|das war|das neue ist|lautet
c'est|c’est|c'était|c’était|il est|elle est|le nouveau est|ce serait
es|era|sería|ahora es|la nueva es|esta es|ésta es
è|era|sarebbe|adesso è|ora è|la nuova è
"""
I_USE = """
i chose|i picked|i pick|i used|i use|i typed|i type|i typed in|i entered|i enter|i tried|i try
i put|i set|i took|i take|i wrote|i went with|i got|i've used|i have used|i've tried|i set it to
i put in|i changed it to|i just typed|i just used|using|set it to
ich habe|ich hab|ich tippe|ich gebe|ich nehme|ich nahm|ich nutze|ich verwende|ich benutze
ich probiere|ich versuche|wenn ich|habe ich|ich mit|gebe ich|tippe ich|nehme ich
j'ai choisi|j'ai mis|j'ai pris|j'ai utilisé|j'ai tapé|j'ai saisi|j'ai essayé|j'ai entré|j'utilise
j'entre|j'essaie|je tape|je mets|je saisis|je rentre|je prends
elegí|puse|pongo|escribo|escribí|uso|usé|utilizo|meto|metí|introduzco|introduje|tecleo|probé|pruebo
he puesto|he elegido|he probado|he usado|he escrito|he metido|he introducido
ho scelto|ho messo|ho usato|ho provato|ho inserito|ho digitato|ho scritto|scrivo|inserisco|digito
metto|provo|uso
"""
FILLERS = (
    r"now|still|currently|always|exactly|just|jetzt|nun|immer|noch|also|aber|es mit|maintenant"
    r"|toujours|donc|ahora|siempre|adesso|ora|sempre|quindi|it as|as|mit|con|avec|wieder|again|in"
)


def _either(lines: str) -> str:
    """A pattern of the phrases, longest first; an apostrophe may be typed either way."""
    phrases = sorted(lines.strip().replace("\n", "|").split("|"), key=len, reverse=True)
    return "|".join(phrase.replace("'", "['’]") for phrase in phrases)


SAID_AGAIN = re.compile(
    rf"(?<!\w)(?:(?P<it>{_either(IT_IS)})|{_either(I_USE)})(?: (?:{FILLERS}))?:?[ ]{{1,2}}",
    re.IGNORECASE,
)
