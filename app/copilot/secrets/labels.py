"""What people call a secret, in eight languages: as data, and where it stands in a text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from app.copilot.needles import any_of
from app.copilot.types import SecretKind
from app.models.characters import lowered

KINDS = {
    "phrase": SecretKind.PASSWORD,
    "password": SecretKind.PASSWORD,
    "pass": SecretKind.PASSWORD,
    "login": SecretKind.PASSWORD,
    "pin": SecretKind.PIN,
    "code": SecretKind.CODE,
    "place code": SecretKind.CODE,
    "key": SecretKind.KEY,
    "token": SecretKind.TOKEN,
}
# "verification code", "Türcode", "API key".
CODES = (
    "verification", "security", "one[- ]time", "mfa", "2fa", "two[- ]factor", "sms", "auth",
    "authentication", "access", "door", "gate", "alarm", "entry", "unlock", r"voice\ ?mail",
    "confirmation", "recovery", "backup",
)  # fmt: skip
KINDS_OF_CODE = (
    "bestätigungs", "sicherheits", "zugangs", "zugriffs", "zutritts", "tür", "tor", "alarm",
    "tresor", "safe", "garagen", "mailbox", "voicemail", "deur", "poort", "kluis", "toegangs",
)  # fmt: skip
KEYS = (
    "api", "secret", "account", "storage", "encryption", "signing", "master", "shared",
    "licen[cs]e", "product", "activation", "recovery", "security", "network", "wi-?fi", "wlan",
    "wpa[23]?", "bitlocker", "subscription", "sharedaccess", "function", "webhook",
)  # fmt: skip
PATTERN = re.compile(
    rf"""
    (?P<phrase> pass\ ?phrase | phrase\ (?:secr[èe]te|de\ passe)
      | frase\ (?:secreta|segreta|de\ (?:paso|contrase[ñn]a|acceso))
      | passzin | wachtwoordzin | passwortsatz )(?!\w)
  | (?P<password>
      (?: passwor[dt]s? | passwd | passcode | kenn\ ?wort | contrase[ñn]a | wachtwoord | senha
        | lozinka | has[łl]o | m[o0]ts?\ ?de?\ ?pass+e? | community\ string
        | parola\ (?:d['’]ordine|d['’]accesso|chiave) | palabra\ (?:clave|de\ paso) )(?!\w)
    | (?<![^\W_]) (?: pw | pwd | psw | pswd | mdp | clave | pword | pass\ word
        | p/w | m\.d\.p\. | passw\.? | kennw\.? )
      (?! \w | \ (?:api|de\ api|de\ la\ api) )
    )
  | (?<![^\W_]) (?P<pass> pass )(?!\w)
  | (?<![^\W_]) (?P<login> cred(?:ential)?s? | logins? | zugangsdaten | identifiants? | credenziali
      | credenciales | user(?:name)?\ ?/\ ?pass(?:word)? | accesos? )(?!\w)
  | (?<![^\W_]) (?P<pin>
      (?: (?:c[oó]d(?:e|igo)|codice)\ )? (?:pin|puk|geheimzahl)
      (?:[ -]?(?:code|number|nummer|no\.?))? )(?!\w)
  | (?P<code>
      (?: (?: {"|".join(CODES)} ) [ -]? code
        | (?: {"|".join(KINDS_OF_CODE)} ) -? code
        | (?<!\w) (?: otp | totp | cvv2? | cvc2? | digicode )
        | c[oó]digo\ de\ (?: verificaci[oó]n | seguridad | acceso )
        | code\ de\ (?: v[ée]rification | s[ée]curit[ée] | confirmation )
        | codice\ di\ (?: verifica | sicurezza | accesso | sblocco | conferma ) )(?!\w) )
  | (?P<key>
      (?<![^\W_]) (?: (?: {"|".join(KEYS)} )
          [ _-]? (?: access [ _-]? )? (?: key | schlüssel )
        | access[ _-]?key | pre-?shared[ _-]?key | psk
        | (?: clave | clé | chiave )\ (?: api | d.api | de\ (?:la\ )?api | dell?.api )
        | chiave\ (?: segreta | di\ accesso | di\ licenza ) ) (?!\w) )
  | (?<![^\W_]) (?P<token> token | jetons? | (?:client|shared|app|totp)[ _-]?secret | secret
      | sig(?==) )(?!\w)
  | (?<![^\W_]) (?P<place> code | combination | zahlenkombination | kombination | c[oó]digo
      | combinaci[oó]n | codice | combinazione | combinaison | zugangsnummer )(?!\w)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Without one of these in it a text has no label, and most texts have none.
STEM = any_of((
    "pass", "phrase", "frase", "kenn", "contrase", "wacht", "senha", "lozinka", "hasl", "hasł",
    "pw", "pswd", "psw", "p/w", "mdp", "m.d.p", "clave", "parola", "palabra", "community",
    "cred", "login", "zugangs", "identifiant", "acceso", "pin",
    "puk", "geheimz", "code", "otp", "cv", "digo", "codice", "combina", "kombina", "key",
    "schlüssel", "psk", "clé", "chiave", "token", "jeton", "secret", "sig=",
))  # fmt: skip
# How labels begin, in small letters: only there the pattern is tried, which costs most.
BEGINNINGS = (
    *(f"{word}[ -]?code" for word in (*CODES, *KINDS_OF_CODE)),
    *(f"{word}[ _-]?(?:access|key|schl)" for word in KEYS),
    "pass", "phras", "fras", "kenn", "contras", "wacht", "senha", "lozink", "hasl", "hasł", "pw",
    "psw", "pswd", "p/w", "mdp", r"m\.d\.p", "m[o0]ts? ?d", "clav", "parola ", "palabra ",
    "community s", "cred", "login", "zugangs", "identif", "user(?:name)? ?/", "acceso", "pin",
    "puk", "geheimz", "code", "codi", "cód", "otp", "totp", "cvv", "cvc", "digico", "combina",
    "kombina", "zahlenk", "access[ _-]?key", "pre-?shared", "psk", "clé ", "chiav", "token",
    "jeton", "client[ _-]?sec", "shared[ _-]?sec", "app[ _-]?sec", "secret", "sig=",
)  # fmt: skip
# A plain "code" is a secret where one of these is opened with it.
PLACES = re.compile(
    r"(?<![^\W_])(?:doors?|gate|entrance|keypad|lock(?:er|box)?|safe|garage|alarms?|lift"
    r"|elevator|building|voice ?mail|answering machine|server ?room|archive|warehouse|key ?box"
    r"|tür|haustür|eingang|tor|pforte|tresor|schließfach|schlüsselkasten|schlüsseltresor|aufzug"
    r"|alarmanlage|anrufbeantworter|mailbox|sprachbox|serverraum|zutritt|zugang"
    r"|portes?|portail|portillon|entrée|coffre|coffre-fort|alarme|immeuble|ascenseur|répondeur"
    r"|messagerie|accès|puerta|portal|portón|entrada|caja fuerte|garaje|alarma|edificio|ascensor"
    r"|buzón|contestador|acceso|porta|portone|cancello|ingresso|entrata|cassaforte|allarme"
    r"|edificio|ascensore|segreteria|accesso|casella vocale|deur|poort|kluis|voicemailbox|portão"
    r"|cofre|correio de voz)(?!\w)",
    re.IGNORECASE,
)
# What a machine reports has a code too, and so have countries and forms.
REPORTS = re.compile(
    r"(?<![^\W_])(?:error|fault|status|exit|stop|event|response|postal|zip|country|area|product"
    r"|qr|bar|tax|colou?r|dress|source|fehler\w*|störung\w*|meld\w*|zeigt|anzeige|erreur|affich\w+"
    r"|muestra|fallo|errore|mostra|segnala|fiscale|avviamento|shows?|showing|says?|reports?|display\w*|dice|sagt)"
    r"(?!\w)",
    re.IGNORECASE,
)
# Words whose misspellings are labels too. Their consonants stand for them ("psswrd", "kenwort"),
# and every word that is one letter away from them.
SPELLED = (
    "password", "passwort", "kennwort", "contraseña", "contrasena", "wachtwoord", "passphrase",
    "passcode",
)  # fmt: skip
OTHER_WORDS = frozenset({"passport", "passcodes"})
LETTERS = "abcdefghijklmnopqrstuvwxyzñ"
LEET = str.maketrans("0134578@€$", "oieastbaes")
TOKEN = re.compile(r"[pkcw](?<![\w@$].)[\w@$€]{4,14}(?![\w@$])")
VOWELS = "aeiouy"


@dataclass(frozen=True, slots=True)
class Label:
    """Where a secret is named, and what it is named: a key of KINDS, or "place"."""

    start: int
    end: int
    name: str


def labels_in(text: str) -> list[Label]:
    """Every label of the text, in order; none overlaps another."""
    small = lowered(text)
    found = [*_spelled_right(text, small), *_misspelled(small)]
    # A word that is spelled right and wrong at once is what the pattern calls it.
    found.sort(key=lambda label: (label.start, -label.end))
    apart: list[Label] = []
    for label in found:
        if not apart or label.start >= apart[-1].end:
            apart.append(label)
    return apart


def opens_something(text: str, label: Label) -> bool:
    """True when a plain "code" is that of a door, an alarm or a mailbox, not what one reports."""
    line = text.rfind("\n", max(0, label.start - 60), label.start) + 1
    before = text[max(line, label.start - 60) : label.start]
    after = text[label.end : label.end + 50].partition("\n")[0]
    if REPORTS.search(before[-20:]):
        return False
    return bool(PLACES.search(before) or PLACES.search(after))


def _spelled_right(text: str, small: str) -> Iterator[Label]:
    at = 0
    for beginning in BEGINNING.finditer(small) if STEM.search(small) else ():
        start = beginning.start()
        if start >= at and (found := PATTERN.match(text, start)):
            at = found.end()
            yield Label(start, at, found.lastgroup or "")


def _misspelled(small: str) -> Iterator[Label]:
    """Labels with letters left out, doubled, swapped, mistyped or written in leet."""
    for found in TOKEN.finditer(small):
        word = found[0] if found[0].isalpha() else found[0].translate(LEET)
        slip = word in _ONE_OFF or (word[-1] in _LAST and _SLURRED.fullmatch(word))
        if slip and word not in OTHER_WORDS:
            yield Label(found.start(), found.end(), "phrase" if "phr" in word else "password")


def _slurred(word: str) -> str:
    """A pattern of the word's consonants with any vowels between them: "psswrd", "paswordd"."""
    consonants = [letter for letter, _ in groupby(word) if letter not in VOWELS]
    return f"[{VOWELS}]*".join(f"{letter}+" for letter in consonants)


def _one_off(word: str) -> Iterator[str]:
    """Words of which one letter is missing, too much, another or in the wrong place."""
    for i in range(len(word)):
        yield word[:i] + word[i + 1 :]
        yield word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]
        for letter in LETTERS:
            yield word[:i] + letter + word[i:]
            yield word[:i] + letter + word[i + 1 :]


def _looked_for(beginnings: Iterable[str]) -> re.Pattern[str]:
    """A pattern of the first letters that are followed by the rest; each place is found."""
    rests: dict[str, list[str]] = {}
    for one in beginnings:
        rests.setdefault(one[0], []).append(one[1:])
    return re.compile("|".join(f"{first}(?={'|'.join(rest)})" for first, rest in rests.items()))


BEGINNING = _looked_for(BEGINNINGS)
_SLURRED = re.compile("|".join(map(_slurred, (*SPELLED, "passwd"))))
_LAST = frozenset(word.rstrip(VOWELS)[-1] for word in SPELLED)
_ONE_OFF = frozenset(slip for word in SPELLED for slip in _one_off(word)) | frozenset(SPELLED)
