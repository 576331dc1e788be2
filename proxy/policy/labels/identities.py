"""National identity numbers: which forms there are, and how sure each form alone makes one.

What belongs here: the table. The check digits are python-stdnum's work. A form that nothing else
has (an Italian codice fiscale) stands by itself; bare digits whose check passes for one random
number in ten or a hundred need a word near them that says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ch_ssn
from stdnum.cn import ric
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.ie import pps
from stdnum.il import idnr as il_idnr
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ssn
from stdnum.za import idnr as za_idnr

type Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Identity:
    """One form of a number, and the words without which it is none (None: needs none)."""

    form: str
    is_valid: Check
    words: str | None = None


_NINE = r"\d{3}[- ]?\d{3}[- ]?\d{3}"
_ELEVEN = r"\d{11}"

IDENTITIES: tuple[Identity, ...] = (
    Identity(r"\d{3}-\d{2}-\d{4}", ssn.is_valid),
    Identity(r"\d{9}", ssn.is_valid, r"\bssns?\b|social\s*security"),
    Identity(r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", lambda n: n[:2].isalpha(),
             r"\bnino\b|national\s*insurance|\bni\s*(?:number|no)"),
    Identity(r"\d{3}[ -]?\d{3}[ -]?\d{4}", nhs.is_valid, r"\bnhs\b"),
    Identity(r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid),
    Identity(_ELEVEN, cpf.is_valid, r"\bcpf\b"),
    Identity(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", codicefiscale.is_valid),
    Identity(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", curp.is_valid),
    Identity(r"756\.\d{4}\.\d{4}\.\d{2}", ch_ssn.is_valid),
    Identity(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", nn.is_valid),
    Identity(_ELEVEN, nn.is_valid, r"rijksregister|registre\s*national|\binsz\b|\bniss\b"),
    Identity(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", nir.is_valid,
             r"\bnir\b|s[eé]curit[eé]\s*sociale|\binsee\b|num_?secu"),
    Identity(r"[12] \d{2} (?:0[1-9]|1[0-2]) \d[\dAB] \d{3} \d{3} \d{2}", nir.is_valid),
    Identity(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", idnr.is_valid,
             r"steuer[- ]?id|steueridentifikation|\bidnr\b|\btin\b|tax\s*id"),
    Identity(r"\d{8}[- ]?[A-Z]", dni.is_valid, r"\bdni\b|\bnif\b|documento|identidad"),
    Identity(r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid, r"\bnie\b|extranjero|identidad"),
    Identity(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", hetu.is_valid),
    Identity(_ELEVEN, pesel.is_valid, r"\bpesel\b"),
    Identity(r"\d{9}|\d{4}[. ]\d{2}[. ]\d{3}", bsn.is_valid, r"\bbsn\b|burgerservice|sofinummer"),
    Identity(r"(?:\d{2})?\d{6}[-+ ]?\d{4}", personnummer.is_valid, r"personnummer|\bpnr\b"),
    Identity(r"\d{6}-?\d{4}", cpr.is_valid, r"\bcpr\b"),
    Identity(r"\d{6} ?\d{5}", fodselsnummer.is_valid, r"fødselsnummer|fodselsnummer"),
    Identity(r"\d{6}/?\d{3,4}", rc.is_valid, r"rodné|rodne"),
    Identity(r"\d{13}", cnp.is_valid, r"\bcnp\b|cod\s*numeric"),
    Identity(r"\d{8} ?\d ?[A-Z0-9]{2}\d", cc.is_valid, r"cartão\s*de\s*cidad|cidadão"),
    Identity(r"\d{7}[A-W][A-IW]?", pps.is_valid, r"\bpps[n]?\b"),
    Identity(r"[2-9]\d{3} ?\d{4} ?\d{4}", aadhaar.is_valid, r"aadh?aar|\buid(?:ai)?\b|आधार"),
    Identity(r"[A-Z]{5}\d{4}[A-Z]", pan.is_valid, r"\bpan\b|income\s*tax"),
    Identity(r"\d{17}[\dX]", ric.is_valid),
    Identity(r"\d{6}-[1-8]\d{6}", rrn.is_valid),
    Identity(_NINE, sin.is_valid, r"\bsin\b|social\s*insurance"),
    Identity(r"\d{9}", il_idnr.is_valid, r"teudat|תעודת|israeli?\s*id"),
    Identity(_ELEVEN, tckimlik.is_valid, r"\bt\.?c\.?\s*kimlik|kimlik\s*no"),
    Identity(r"\d{13}", za_idnr.is_valid, r"\b(?:sa|south\s*african?|rsa)\s*id|id\s*(?:number|no)\b"),
    Identity(r"[A-Z0-9]{6,9}", lambda n: sum(c.isdigit() for c in n) >= 4, r"passport[\w \"':#.-]{0,16}$"),
    Identity(r"[A-Z0-9][A-Z0-9 -]{4,18}[A-Z0-9]", lambda n: sum(c.isdigit() for c in n) >= 5,
             r"(?:driv(?:er'?s?|ing)\s*licen[cs]e|driver_?licen[cs]e|führerschein(?:nummer)?)"
             r"[\w \"':#.-]{0,16}$"),
)  # fmt: skip
