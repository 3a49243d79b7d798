"""Whether what stands beside a label is a secret, or words about one."""

import re

# Numbers and names that are no secrets, whatever stands before them.
NOT_SECRET = re.compile(
    r"0x[0-9a-f]+|(?:inc|req|ritm|chg|prb|s?c?task|kb|cs|err?|e|ora)[-#]?\d+|#\d+"
    r"|v?\d+(?:\.\d+)+|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d\d\S*"
    r"|(?:windows|win|office|outlook|exchange|teams|onedrive|m|o|sap|vpn|wifi|iphone|ipad|ios"
    r"|android|chrome|firefox|edge|excel|word|sharepoint|sql|ubuntu|macos)[ -]?\d{1,4}"
    r"|\d?(?:1password|lastpass)|(?:https?|ftp)://[^@]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|[$%]\{?[A-Z_]+[}%]?|\d+-\w+",
    re.IGNORECASE,
)
# Names of machines, rooms and versions, which a sentence further on may be about.
MACHINE = re.compile(
    r"(?:(?:[a-z]{2,8}|[A-Z]{2,8})[-_]){1,3}\d{1,6}|(?:pc|lt|nb|srv|vm|ws|lab|db|app|web|host|laptop|server|room"
    r"|raum|sala|salle)[-_]?\w{0,8}\d{1,6}|[A-Z]{1,6}[-_]?\d{2,}(?:[-_][A-Z0-9]+)*|\d+[a-z]{1,3}"
    r"|[a-z]\d{4,8}",
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
what when where which who why will with won't wrong yes yet you your n/a tbd na asap still
thanks thank regards hello hi
ab abgelaufen alt bekannt bitte das der die doch ein eine falsch geht gleich habe ich ist kein
korrekt leer mein mir nein neu nicht nötig noch nur oder pflicht richtig schon sehr seit siehe
stimmt und ungültig unbekannt vergessen weg wieder wird wurde zu zurücksetzen erforderlich danke
gruß grüße leider immer
al ahora caducada caducó con correcta de desconocida el en incorrecta incorrecto inválida la mala
mi muy no nueva olvidada olvidé para por que sin una vacía válida ver ya gracias saludos
au aux bon correct dans du encore est et faux incorrecte invalide je le les mon ne nouveau oublié
oubliée pas perdu pour que sur trop un une valide voir merci toujours
da di già giusta giusto grazie il mia nuova non per sbagliata sbagliato scaduta sempre troppo
valida vedi vuota
"""
ORDINARY = frozenset(ORDINARY_WORDS.split())
# Words about a secret, not secrets: expired, missing, mandatory, gesperrt, geändert, caducado.
ABOUT = re.compile(
    r".+(?:ed|ing|able|ible|ant|ent|ive|ful|less|ous|ly|ory|tion|wn|ken|tten)|"
    r"(?:ab|an|aus|be|ent|er|ge|ver|zer|zurück)\w+(?:t|en)|.+(?:ado|ada|ido|ida|é|ée|és)"
    r"|.+(?:ato|ata|ito|ita|uto|uta)",
    re.IGNORECASE,
)
# Small words that a pass phrase may hold like any sentence.
FUNCTION_WORDS = """
a an the of in on at to under over with without from by for as and or up down out off near
der die das den dem des ein eine einen im am an auf unter über mit ohne von vom zum zur und oder
le la les l' un une du de des d' sur sous dans avec sans au aux et ou
el los las una unos del al en con sin bajo sobre para por y o
il lo gli i uno di da del della dello dei delle nel nella sul sulla sotto senza su per tra e ed
het een van op onder met zonder o os as um uma do da dos das no na com sem
"""
FUNCTION = frozenset(FUNCTION_WORDS.split())
ARTICLE_WORDS = "the a an der die das ein eine le la les un une el los las il lo gli i"
ARTICLES = frozenset(ARTICLE_WORDS.split())
# Beginnings of words with which people talk about a pass phrase and do not give one.
TALK = re.compile(
    r"(?:accept|akzept|accet|acept|work|funkt|fonction|funcion|funzion|march|schick|geschick|envo"
    r"|inviat|reset|renew|renouv|renov|rinnov|erneu|vergeb|vergess|forg|olvid|oubli|diment|chang"
    r"|änder|geänder|cambi|frag|demand|piden|chied|e-?mail|outlook|login|anmeld|konto|account"
    r"|cuenta|compte|fehler|erreur|fail|laptop|benutz|usuar|utilis|utent|ticket|character|zeichen"
    r"|caract|caratt|passw|kennwort|contrase|phras|frase|expir|ablauf|abgel|caduc|scad|need|brauch"
    r"|besoin|necesit|bisogn|pend|minim|maxim|requir|erforder|oblig|ident|gleich|manager|recib"
    r"|ricev|system|prompt|keepass|werden|contact|something|someone|somewhere|jamais|nunca"
    r"|yesterday|gestern)",
    re.IGNORECASE,
)
TALKING = """
has have had will would should could may might more than least never ask asks name us them him
her hers his since after today two long longer short shorter send kept keep keeps pc call help
were wo mehr nach bei beim nie sie wir ihr sind haben hat kann soll muss sein kurz lang wurde
wird bekomme bekommen hilfe heute tresor vault elle nous vous ils qu'elle être peut doit puede
debe plus depuis après court longue long courte aide hier aujourd'hui reçu reçue où desde hoy
después más corta larga ayuda ayer dónde viene va dopo più corta lunga aiuto ieri oggi dove può
deve essere mai coffre fuerte cassaforte
"""
TALK_WORDS = frozenset(TALKING.split())
JOINING = """
and but so which that or nor because since und aber oder doch seit weil da et mais ou car donc
depuis y pero o porque desde e ma però ed perché da en maar mas
"""
CONJUNCTIONS = frozenset(JOINING.split())


def looks_secret(value: str) -> bool:
    """Letters with digits or with signs that no word has; or a number of four digits and more."""
    letters = any(map(str.isalpha, value))
    digits = any(map(str.isdigit, value))
    signs = any(sign in value[:-1] for sign in "!#$%&*+=@^~?_|\\{}")
    return (letters and (digits or signs)) or (digits and not letters and len(value) >= 4)


def is_about(word: str) -> bool:
    """A word about a secret, like "wrong" or "expired", in small letters."""
    return word in ORDINARY or ABOUT.fullmatch(word) is not None


def stands_alone(value: str) -> bool:
    """So unlike a word, a machine's name or a number that it is believed without its label."""
    return (
        5 <= len(value) <= 64
        and any(map(str.isalpha, value))
        and looks_secret(value)
        and not NOT_SECRET.fullmatch(value)
        and not MACHINE.fullmatch(value)
    )


def is_phrase(words: list[str], *, least: int, given: bool) -> bool:
    """A pass phrase of at least `least` words that say something, not a sentence about one.

    `given` when a colon led to it: then it may begin with any word.
    """
    small = [word.casefold().strip("'’\"") for word in words]
    talk = sum(is_talk(word) for word in small)
    content = len(small) - talk - sum(word in FUNCTION for word in small)
    if len(small) < 3 or content < least or 3 * talk > content:
        return False
    if given:
        return True
    if small[0] in ARTICLES:
        return content >= 3 and talk == 0
    return talk == 0 and small[0] not in FUNCTION and not is_about(small[0])


def phrase_ends(words: list[str]) -> int:
    """How many of the words come before a clause that goes on about something else."""
    for i, word in enumerate(words):
        if i > 1 and word.casefold() in CONJUNCTIONS:
            rest = [one.casefold() for one in words[i + 1 :]]
            if not rest or any(is_talk(one) for one in rest):
                return i
    return len(words)


def is_talk(word: str) -> bool:
    """A word that a sentence about a secret has, and a pass phrase hardly, in small letters."""
    if word in FUNCTION:
        return False
    return word in ORDINARY or word in TALK_WORDS or TALK.match(word) is not None
