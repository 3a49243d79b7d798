"""Secrets that people name: "my password is ...", "PIN 1234", "Passwort: ...", "mdp : ...".

A label opens, a link follows ("is", ":", or nothing), and what stands next is judged: the weaker
the link, the more it must look like a secret. Nothing here reads more than a few words ahead.
"""

import re
from collections.abc import Iterator

from app.copilot.values import SecretKind, Span

LABELS = re.compile(
    r"""
    (?P<phrase> passphrase )(?!\w)
  | (?P<password>
      (?: passwor[dt]s? | passwd | passcode | kennwort | contrase[ñn]a | mots?\ de\ passe
        | community\ string | wachtwoord | senha | lozinka | has[łl]o )(?!\w)
    | (?<![^\W_]) (?: pw | pwd | mdp | clave | pword )
      (?!\w|\ api)
    )
  | (?<![^\W_]) (?P<pass> pass )(?!\w)
  | (?<![^\W_]) (?P<login> credentials? | logins? | zugangsdaten | identifiants?
      | user(?:name)?\ ?/\ ?pass(?:word)? | accesos? )(?!\w)
  | (?<![^\W_]) (?P<pin>
      (?: c[oó]d(?:e|igo)\ )? (?:pin|puk|geheimzahl) (?:[ -]?(?:code|number|nummer|no\.?))? )(?!\w)
  | (?P<code>
      (?: (?: verification | security | one[- ]time | mfa | 2fa | two[- ]factor | sms | auth
            | authentication | access | door | alarm | entry | unlock | voicemail | confirmation
            | recovery | backup ) [ -]? code
        | (?: bestätigungs | sicherheits | zugangs | zugriffs | tür | alarm ) -? code
        | (?<!\w) (?: otp | totp | cvv2? | cvc2? )
        | c[oó]digo\ de\ (?: verificaci[oó]n | seguridad | acceso )
        | code\ de\ (?: v[ée]rification | s[ée]curit[ée] | confirmation ) )(?!\w) )
  | (?P<key>
      (?<![^\W_]) (?: (?: api | secret | account | storage | encryption | signing | master | shared
          | licen[cs]e | product | activation | recovery | security | network | wi-?fi | wlan
          | wpa[23]? | bitlocker | subscription | sharedaccess | function | webhook )
          [ _-]? (?: access [ _-]? )? (?: key | schlüssel )
        | access[ _-]?key | pre-?shared[ _-]?key | psk
        | clave\ api | clé\ api | clave\ de\ api | clé\ d.api ) (?!\w) )
  | (?<![^\W_]) (?P<token> token | (?:client|shared|app|totp)[ _-]?secret | secret | sig(?==)
      )(?!\w)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Without one of these in it a text has no label, and most texts have none.
STEMS = (
    "pass", "kennw", "contrase", "wachtw", "senha", "lozinka", "hasl", "hasł", "pw", "mdp", "clave",
    "community", "credential", "login", "zugangs", "identifiant", "acceso", "pin", "puk", "geheimz",
    "code", "otp", "cv", "digo", "key", "schlüssel", "psk", "clé", "token", "secret", "sig=",
)  # fmt: skip
WHICH = (
    r"(?:[ ](?:new|old|current|temp(?:orary)?|default|initial|neu|alt|nueva|actual|temporal"
    r"|nouveau|actuel|provisoire|temporaire))?"
)
# What may stand between a label and its link: "(new)", "for the wifi", "given by Tom".
ASIDE = (
    r"(?:[ ]?\([^()\n]{1,30}\))?"
    + WHICH
    + r"(?:[ ](?:for|of|on|at|in|to|from|(?:given )?by|für|von|vom|zum|zur|des|del?|du|d'|pour|para"
    r"|voor|van)"
    r"(?:[ ](?!error|fehler|erreur|fail|code)[^\s:=]{1,40}){1,3}?)?"
)
NOW = r"(?:[ ](?:now|currently|still|again|jetzt|nun|aktuell|noch|bisher|ahora|maintenant|nu))?"
TAIL = re.compile(
    ASIDE
    + r"(?:(?P<sign>[*_\"'’)\]]{0,3}[ \t]{0,3}(?:value)?(?P<mark>:=|=>|->|→|[:=>])[*_]{0,2}"
    + r"(?P<space>[ \t]{0,4}(?:\r?\n)?[ \t]{0,4}))"
    + r"|(?P<verb>[ ](?:is|was|are|ist|war|lautet|lautete|es|era|est|était|is het)"
    + NOW
    + r"[ ]?:?[ ]{1,2})"
    + r"|(?P<weak>[ ](?:to|auf|should be|will be|soll sein|a|en|à|naar|as)[ ]{1,2}|[ ][-–][ ]"
    + r"|[^.:=\n]{1,40}?[ ](?:it is|it was|it's|its|(?:changed|set|reset) to)[ ]{1,2}))",
    re.IGNORECASE,
)
NOTHING = re.compile(WHICH + r",?[ ]{1,2}\(?", re.IGNORECASE)
QUOTED = re.compile(
    r"\"([^\"\n]{1,100})\"|'([^'\n]{1,100})'|“([^”\n]{1,100})”|„([^“”\n]{1,100})[“”]"
    r"|«\s?([^»\n]{1,100}?)\s?»|`([^`\n]{1,100})`"
)
WORD = re.compile(r"\S+")
PARAMETER = re.compile(r"[^\s;&<\"']+")
LINE = re.compile(r"[^\n]{1,100}")
PAIR = re.compile(r"[ \t]{0,3}[:=]?[ \t]{0,3}[^\s/]{1,64}[ ]?/[ ]?(?P<value>[^\s/]\S*)")
SHORT_NUMBER = re.compile(r"\d{4,8}(?![\d\w]|[-/.:]\d)")
CODE_NUMBER = re.compile(
    r"\d{3}[ -]\d{3}(?!\d)|\d{3,8}#?(?![\d\w]|[-/.:]\d)"
    r"|(?=[A-Z-]{0,20}\d)[A-Z0-9]{4,6}(?:-[A-Z0-9]{4,6}){1,4}"
)
ENDS = re.compile(r"[ \t]*(?:$|[\n\r.,;!?])")
NOT_SECRET = re.compile(
    r"0x[0-9a-f]+|(?:inc|req|ritm|chg|prb|s?c?task|kb|cs|err?|e|ora)[-#]?\d+|#\d+"
    r"|v?\d+(?:\.\d+)+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d\d\S*"
    r"|(?:windows|win|office|outlook|exchange|m|o|sap|vpn|wifi|iphone|ipad|ios|android)[ -]?\d{1,4}"
    r"|(?:https?|ftp)://[^@]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[$%]\{?[A-Z_]+[}%]?|\d+-\w+",
    re.IGNORECASE,
)
ORDINARY_WORDS = """
a about again all already also always an and any ask at available bad be because been being before
blank but by can cannot can't change default did different do does doesn't don't down empty error
every fine for forgot forgotten free from gone good got has hasn't have he hidden how i if in
incorrect instead invalid is isn't it its just known last left link locked lost mandatory me
missing must my needs never new no none not null now of off ok okay old older on only open or our
out over please policy possible private problem protected public reset right safe same secret see
sent set short shown so some stolen stored strong such taken text that the their then there they
this to too true false trouble unable unknown until up us user using valid very was we weak were
what when where which who why will with won't wrong yes yet you your n/a tbd na asap
ab abgelaufen alt bekannt bitte das der die doch ein eine falsch geht gleich habe ich ist kein
korrekt leer mein mir nein neu nicht nötig noch nur oder pflicht richtig schon sehr seit stimmt
und ungültig unbekannt vergessen weg wieder wird wurde zu zurücksetzen erforderlich
al ahora caducada caducó con correcta de desconocida el en incorrecta incorrecto inválida la mala
mi muy no nueva olvidada olvidé para por que sin una vacía válida ya
au aux bon correct dans du encore est et faux incorrecte invalide je le les mon ne nouveau oublié
oubliée pas perdu pour que sur trop un une valide
"""
ORDINARY = frozenset(ORDINARY_WORDS.split())
# Words about a secret, not secrets: expired, missing, mandatory, gesperrt, geändert, caducado.
ABOUT = re.compile(
    r".+(?:ed|ing|able|ible|ant|ent|ive|ful|less|ous|ly|ory|tion|wn|ken|tten)|"
    r"(?:ab|an|aus|be|ent|er|ge|ver|zer|zurück)\w+(?:t|en)|.+(?:ado|ada|ido|ida|é|ée|és)",
    re.IGNORECASE,
)
# The shortest value that is believed without a link.
FEWEST = {"password": 6, "pass": 6, "phrase": 6, "key": 10, "token": 10}


def labelled(text: str) -> Iterator[Span]:
    """Every secret that a label names, in order."""
    lowered = text.lower()
    if not any(stem in lowered for stem in STEMS):
        return
    label = LABELS.search(text)
    while label:
        name = label.lastgroup or ""
        place = _after(text, label.end(), name)
        if place:
            yield Span(*place, _KINDS[name])
        label = LABELS.search(text, place[1] if place else label.end())


Place = tuple[int, int] | None


def _after(text: str, at: int, name: str) -> Place:
    """The secret of a label of this name that ends at `at`."""
    if name == "pin":
        return _of_number(SHORT_NUMBER, text, at)
    if name == "code":
        return _of_number(CODE_NUMBER, text, at)
    return _of_pair(text, at) if name == "login" else _of_word(text, at, name)


def _of_word(text: str, at: int, name: str) -> Place:
    """The password, key or token after a label that ends at `at`."""
    nothing = NOTHING.match(text, at)
    place = _judged(text, nothing.end(), name, link="none") if nothing else None
    tail = None if place else TAIL.match(text, at)
    if tail is None:
        return place
    if tail["sign"] is None:
        return _judged(text, tail.end(), name, link="verb" if tail["verb"] else "weak")
    if name == "phrase" and tail["mark"] in ":=" and "\n" not in tail["space"]:
        line = LINE.match(text, tail.end())
        return _trimmed(text, *line.span()) if line else None
    if "\n" in tail["space"]:
        return _judged(text, tail.end(), name, link="weak")
    link = "sign" if tail["mark"] != "=" and tail["mark"] != ">" else "parameter"
    return _judged(text, tail.end(), name, link=link)


def _judged(text: str, at: int, name: str, *, link: str) -> Place:
    """The value at `at`, if it is one, given how strongly it is tied to its label."""
    quoted = QUOTED.match(text, at)
    if quoted and link != "none":
        place = quoted.span(quoted.lastindex or 0)
        said = text[slice(*place)]
        return place if any(map(str.isalnum, said)) and said.casefold() not in ORDINARY else None
    found = (PARAMETER if link == "parameter" else WORD).match(text, at)
    value = _trimmed(text, *found.span()) if found else None
    return value if value and _is_secret(text, value, name, link=link) else None


def _is_secret(text: str, place: tuple[int, int], name: str, *, link: str) -> bool:
    value = text[slice(*place)]
    if len(value) > 200:
        return link in ("sign", "parameter") or _looks_secret(value)
    if value[0] in "<[" or not any(map(str.isalnum, value)) or NOT_SECRET.fullmatch(value):
        return False
    if name in ("key", "token"):
        # Bare digits may be a serial number, as in "RSA token 109334551".
        least = FEWEST[name] if link in ("none", "weak") else 6
        return len(value) >= least and _looks_secret(value)
    if name == "pass" and not _looks_secret(value):
        return False
    if link == "none":
        return len(value) >= FEWEST[name] and _looks_secret(value) and not value.isdigit()
    if _looks_secret(value):
        return True
    word = value.casefold().strip("!'’(")
    if link == "weak" or word in ORDINARY or ABOUT.fullmatch(word) or len(word) < 3:
        return False
    return link in ("sign", "parameter") or bool(ENDS.match(text, place[1]))


def _looks_secret(value: str) -> bool:
    """Letters with digits or with signs that no word has; or a number of four digits and more."""
    letters = any(map(str.isalpha, value))
    digits = any(map(str.isdigit, value))
    signs = any(sign in value[:-1] for sign in "!#$%&*+=@^~?_|\\{}")
    return (letters and (digits or signs)) or (digits and not letters and len(value) >= 4)


def _trimmed(text: str, start: int, end: int) -> Place:
    """Without the marks of the sentence around it; a `!` may be the password's own."""
    while end > start and text[end - 1] in ".,;:?)]}\"'»”“ \t\r":
        end -= 1
    return (start, end) if end > start else None


def _of_pair(text: str, at: int) -> Place:
    """The second of "jdoe / hunter2" after "login:" or "credentials:"."""
    pair = PAIR.match(text, at)
    if pair is None:
        return None
    place = _trimmed(text, *pair.span("value"))
    return place if place and _is_secret(text, place, "password", link="none") else None


def _of_number(shape: re.Pattern[str], text: str, at: int) -> Place:
    """The digits after a label, with any link or none between."""
    for link in (NOTHING.match(text, at), TAIL.match(text, at)):
        if link:
            quote = 1 if text[link.end() : link.end() + 1] in tuple("\"'“") else 0
            if found := shape.match(text, link.end() + quote):
                return found.span()
    return None


_KINDS = {
    "phrase": SecretKind.PASSWORD,
    "password": SecretKind.PASSWORD,
    "pass": SecretKind.PASSWORD,
    "login": SecretKind.PASSWORD,
    "pin": SecretKind.PIN,
    "code": SecretKind.CODE,
    "key": SecretKind.KEY,
    "token": SecretKind.TOKEN,
}
