"""Secrets known by their shape alone: vendors' keys, headers, URLs, commands, card numbers."""

import re
from collections.abc import Iterator

from app.copilot.needles import any_of
from app.copilot.types import SecretKind, Span
from app.models.characters import lowered

# Prefixes as their makers document them; letters and digits after them are random.
KEYS = (
    r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b",
    r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,})",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\bxapp-[A-Za-z0-9-]{10,}",
    r"https://hooks\.slack\.com/(?:services|workflows)/[\w/-]{20,}",
    r"\b[spr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"\bsk-[A-Za-z0-9_-]{20,}",
    r"\b(?:AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,})",
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
    r"\b(?:npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{64})",
    r"\bAGE-SECRET-KEY-1[A-Z0-9]{30,}",
    r"(?<![\d-])\d{6}(?:-\d{6}){7}(?![\d-])",  # BitLocker recovery key
    r"(?<![A-Za-z0-9-])[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}(?![A-Za-z0-9-])",  # Windows product key
)
TOKENS = (
    r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",  # JSON web token
    r"\b\d{8,10}:AA[\w-]{33}",  # Telegram bot
)
# What must be there in small letters, and what surrounds the secret, which is the group. Asking for
# it first makes ordinary text fast.
CREDENTIALS = (
    ("://", r"\b[a-z][a-z0-9+.-]{1,30}://[^\s/:@]{0,200}:([^\s/]{1,300})@"),
    ("-u", r"\s(?:-u|--user)[ =][^\s:]{1,100}:(\S{3,})"),
    ("mysql", r"\bmysql\w*[^\n]{1,100}?\s-p([^\s-]\S*)"),
    ("sshpass", r"\bsshpass\s+-p\s*'?([^\s']+)"),
    ("--", r"\s--(?:password|passwd|pass|token|secret|api-key)[ =]'?([^\s'-][^\s']*)"),
    ("passwor", r"(?<!\S)(?=\S{0,60}\d)(\S{4,60}) (?:as|als) (?:(?:the|my|mein) )?passwor[dt]\b"),
    (
        "pass",
        r"\b(?:(?:re)?set|changed?) it to (?=\S{0,60}\d)(?=\S{0,60}[a-z])"
        r"(\S{5,60}?)(?=[?.,;]?(?:\s|$))",
    ),
    ("\\\\", r"\bnet\s+use\s[^\n]{0,100}?\\\\\S{1,200}[ \t]+([^\s/*]\S*)"),
)
HEADERS = (
    ("bearer", r"\bBearer[ \t]+([A-Za-z0-9+/=._~-]{8,})"),
    ("basic", r"\bBasic[ \t]+([A-Za-z0-9+/=._~-]{8,})"),
    ("cookie", r"\bCookie[ \t]*:[ \t]*([\w.-]{1,100}=[^\n]{8,})"),
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:(?!-----BEGIN).)*?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"|(?:(?:\s|\\n)*[A-Za-z0-9+/=]{16,})*)",
    re.DOTALL,
)
KNOWN = re.compile(
    f"(?P<key>{'|'.join(KEYS)})|(?P<token>{'|'.join(TOKENS)})",
)
# Every known key has one of these in it, or is written in groups with so many hyphens.
PART_OF_KEY = any_of((
    "AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "xox", "xapp-", "hooks.slack.com/", "_live_", "_test_", "sk-", "AIza",
    "ya29.", "GOCSPX-", "SG.", "npm_", "pypi-", "hf_", "dop_v1_", "AGE-SECRET-KEY-1", "eyJ", ":AA",
))  # fmt: skip
HYPHENS = 4
GIVEN = tuple(
    (needed, re.compile(pattern, re.IGNORECASE), kind)
    for patterns, kind in ((CREDENTIALS, SecretKind.PASSWORD), (HEADERS, SecretKind.TOKEN))
    for needed, pattern in patterns
)
NEEDED = any_of(needed for needed, _, _ in GIVEN)
MANY_DIGITS = re.compile(r"\d(?:[ -]?\d){12}")
DIGITS = re.compile(r"(?<![\d+])(?<!\d[ -])(?<![.,/]\b)\d(?:[ -]?\d){12,18}(?![ -]?\d)")
# Issuers' leading digits and lengths; anything else with a right check sum is an order number.
CARD = re.compile(
    r"4(?:\d{15}|\d{18})|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
)


def shaped(text: str) -> Iterator[Span]:
    """Every secret that its shape betrays; spans may overlap."""
    for found in PRIVATE_KEY.finditer(text) if "-----BEGIN" in text else ():
        yield Span(found.start(), found.end(), SecretKind.PRIVATE_KEY)
    for found in KNOWN.finditer(text) if may_hold_a_key(text) else ():
        kind = SecretKind.KEY if found["key"] else SecretKind.TOKEN
        yield Span(found.start(), found.end(), kind)
    small = lowered(text)
    for needed, pattern, kind in GIVEN if NEEDED.search(small) else ():
        for found in pattern.finditer(text) if needed in small else ():
            if kind is not SecretKind.TOKEN or _random(found[1]):
                yield Span(found.start(1), found.end(1), kind)
    for found in DIGITS.finditer(text) if MANY_DIGITS.search(text) else ():
        if is_card(found[0]):
            yield Span(found.start(), found.end(), SecretKind.CARD)


def may_hold_a_key(text: str) -> bool:
    return text.count("-") >= HYPHENS or bool(PART_OF_KEY.search(text))


def is_card(text: str) -> bool:
    """Leading digits and length of an issuer, and a right check sum (ISO/IEC 7812, Luhn)."""
    digits = re.sub(r"[ -]", "", text)
    if not CARD.fullmatch(digits) or (digits[0] in "25" and len(digits) != 16):
        return False
    odd, even = digits[-1::-2], digits[-2::-2]
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in even)
    return (sum(map(int, odd)) + doubled) % 10 == 0


def _random(value: str) -> bool:
    """Not a word: "Basic authentication" is none, "Basic amRvZTpo..." is."""
    return bool(re.search(r"\d", value)) or bool(re.search(r"[a-z][A-Z]", value))
