"""Finds personal and payment data: e-mail, telephone, IBAN, card, account, national identity.

What belongs here: where such a value stands alone, and which words near it make a weak form one.
Check digits and numbering plans are libraries' work (python-stdnum, phonenumbers). RE2 proposes, in
linear time; a library disposes. An order number passes Luhn one
time in ten: sixteen bare digits are a card only where a word near them says so, and never where
the word right before them says order, invoice, tracking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import phonenumbers
import re2
from stdnum import iban, luhn

from proxy.policy.labels.identities import IDENTITIES
from proxy.policy.labels.span import Found, Scanned

_MAX_PHONES_TRIED = 500  # the numbering plans cost 50 us a candidate
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "IN", "BR", "AU", "CN", "JP", "MX", "NL", "PL")

_EMAIL = re2.compile(
    rb"[A-Za-z0-9_][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}"
)
_FILE_ENDS = frozenset(
    b"png jpg jpeg gif svg webp ico css js mjs ts json yaml yml html map lock md txt zip gz".split()
)
_IBAN = re2.compile(rb"(?i)\b[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]){11,36}")
_CARD_GROUPED = re2.compile(
    rb"[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{1,7}|3[47][0-9]{2}[ -][0-9]{6}[ -][0-9]{5}"
)
_CARD_BARE = re2.compile(rb"[0-9]{12,19}")
_CARD_WORDS = re2.compile(
    "card|visa|amex|american express|discover|debit|credit|\\bpan\\b|\\bcc\\b|ccnum|karte"
    "|\\bcarte\\b|tarjeta|cartão|\\bcarta\\b|cvv|卡号|卡號|カード".encode()
)
_CARD_NEVER = re2.compile(
    rb"(?:order|invoice|tracking|ticket|reference|transaction|item|product|shipment|receipt|user|customer"
    rb"|timestamp|time|_id|gift\s*card|barcode|ean|isbn|imei|serial|sku)s?(?:[_ ]?(?:id|no|num|number|code))?"
    rb"[\"'\s:#=.-]*$"
)
_ACCOUNT = re2.compile(
    "(?i)(?:\\b(?:bank|checking|savings|beneficiary|recipient)[ _-]?account(?:[ _-]?(?:number|no|num|id))?"
    "|\\baccount[ _-]?(?:number|no\\.?|num)\\b|\\bacct[ _.-]?(?:number|no|num)?\\b|\\biban\\b"
    "|\\brouting[ _-]?(?:number|no)\\b|\\bsort[ _-]?code\\b|kontonummer|\\bkonto(?:nr)?\\b"
    "|numéro de compte|número de cuenta|numero di conto|número da conta|\\bclabe\\b|银行账号|账号|口座番号)"
    "(?:\\s+is)?[ \\t\"'`*:#=\uff1a|]{0,8}([A-Za-z]{0,4}[0-9](?:[ -]?[0-9A-Za-z]){4,33})".encode()
)
_PHONE = re2.compile(rb"(?:\+|\b00|\()?[0-9][0-9 ().\x{00a0}/-]{6,20}[0-9]")
_PHONE_WORDS = re2.compile(
    "phone|\\btel|\\bcell\\b|mobile|\\bcall|\\bfax|whatsapp|\\bsms\\b|text me|dial|reach (?:me|us)"
    "|contact|telefon|handy|rufnummer|teléfono|móvil|celular|portable|cellulare|电话|電話|手机|手機".encode()
)
_PHONE_NEVER = re2.compile(
    rb"(?:order|invoice|tracking|ticket|ref(?:erence)?|version|build|release|transaction|timestamp|isbn"
    rb"|serial|sku|_id|\bid|rfc|port|commit|hash|size|bytes|zip|account|konto|iban|card|\bip)s?"
    rb"(?:[_ ]?(?:no|num|number|code))?[\"'\s:#=.v-]*$"
)
_US_FORM = re2.compile(
    rb"^(?:1[-. ])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-. ][0-9]{4}$"
)
_ISO_DATE = re2.compile(
    rb"^(?:19|20)[0-9]{2}[-./](?:0?[1-9]|1[0-2])[-./]|^[0-9]{1,2}[./-][0-9]{1,2}[./-](?:19|20)"
    rb"|^(?:19|20)[0-9]{2} ?[-/] ?(?:19|20)[0-9]{2}$"
)
_IP = re2.compile(rb"^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$")
_ALONE_FORMS = re2.compile("|".join(i.form for i in IDENTITIES if i.words is None).encode())
_alone = tuple((re2.compile(i.form.encode()), i.is_valid) for i in IDENTITIES if i.words is None)
_worded = tuple(
    (re2.compile(b"(?i)" + i.form.encode()), i.is_valid, re2.compile(i.words.encode()))
    for i in IDENTITIES
    if i.words is not None
)
_PAPERS = re2.compile("passport|licen|führerschein".encode())


def find_personal(scanned: Scanned) -> Iterator[Found]:
    """Yields the personal and payment data of a text."""
    taken = bytearray(len(scanned.data))
    for find in (_emails, _ibans, _cards, _identities, _accounts, _phones):
        for label, start, end in find(scanned):
            # Digits are one thing: what is an IBAN is not a telephone number too.
            if taken.find(1, start, end) < 0:
                taken[start:end] = b"\1" * (end - start)
                yield label, start, end


def _emails(scanned: Scanned) -> Iterator[Found]:
    data = scanned.data
    for match in _EMAIL.finditer(data):
        start, end = match.span()
        address = match.group()
        if address.rpartition(b".")[2].lower() in _FILE_ENDS:
            continue  # `logo@2x.png`
        if address.startswith(b"git@") or data[max(0, start - 3) : start] == b"://":
            continue  # a remote of git, the user of a URL
        yield "pii.email", start, end


def _ibans(scanned: Scanned) -> Iterator[Found]:
    for start, end in _candidates(scanned, _IBAN):
        raw = scanned.data[start:end]
        # The match may run on into the next word: the longest part that checks is the number.
        for length in range(len(raw), 14, -1):
            if length < len(raw) and raw[length : length + 1].isalnum():
                continue
            compact = raw[:length].replace(b" ", b"").replace(b"-", b"").upper()
            if _mod97(compact) == 1 and iban.is_valid(compact.decode()):
                yield "pii.iban", start, start + length
                break


def _mod97(compact: bytes) -> int:
    if not 15 <= len(compact) <= 34:
        return 0
    return int("".join(str(int(chr(c), 36)) for c in compact[4:] + compact[:4])) % 97


def _cards(scanned: Scanned) -> Iterator[Found]:
    for start, end in _candidates(scanned, _CARD_GROUPED):
        if _is_card(scanned.data[start:end]) and not _says(scanned, start, _CARD_NEVER):
            yield "pii.card", start, end
    if _CARD_WORDS.search(scanned.lower) is None:
        return
    for start, end in _candidates(scanned, _CARD_BARE):
        if (
            _is_card(scanned.data[start:end])
            and not _says(scanned, start, _CARD_NEVER)
            and _says(scanned, start, _CARD_WORDS)
        ):
            yield "pii.card", start, end


def _is_card(raw: bytes) -> bool:
    digits = raw.replace(b" ", b"").replace(b"-", b"").decode()
    first, two, four = digits[0], int(digits[:2]), int(digits[:4])
    lengths: tuple[int, ...] = ()
    if first == "4":
        lengths = (13, 16, 19)
    elif 51 <= two <= 55 or 2221 <= four <= 2720:
        lengths = (16,)
    elif two in (34, 37):
        lengths = (15,)
    elif two in (36, 38) or 3000 <= four <= 3059:
        lengths = (14, 16, 19)
    elif two in (35, 62, 64, 65, 81) or four == 6011:
        lengths = (16, 17, 18, 19)
    elif two in (50, 56, 57, 58, 67, 63):
        lengths = (12, 13, 14, 15, 16, 17, 18, 19)
    return len(digits) in lengths and len(set(digits)) > 1 and luhn.is_valid(digits)


def _identities(scanned: Scanned) -> Iterator[Found]:
    for start, end in _candidates(scanned, _ALONE_FORMS):
        raw = scanned.data[start:end]
        if any(f.fullmatch(raw) and _passes(check, raw) for f, check in _alone):
            yield "pii.national-id", start, end
    for form, check, words in _worded:
        # A word that must stand right before its number is looked for at each candidate.
        first = _PAPERS if words.pattern.endswith(b"$") else words
        if first.search(scanned.lower) is None:
            continue
        for start, end in _candidates(scanned, form):
            if _says(scanned, start, words) and _passes(check, scanned.data[start:end]):
                yield "pii.national-id", start, end


def _passes(check: Callable[[str], bool], raw: bytes) -> bool:
    return check(raw.decode("ascii", "replace").upper())


def _accounts(scanned: Scanned) -> Iterator[Found]:
    for match in _ACCOUNT.finditer(scanned.data):
        start = match.start(1)
        raw = match.group(1)
        stop = next(
            (n for n, c in enumerate(raw) if c == 0x20 and not raw[n + 1 : n + 2].isdigit()),
            len(raw),
        )
        if sum(48 <= c <= 57 for c in raw[:stop]) >= 5:
            yield "pii.account", start, start + stop


def _phones(scanned: Scanned) -> Iterator[Found]:
    tried = 0
    for start, end in _candidates(scanned, _PHONE):
        raw = scanned.data[start:end]
        digits = sum(48 <= c <= 57 for c in raw)
        if not 7 <= digits <= 15 or _ISO_DATE.search(raw) or _IP.search(raw):
            continue
        international = raw.startswith((b"+", b"00"))
        us_form = _US_FORM.search(raw) is not None
        worded = _says(scanned, start, _PHONE_WORDS)
        if not (international or us_form or worded) or (
            _says(scanned, start, _PHONE_NEVER) and not (international and worded)
        ):
            continue
        tried += 1
        if tried > _MAX_PHONES_TRIED:
            yield "pii.phone", start, len(scanned.data)
            return
        if _is_phone(raw, international=international, worded=worded, us_form=us_form):
            yield "pii.phone", start, end


def _is_phone(raw: bytes, *, international: bool, worded: bool, us_form: bool) -> bool:
    text = raw.decode("utf-8", "replace")
    if text.startswith("00"):
        text = "+" + text[2:]
    regions: tuple[str | None, ...] = (None,)
    if not international:
        regions = ("US",) if us_form and not worded else _REGIONS
    for region in regions:
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
        # Numbers of films and examples (555) are in no plan; a word or the form says enough.
        if (
            region in (None, "US")
            and (worded or us_form)
            and phonenumbers.is_possible_number(number)
        ):
            return True
    return False


def _says(scanned: Scanned, at: int, words: re2.Pattern) -> bool:
    return words.search(scanned.before(at)) is not None


def _candidates(scanned: Scanned, form: re2.Pattern) -> Iterator[tuple[int, int]]:
    """Yields where a form stands by itself: not in a longer number, a UUID, a version, a hash."""
    data = scanned.data
    for match in form.finditer(data):
        start, end = match.span()
        before, after = data[max(0, start - 2) : start], data[end : end + 2]
        if before[-1:].isalnum() or before[-1:] == b"_" or after[:1].isalnum() or after[:1] == b"_":
            continue
        if (before[-1:] in (b"-", b".", b"/", b"%") and before[:1].isalnum()) or (
            after[:1] in (b"-", b".", b"/") and after[1:].isalnum()
        ):
            continue
        yield start, end
